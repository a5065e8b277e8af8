#include <arrow/array.h>
#include <arrow/array/concatenate.h>
#include <arrow/buffer.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/compute/cast.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <utility>
#include <vector>

#include "headrace/data/consume/file_writer.h"
#include "headrace/data/read/options.h"
#include "headrace/data/transform/evaluate.h"

// NumPy's .npy, version 1.0: the values of one column, tensors stacked along a new first axis. The
// header needs the row count, so a file's values are kept until its end.
//
// Options: column (its name; required). Numbers, bools, timestamps, durations, and fixed-shape
// tensors of numbers. Nulls become NaN, which turns whole numbers into doubles.

namespace headrace {

namespace {

Result<std::string> DtypeOf(const arrow::DataType& type) {
  static constexpr const char* kUnits[] = {"s", "ms", "us", "ns"};
  switch (type.id()) {
    case arrow::Type::BOOL:
      return "|b1";
    case arrow::Type::TIMESTAMP:
      return std::string("<M8[") + kUnits[static_cast<const arrow::TimestampType&>(type).unit()] +
             "]";
    case arrow::Type::DURATION:
      return std::string("<m8[") + kUnits[static_cast<const arrow::DurationType&>(type).unit()] +
             "]";
    default:
      break;
  }
  const char kind = arrow::is_floating(type.id())           ? 'f'
                    : arrow::is_signed_integer(type.id())   ? 'i'
                    : arrow::is_unsigned_integer(type.id()) ? 'u'
                                                            : '\0';
  if (kind == '\0') {
    return Status::NotImplemented("values of type ", type.ToString(), " have no .npy form");
  }
  const int width = type.byte_width();
  return std::string(width == 1 ? "|" : "<") + kind + std::to_string(width);
}

class NumpyWriter : public FileWriter {
 public:
  NumpyWriter(std::string column, std::shared_ptr<arrow::io::OutputStream> sink,
              arrow::MemoryPool* pool)
      : column_(std::move(column)), sink_(std::move(sink)), pool_(pool) {}

  Status Write(const arrow::Table& table) override {
    const auto column = table.GetColumnByName(column_);
    if (!column) return UnknownColumn(column_, *table.schema());
    for (const auto& chunk : column->chunks()) chunks_.push_back(chunk);
    return Status::OK();
  }

  Status Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto values, arrow::Concatenate(chunks_, pool_));
    std::vector<std::int64_t> shape{values->length()};
    if (values->type_id() == arrow::Type::EXTENSION) {
      ARROW_ASSIGN_OR_RAISE(values, Flatten(*values, &shape));
    }
    if (values->null_count() > 0) {
      ARROW_ASSIGN_OR_RAISE(values, FillNulls(values));
    }
    ARROW_ASSIGN_OR_RAISE(const std::string dtype, DtypeOf(*values->type()));
    ARROW_RETURN_NOT_OK(WriteHeader(dtype, shape));
    return WriteValues(*values);
  }

 private:
  static Result<std::shared_ptr<arrow::Array>> Flatten(const arrow::Array& array,
                                                       std::vector<std::int64_t>* shape) {
    const auto& type = static_cast<const arrow::ExtensionType&>(*array.type());
    if (type.extension_name() != "arrow.fixed_shape_tensor" || array.null_count() > 0) {
      return Status::NotImplemented("values of type ", type.ToString(),
                                    array.null_count() > 0 ? " with nulls" : "",
                                    " have no .npy form");
    }
    for (std::int64_t size :
         static_cast<const arrow::extension::FixedShapeTensorType&>(type).shape()) {
      shape->push_back(size);
    }
    const auto& storage = static_cast<const arrow::ExtensionArray&>(array).storage();
    return static_cast<const arrow::FixedSizeListArray&>(*storage).Flatten();
  }

  Result<std::shared_ptr<arrow::Array>> FillNulls(const std::shared_ptr<arrow::Array>& values) {
    if (!arrow::is_integer(values->type_id()) && !arrow::is_floating(values->type_id())) {
      return Status::NotImplemented("nulls of type ", values->type()->ToString(),
                                    " have no .npy form");
    }
    std::shared_ptr<arrow::Array> floats = values;
    if (arrow::is_integer(values->type_id())) {
      ARROW_ASSIGN_OR_RAISE(floats, arrow::compute::Cast(*values, arrow::float64()));
    }
    ARROW_ASSIGN_OR_RAISE(
        auto nan,
        arrow::MakeScalar(std::numeric_limits<double>::quiet_NaN())->CastTo(floats->type()));
    ARROW_ASSIGN_OR_RAISE(arrow::Datum filled,
                          arrow::compute::CallFunction("coalesce", {floats, nan}));
    return filled.make_array();
  }

  Status WriteHeader(const std::string& dtype, const std::vector<std::int64_t>& shape) {
    std::string text = "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': (";
    for (std::size_t i = 0; i < shape.size(); ++i) {
      text += (i > 0 ? " " : "") + std::to_string(shape[i]) +
              (i + 1 < shape.size() || shape.size() == 1 ? "," : "");
    }
    text += "), }";
    // Magic, version and length take 10 bytes; the whole header is padded to a multiple of 64.
    while ((10 + text.size() + 1) % 64 != 0) text.push_back(' ');
    text.push_back('\n');
    std::string header("\x93NUMPY\x01\x00", 8);
    header.push_back(static_cast<char>(text.size() & 0xFF));
    header.push_back(static_cast<char>(text.size() >> 8));
    header += text;
    return sink_->Write(header.data(), static_cast<std::int64_t>(header.size()));
  }

  Status WriteValues(const arrow::Array& values) {
    if (values.type_id() == arrow::Type::BOOL) {
      const auto& bools = static_cast<const arrow::BooleanArray&>(values);
      std::string bytes(static_cast<std::size_t>(bools.length()), '\0');
      for (std::int64_t i = 0; i < bools.length(); ++i) {
        bytes[static_cast<std::size_t>(i)] = bools.Value(i) ? 1 : 0;
      }
      return sink_->Write(bytes.data(), static_cast<std::int64_t>(bytes.size()));
    }
    const std::int64_t width = values.type()->byte_width();
    const auto& buffer = values.data()->buffers[1];
    if (!buffer) return Status::OK();
    return sink_->Write(buffer->data() + values.offset() * width, values.length() * width);
  }

  const std::string column_;
  const std::shared_ptr<arrow::io::OutputStream> sink_;
  arrow::MemoryPool* const pool_;
  arrow::ArrayVector chunks_;
};

}  // namespace

Result<std::unique_ptr<FileWriter>> MakeNumpyWriter(const FileWriterArgs& args) {
  std::string column = GetString(args.target.options, "column", "");
  if (column.empty()) return Status::Invalid("writing .npy files needs the option 'column'");
  return std::make_unique<NumpyWriter>(std::move(column), args.sink, args.pool);
}

}  // namespace headrace
