#pragma once

#include <cstddef>
#include <string_view>

namespace headrace {

/// Finds the borders between the rows of a JSON text that comes in pieces, without parsing values.
///
/// Two forms: one array whose elements are the rows, and values one after another, whatever the
/// white space between them. In an array's text the scanner overwrites the outer brackets and the
/// commas between elements with spaces, so that both forms leave values one after another.
class JsonScanner {
 public:
  explicit JsonScanner(bool is_array) : is_array_(is_array) {}

  /// Scans the next `size` bytes, changing them as said. Returns how many of them, from the start,
  /// end with a whole row; 0 if no row ends in them.
  std::size_t Scan(char* text, std::size_t size);

  /// Returns true if everything that was opened is closed.
  bool at_rest() const { return depth_ == 0 && !in_string_; }

 private:
  const bool is_array_;
  int depth_ = 0;  // Open brackets and braces.
  bool in_string_ = false;
  bool escaped_ = false;
};

/// How a JSON file is laid out, judged by its first bytes.
enum class JsonLayout { kLines, kArray, kValues };
JsonLayout GuessJsonLayout(std::string_view head);

}  // namespace headrace
