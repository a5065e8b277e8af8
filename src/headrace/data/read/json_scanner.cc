#include "headrace/data/read/json_scanner.h"

#include <string>

namespace headrace {

std::size_t JsonScanner::Scan(char* text, std::size_t size) {
  std::size_t end = 0;
  const int row_depth = is_array_ ? 1 : 0;
  for (std::size_t i = 0; i < size; ++i) {
    const char c = text[i];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      continue;
    }
    switch (c) {
      case '"':
        in_string_ = true;
        break;
      case '[':
      case '{':
        if (is_array_ && depth_ == 0) text[i] = ' ';
        ++depth_;
        break;
      case ']':
      case '}':
        --depth_;
        if (is_array_ && depth_ == 0) text[i] = ' ';
        if (depth_ <= row_depth) end = i + 1;
        break;
      case ',':
        if (is_array_ && depth_ == 1) {
          text[i] = ' ';
          end = i + 1;
        }
        break;
      default:
        break;
    }
  }
  return end;
}

JsonLayout GuessJsonLayout(std::string_view head) {
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return JsonLayout::kLines;
  if (head[first] == '[') return JsonLayout::kArray;
  // A first line that ends inside a value means that values span lines.
  const std::size_t newline = head.find('\n', first);
  if (newline == std::string_view::npos) return JsonLayout::kLines;
  std::string line(head.substr(first, newline - first));
  JsonScanner scanner(/*is_array=*/false);
  scanner.Scan(line.data(), line.size());
  return scanner.at_rest() ? JsonLayout::kLines : JsonLayout::kValues;
}

}  // namespace headrace
