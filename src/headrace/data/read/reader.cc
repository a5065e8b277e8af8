#include <array>
#include <string>
#include <utility>

#include "headrace/data/read/readers.h"
#include "headrace/data/read/source.h"

namespace headrace {

Result<const Reader*> FindReader(const std::string& format) {
  using Entry = std::pair<const char*, const Reader& (*)()>;
  static constexpr std::array<Entry, 8> kReaders{{{"range", RangeReader},
                                                  {"parquet", ParquetReader},
                                                  {"csv", CsvReader},
                                                  {"json", JsonReader},
                                                  {"text", TextReader},
                                                  {"binary", BinaryReader},
                                                  {"numpy", NumpyReader},
                                                  {"python", PythonReader}}};
  std::string known;
  for (const auto& [name, reader] : kReaders) {
    if (format == name) return &reader();
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return Status::Invalid("no reader for format '", format, "'; there are ", known);
}

}  // namespace headrace
