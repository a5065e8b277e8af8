#include <array>
#include <optional>
#include <string>
#include <utility>

#include "headrace/data/read/readers.h"
#include "headrace/data/read/source.h"

namespace headrace {

namespace {

class OneBatchStream : public BatchStream {
 public:
  explicit OneBatchStream(Batch batch) : batch_(std::move(batch)) {}
  Result<std::optional<Batch>> Next() override { return std::exchange(batch_, std::nullopt); }

 private:
  std::optional<Batch> batch_;
};

}  // namespace

StreamPtr MakeOneBatchStream(Batch batch) {
  return std::make_unique<OneBatchStream>(std::move(batch));
}

Result<const Reader*> FindReader(const std::string& format) {
  using Entry = std::pair<const char*, const Reader& (*)()>;
  static constexpr std::array<Entry, 9> kReaders{{{"range", RangeReader},
                                                  {"parquet", ParquetReader},
                                                  {"csv", CsvReader},
                                                  {"json", JsonReader},
                                                  {"text", TextReader},
                                                  {"binary", BinaryReader},
                                                  {"numpy", NumpyReader},
                                                  {"arrow", ArrowReader},
                                                  {"python", PythonReader}}};
  std::string known;
  for (const auto& [name, reader] : kReaders) {
    if (format == name) return &reader();
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return Status::Invalid("no reader for format '", format, "'; there are ", known);
}

}  // namespace headrace
