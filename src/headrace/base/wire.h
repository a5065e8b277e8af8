#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "headrace/base/status.h"

// The byte form of our plain values: between driver and worker, and in the event log.
//
// Fixed-width little-endian numbers and length-prefixed bytes; no tags: reader and writer are
// the same version of this library, which the worker's greeting checks.

namespace headrace {

static_assert(std::endian::native == std::endian::little, "the wire form is little-endian");

class WireWriter {
 public:
  void U8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void Bool(bool v) { U8(v ? 1 : 0); }
  void U32(std::uint32_t v) { Raw(&v, sizeof v); }
  void I32(std::int32_t v) { Raw(&v, sizeof v); }
  void U64(std::uint64_t v) { Raw(&v, sizeof v); }
  void I64(std::int64_t v) { Raw(&v, sizeof v); }
  void F64(double v) { Raw(&v, sizeof v); }
  void Bytes(std::string_view v) {
    U64(v.size());
    out_.append(v);
  }

  const std::string& bytes() const { return out_; }
  [[nodiscard]] std::string Take() { return std::move(out_); }

 private:
  void Raw(const void* data, std::size_t size) {
    out_.append(static_cast<const char*>(data), size);
  }

  std::string out_;
};

/// Reads what a WireWriter wrote. A read past the end makes the reader bad and gives zeros, so
/// that a decoder checks Finish() once at its end; sizes of containers must be checked by
/// Count(), which refuses a count that the remaining bytes cannot hold.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t U8() { return Fixed<std::uint8_t>(); }
  bool Bool() { return U8() != 0; }
  std::uint32_t U32() { return Fixed<std::uint32_t>(); }
  std::int32_t I32() { return Fixed<std::int32_t>(); }
  std::uint64_t U64() { return Fixed<std::uint64_t>(); }
  std::int64_t I64() { return Fixed<std::int64_t>(); }
  double F64() { return Fixed<double>(); }
  /// Returns a view into the reader's input.
  std::string_view Bytes() {
    const std::uint64_t size = U64();
    if (size > rest_.size()) {
      bad_ = true;
      rest_ = {};
      return {};
    }
    std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::string String() { return std::string(Bytes()); }
  /// Returns a number of items, each of at least one byte.
  std::uint64_t Count() {
    const std::uint64_t count = U64();
    if (count > rest_.size()) bad_ = true;
    return bad_ ? 0 : count;
  }

  bool bad() const { return bad_; }
  bool at_end() const { return rest_.empty(); }

  /// Returns an error if a read went past the end or bytes are left over.
  Status Finish() const {
    if (bad_) return Status::Invalid("truncated message");
    if (!rest_.empty()) return Status::Invalid("message has ", rest_.size(), " bytes too many");
    return Status::OK();
  }

 private:
  template <class T>
  T Fixed() {
    T value{};
    if (rest_.size() < sizeof(T)) {
      bad_ = true;
      rest_ = {};
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace headrace
