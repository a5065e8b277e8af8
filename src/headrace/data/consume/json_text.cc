#include "headrace/data/consume/json_text.h"

#include <arrow/array.h>
#include <arrow/compute/cast.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

namespace headrace {

namespace {

// Returns the code point at the start of `text` and its length; a length of 0: not UTF-8.
std::pair<std::uint32_t, std::size_t> DecodeUtf8(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return {0, 0};
  if (length == 1) return {first, 1};
  std::uint32_t code = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (next & 0x3Fu);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool too_long = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return surrogate || too_long || code > 0x10FFFF ? std::pair<std::uint32_t, std::size_t>{0, 0}
                                                  : std::pair{code, length};
}

void AppendUnicodeEscape(std::uint32_t unit, std::string* out) {
  char text[12];
  std::snprintf(text, sizeof text, "\\u%04x", unit & 0xFFFFu);
  out->append(text, 6);
}

template <class T>
void AppendNumber(T value, std::string* out) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out->append(text.data(), end);
}

template <class T>
void AppendFloat(T value, std::string* out) {
  if (!std::isfinite(value)) {
    out->append("null");
    return;
  }
  const std::size_t start = out->size();
  AppendNumber(value, out);
  // A whole float stays a float when it is read back.
  if (out->find_first_of(".e", start) == std::string::npos) out->append(".0");
}

std::int64_t FloorDivide(std::int64_t value, std::int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

std::int64_t ToMillis(std::int64_t value, arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return value * 1000;
    case arrow::TimeUnit::MILLI:
      return value;
    case arrow::TimeUnit::MICRO:
      return FloorDivide(value, 1000);
    case arrow::TimeUnit::NANO:
      return FloorDivide(value, 1'000'000);
  }
  return value;
}

void AppendTimeOfDay(std::int64_t value, arrow::TimeUnit::type unit, std::string* out) {
  static constexpr std::int64_t kPerSecond[] = {1, 1000, 1'000'000, 1'000'000'000};
  static constexpr int kDigits[] = {0, 3, 6, 9};
  const std::int64_t per_second = kPerSecond[unit];
  const std::int64_t seconds = value / per_second;
  char text[48];
  int size = std::snprintf(text, sizeof text, "\"%02d:%02d:%02d", static_cast<int>(seconds / 3600),
                           static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  if (const std::int64_t fraction = value % per_second; fraction != 0) {
    size += std::snprintf(text + size, sizeof text - static_cast<std::size_t>(size), ".%0*lld",
                          kDigits[unit], static_cast<long long>(fraction));
  }
  out->append(text, static_cast<std::size_t>(size));
  out->push_back('"');
}

// Appends what is not null by a function of array and row.
template <class ArrayType, class Function>
class LeafColumn : public JsonColumn {
 public:
  LeafColumn(std::shared_ptr<ArrayType> array, Function function)
      : array_(std::move(array)), function_(std::move(function)) {}

  Status Append(std::int64_t row, std::string* out) const override {
    if (array_->IsNull(row)) {
      out->append("null");
      return Status::OK();
    }
    return function_(*array_, row, out);
  }

 private:
  const std::shared_ptr<ArrayType> array_;
  const Function function_;
};

template <class ArrayType, class Function>
std::unique_ptr<JsonColumn> Leaf(const std::shared_ptr<arrow::Array>& array, Function function) {
  return std::make_unique<LeafColumn<ArrayType, Function>>(
      std::static_pointer_cast<ArrayType>(array), std::move(function));
}

Status AppendItems(const JsonColumn& items, std::int64_t begin, std::int64_t end,
                   std::string* out) {
  out->push_back('[');
  for (std::int64_t i = begin; i < end; ++i) {
    if (i > begin) out->push_back(',');
    ARROW_RETURN_NOT_OK(items.Append(i, out));
  }
  out->push_back(']');
  return Status::OK();
}

template <class ListType>
Result<std::unique_ptr<JsonColumn>> ListColumn(const std::shared_ptr<arrow::Array>& array) {
  const auto& list = static_cast<const ListType&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto made, JsonColumn::Make(list.values()));
  std::shared_ptr<JsonColumn> items = std::move(made);
  return Leaf<ListType>(array, [items](const ListType& a, std::int64_t row, std::string* out) {
    const std::int64_t begin = a.value_offset(row);
    return AppendItems(*items, begin, begin + a.value_length(row), out);
  });
}

Result<std::unique_ptr<JsonColumn>> MapColumn(const std::shared_ptr<arrow::Array>& array) {
  const auto& map = static_cast<const arrow::MapArray&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto made_keys, JsonColumn::Make(map.keys()));
  ARROW_ASSIGN_OR_RAISE(auto made_items, JsonColumn::Make(map.items()));
  std::shared_ptr<JsonColumn> keys = std::move(made_keys);
  std::shared_ptr<JsonColumn> items = std::move(made_items);
  return Leaf<arrow::MapArray>(
      array, [keys, items](const arrow::MapArray& a, std::int64_t row, std::string* out) {
        out->push_back('[');
        const std::int64_t begin = a.value_offset(row);
        for (std::int64_t i = begin; i < begin + a.value_length(row); ++i) {
          out->append(i > begin ? ",[" : "[");
          ARROW_RETURN_NOT_OK(keys->Append(i, out));
          out->push_back(',');
          ARROW_RETURN_NOT_OK(items->Append(i, out));
          out->push_back(']');
        }
        out->push_back(']');
        return Status::OK();
      });
}

Result<std::unique_ptr<JsonColumn>> StructColumn(const std::shared_ptr<arrow::Array>& array) {
  const auto& record = static_cast<const arrow::StructArray&>(*array);
  std::vector<std::pair<std::string, std::shared_ptr<JsonColumn>>> fields;
  for (int i = 0; i < record.num_fields(); ++i) {
    std::string label = i == 0 ? "{" : ",";
    ARROW_RETURN_NOT_OK(AppendJsonString(record.type()->field(i)->name(), &label));
    label.push_back(':');
    ARROW_ASSIGN_OR_RAISE(auto column, JsonColumn::Make(record.field(i)));
    fields.emplace_back(std::move(label), std::move(column));
  }
  return Leaf<arrow::StructArray>(
      array, [fields](const arrow::StructArray&, std::int64_t row, std::string* out) {
        if (fields.empty()) out->push_back('{');
        for (const auto& [label, column] : fields) {
          out->append(label);
          ARROW_RETURN_NOT_OK(column->Append(row, out));
        }
        out->push_back('}');
        return Status::OK();
      });
}

// Tensors of one shape, as lists in lists.
Result<std::unique_ptr<JsonColumn>> TensorColumn(const std::shared_ptr<arrow::Array>& array) {
  const auto& extension = static_cast<const arrow::ExtensionArray&>(*array);
  const auto& type = static_cast<const arrow::extension::FixedShapeTensorType&>(*array->type());
  const auto& list = static_cast<const arrow::FixedSizeListArray&>(*extension.storage());
  ARROW_ASSIGN_OR_RAISE(auto made, JsonColumn::Make(list.values()));
  std::shared_ptr<JsonColumn> items = std::move(made);
  const std::vector<std::int64_t> shape = type.shape();
  return Leaf<arrow::FixedSizeListArray>(
      extension.storage(),
      [items, shape](const arrow::FixedSizeListArray& a, std::int64_t row, std::string* out) {
        const std::int64_t begin = a.value_offset(row);
        const std::int64_t count = a.value_length(row);
        for (std::int64_t i = 0; i < count; ++i) {
          // Opens a bracket for each axis that starts here, closes one for each that ends.
          std::int64_t span = 1;
          int starts = 0;
          for (std::size_t axis = shape.size(); axis-- > 0;) {
            span *= shape[axis];
            if (i % span != 0) break;
            ++starts;
          }
          if (i > 0) out->push_back(',');
          out->append(static_cast<std::size_t>(starts), '[');
          ARROW_RETURN_NOT_OK(items->Append(begin + i, out));
          span = 1;
          for (std::size_t axis = shape.size(); axis-- > 0;) {
            span *= shape[axis];
            if ((i + 1) % span != 0) break;
            out->push_back(']');
          }
        }
        if (count == 0) out->append("[]");
        return Status::OK();
      });
}

template <class ArrayType>
std::unique_ptr<JsonColumn> Number(const std::shared_ptr<arrow::Array>& array) {
  return Leaf<ArrayType>(array, [](const ArrayType& a, std::int64_t row, std::string* out) {
    if constexpr (std::is_floating_point_v<typename ArrayType::value_type>) {
      AppendFloat(a.Value(row), out);
    } else {
      AppendNumber(a.Value(row), out);
    }
    return Status::OK();
  });
}

template <class ArrayType>
std::unique_ptr<JsonColumn> Text(const std::shared_ptr<arrow::Array>& array) {
  return Leaf<ArrayType>(array, [](const ArrayType& a, std::int64_t row, std::string* out) {
    return AppendJsonString(a.GetView(row), out);
  });
}

template <class ArrayType>
std::unique_ptr<JsonColumn> Decimal(const std::shared_ptr<arrow::Array>& array) {
  return Leaf<ArrayType>(array, [](const ArrayType& a, std::int64_t row, std::string* out) {
    return AppendJsonString(a.FormatValue(row), out);
  });
}

template <class ArrayType, class UnitType>
std::unique_ptr<JsonColumn> Millis(const std::shared_ptr<arrow::Array>& array) {
  const auto unit = static_cast<const UnitType&>(*array->type()).unit();
  return Leaf<ArrayType>(array, [unit](const ArrayType& a, std::int64_t row, std::string* out) {
    AppendNumber(ToMillis(a.Value(row), unit), out);
    return Status::OK();
  });
}

template <class ArrayType, class UnitType>
std::unique_ptr<JsonColumn> TimeOfDay(const std::shared_ptr<arrow::Array>& array) {
  const auto unit = static_cast<const UnitType&>(*array->type()).unit();
  return Leaf<ArrayType>(array, [unit](const ArrayType& a, std::int64_t row, std::string* out) {
    AppendTimeOfDay(a.Value(row), unit, out);
    return Status::OK();
  });
}

Result<std::unique_ptr<JsonColumn>> MakeNumberColumn(const std::shared_ptr<arrow::Array>& array) {
  switch (array->type_id()) {
    case arrow::Type::INT8:
      return Number<arrow::Int8Array>(array);
    case arrow::Type::INT16:
      return Number<arrow::Int16Array>(array);
    case arrow::Type::INT32:
      return Number<arrow::Int32Array>(array);
    case arrow::Type::INT64:
      return Number<arrow::Int64Array>(array);
    case arrow::Type::UINT8:
      return Number<arrow::UInt8Array>(array);
    case arrow::Type::UINT16:
      return Number<arrow::UInt16Array>(array);
    case arrow::Type::UINT32:
      return Number<arrow::UInt32Array>(array);
    case arrow::Type::UINT64:
      return Number<arrow::UInt64Array>(array);
    case arrow::Type::FLOAT:
      return Number<arrow::FloatArray>(array);
    case arrow::Type::DOUBLE:
      return Number<arrow::DoubleArray>(array);
    case arrow::Type::DECIMAL32:
      return Decimal<arrow::Decimal32Array>(array);
    case arrow::Type::DECIMAL64:
      return Decimal<arrow::Decimal64Array>(array);
    case arrow::Type::DECIMAL128:
      return Decimal<arrow::Decimal128Array>(array);
    case arrow::Type::DECIMAL256:
      return Decimal<arrow::Decimal256Array>(array);
    default:
      return Leaf<arrow::HalfFloatArray>(
          array, [](const arrow::HalfFloatArray& a, std::int64_t row, std::string* out) {
            AppendFloat(arrow::util::Float16::FromBits(a.Value(row)).ToFloat(), out);
            return Status::OK();
          });
  }
}

Result<std::unique_ptr<JsonColumn>> MakeTimeColumn(const std::shared_ptr<arrow::Array>& array) {
  switch (array->type_id()) {
    case arrow::Type::DATE32:
      return Leaf<arrow::Date32Array>(
          array, [](const arrow::Date32Array& a, std::int64_t row, std::string* out) {
            AppendNumber(std::int64_t{a.Value(row)} * 86'400'000, out);
            return Status::OK();
          });
    case arrow::Type::DATE64:
      return Number<arrow::Date64Array>(array);
    case arrow::Type::TIMESTAMP:
      return Millis<arrow::TimestampArray, arrow::TimestampType>(array);
    case arrow::Type::DURATION:
      return Millis<arrow::DurationArray, arrow::DurationType>(array);
    case arrow::Type::TIME32:
      return TimeOfDay<arrow::Time32Array, arrow::Time32Type>(array);
    default:
      return TimeOfDay<arrow::Time64Array, arrow::Time64Type>(array);
  }
}

}  // namespace

Status AppendJsonString(std::string_view text, std::string* out) {
  static constexpr std::string_view kEscaped = "\"\\/\b\f\n\r\t";
  static constexpr std::string_view kLetters = "\"\\/bfnrt";
  out->push_back('"');
  while (!text.empty()) {
    const auto [code, length] = DecodeUtf8(text);
    if (length == 0) return Status::Invalid("bytes that are not UTF-8 text have no JSON form");
    const char c = text.front();
    if (length == 1 && kEscaped.find(c) != std::string_view::npos) {
      out->push_back('\\');
      out->push_back(kLetters[kEscaped.find(c)]);
    } else if (length == 1 && code >= 0x20) {
      out->push_back(c);
    } else if (code < 0x10000) {
      AppendUnicodeEscape(code, out);
    } else {
      AppendUnicodeEscape(0xD800 + ((code - 0x10000) >> 10), out);
      AppendUnicodeEscape(0xDC00 + ((code - 0x10000) & 0x3FF), out);
    }
    text.remove_prefix(length);
  }
  out->push_back('"');
  return Status::OK();
}

Result<std::unique_ptr<JsonColumn>> JsonColumn::Make(const std::shared_ptr<arrow::Array>& array) {
  const arrow::Type::type id = array->type_id();
  if (arrow::is_integer(id) || arrow::is_floating(id) || arrow::is_decimal(id)) {
    return MakeNumberColumn(array);
  }
  if (id == arrow::Type::DURATION || (arrow::is_temporal(id) && !arrow::is_interval(id))) {
    return MakeTimeColumn(array);
  }
  switch (id) {
    case arrow::Type::NA:
      return Leaf<arrow::Array>(
          array, [](const arrow::Array&, std::int64_t, std::string*) { return Status::OK(); });
    case arrow::Type::BOOL:
      return Leaf<arrow::BooleanArray>(
          array, [](const arrow::BooleanArray& a, std::int64_t row, std::string* out) {
            out->append(a.Value(row) ? "true" : "false");
            return Status::OK();
          });
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return Text<arrow::BinaryArray>(array);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return Text<arrow::LargeBinaryArray>(array);
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return Text<arrow::BinaryViewArray>(array);
    case arrow::Type::FIXED_SIZE_BINARY:
      return Text<arrow::FixedSizeBinaryArray>(array);
    case arrow::Type::LIST:
      return ListColumn<arrow::ListArray>(array);
    case arrow::Type::LARGE_LIST:
      return ListColumn<arrow::LargeListArray>(array);
    case arrow::Type::FIXED_SIZE_LIST:
      return ListColumn<arrow::FixedSizeListArray>(array);
    case arrow::Type::MAP:
      return MapColumn(array);
    case arrow::Type::STRUCT:
      return StructColumn(array);
    case arrow::Type::DICTIONARY: {
      const auto& type = static_cast<const arrow::DictionaryType&>(*array->type());
      ARROW_ASSIGN_OR_RAISE(auto plain, arrow::compute::Cast(*array, type.value_type()));
      return Make(plain);
    }
    case arrow::Type::EXTENSION: {
      const auto& type = static_cast<const arrow::ExtensionType&>(*array->type());
      if (type.extension_name() == "arrow.fixed_shape_tensor") return TensorColumn(array);
      if (type.extension_name() == "headrace.object") break;
      return Make(static_cast<const arrow::ExtensionArray&>(*array).storage());
    }
    default:
      break;
  }
  return Status::NotImplemented("type ", array->type()->ToString(), " has no JSON form");
}

}  // namespace headrace
