#include <Python.h>
#include <arrow/api.h>
#include <arrow/util/float16.h>
#include <datetime.h>

#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "rows.h"

namespace nb = nanobind;

namespace headrace::python {
namespace {

PyObject* None() { return Py_NewRef(Py_None); }

PyObject* ToPython(bool v) { return PyBool_FromLong(v); }
PyObject* ToPython(std::int8_t v) { return PyLong_FromLong(v); }
PyObject* ToPython(std::int16_t v) { return PyLong_FromLong(v); }
PyObject* ToPython(std::int32_t v) { return PyLong_FromLong(v); }
PyObject* ToPython(std::int64_t v) { return PyLong_FromLongLong(v); }
PyObject* ToPython(std::uint8_t v) { return PyLong_FromLong(v); }
PyObject* ToPython(std::uint16_t v) { return PyLong_FromLong(v); }
PyObject* ToPython(std::uint32_t v) { return PyLong_FromUnsignedLong(v); }
PyObject* ToPython(std::uint64_t v) { return PyLong_FromUnsignedLongLong(v); }
PyObject* ToPython(float v) { return PyFloat_FromDouble(v); }
PyObject* ToPython(double v) { return PyFloat_FromDouble(v); }

// Numbers, booleans: what Value(i) gives.
template <class ArrayType>
class PlainReader final : public ValueReader {
 public:
  explicit PlainReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<ArrayType>(std::move(array))),
        has_nulls_(array_->null_count() != 0) {}
  PyObject* At(std::int64_t row) override {
    if (has_nulls_ && array_->IsNull(row)) return None();
    return ToPython(array_->Value(row));
  }

 private:
  std::shared_ptr<ArrayType> array_;
  const bool has_nulls_;
};

class HalfReader final : public ValueReader {
 public:
  explicit HalfReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<arrow::HalfFloatArray>(std::move(array))) {}
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    return PyFloat_FromDouble(arrow::util::Float16::FromBits(array_->Value(row)).ToDouble());
  }

 private:
  std::shared_ptr<arrow::HalfFloatArray> array_;
};

template <class ArrayType, bool is_text>
class BytesReader final : public ValueReader {
 public:
  explicit BytesReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<ArrayType>(std::move(array))),
        has_nulls_(array_->null_count() != 0) {}
  PyObject* At(std::int64_t row) override {
    if (has_nulls_ && array_->IsNull(row)) return None();
    const std::string_view value = array_->GetView(row);
    const auto size = static_cast<Py_ssize_t>(value.size());
    if constexpr (is_text) return PyUnicode_FromStringAndSize(value.data(), size);
    return PyBytes_FromStringAndSize(value.data(), size);
  }

 private:
  std::shared_ptr<ArrayType> array_;
  const bool has_nulls_;
};

class NullReader final : public ValueReader {
 public:
  PyObject* At(std::int64_t) override { return None(); }
};

struct CivilDate {
  int year, month, day;
};

// Days since 1970-01-01 to a date of the proleptic Gregorian calendar (Howard Hinnant's method).
CivilDate CivilFromDays(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t doe = days - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const std::int64_t month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<int>(yoe + era * 400 + (month <= 2 ? 1 : 0)), static_cast<int>(month),
          static_cast<int>(doy - (153 * mp + 2) / 5 + 1)};
}

class DateReader final : public ValueReader {
 public:
  explicit DateReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<arrow::Date32Array>(std::move(array))) {}
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    const CivilDate date = CivilFromDays(array_->Value(row));
    return PyDate_FromDate(date.year, date.month, date.day);
  }

 private:
  std::shared_ptr<arrow::Date32Array> array_;
};

// Timestamps without a zone, down to microseconds; nanoseconds do not fit into a datetime.
class TimestampReader final : public ValueReader {
 public:
  TimestampReader(std::shared_ptr<arrow::Array> array, std::int64_t per_second)
      : array_(std::static_pointer_cast<arrow::TimestampArray>(std::move(array))),
        per_second_(per_second) {}
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    const std::int64_t value = array_->Value(row);
    std::int64_t seconds = value / per_second_;
    std::int64_t rest = value % per_second_;
    if (rest < 0) rest += per_second_, --seconds;
    std::int64_t days = seconds / 86400;
    std::int64_t second = seconds % 86400;
    if (second < 0) second += 86400, --days;
    const CivilDate date = CivilFromDays(days);
    return PyDateTime_FromDateAndTime(
        date.year, date.month, date.day, static_cast<int>(second / 3600),
        static_cast<int>(second / 60 % 60), static_cast<int>(second % 60),
        static_cast<int>(rest * (1'000'000 / per_second_)));
  }

 private:
  std::shared_ptr<arrow::TimestampArray> array_;
  const std::int64_t per_second_;
};

template <class ArrayType>
class ListReader final : public ValueReader {
 public:
  explicit ListReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<ArrayType>(std::move(array))),
        values_(MakeValueReader(array_->values())) {}
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    const std::int64_t begin = array_->value_offset(row);
    const std::int64_t size = array_->value_length(row);
    PyObject* list = PyList_New(static_cast<Py_ssize_t>(size));
    for (std::int64_t i = 0; list != nullptr && i < size; ++i) {
      PyObject* item = values_->At(begin + i);
      if (item == nullptr) {
        Py_DECREF(list);
        return nullptr;
      }
      PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
    }
    return list;
  }

 private:
  std::shared_ptr<ArrayType> array_;
  std::unique_ptr<ValueReader> values_;
};

class StructReader final : public ValueReader {
 public:
  explicit StructReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<arrow::StructArray>(std::move(array))) {
    for (int i = 0; i < array_->num_fields(); ++i) {
      const std::string& name = array_->struct_type()->field(i)->name();
      names_.push_back(nb::steal(
          PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size()))));
      fields_.push_back(MakeValueReader(array_->field(i)));
    }
  }
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    PyObject* dict = PyDict_New();
    for (std::size_t i = 0; dict != nullptr && i < fields_.size(); ++i) {
      PyObject* value = fields_[i]->At(row);
      if (value == nullptr || PyDict_SetItem(dict, names_[i].ptr(), value) != 0) {
        Py_XDECREF(value);
        Py_DECREF(dict);
        return nullptr;
      }
      Py_DECREF(value);
    }
    return dict;
  }

 private:
  std::shared_ptr<arrow::StructArray> array_;
  std::vector<nb::object> names_;
  std::vector<std::unique_ptr<ValueReader>> fields_;
};

// Strings that repeat: one Python object per entry of the dictionary, shared by its rows.
class DictionaryReader final : public ValueReader {
 public:
  explicit DictionaryReader(std::shared_ptr<arrow::Array> array)
      : array_(std::static_pointer_cast<arrow::DictionaryArray>(std::move(array))),
        values_(MakeValueReader(array_->dictionary())),
        known_(static_cast<std::size_t>(array_->dictionary()->length())) {}
  PyObject* At(std::int64_t row) override {
    if (array_->IsNull(row)) return None();
    const std::int64_t index = array_->GetValueIndex(row);
    nb::object& known = known_[static_cast<std::size_t>(index)];
    if (!known.is_valid()) known = nb::steal(values_->At(index));
    return known.is_valid() ? Py_NewRef(known.ptr()) : nullptr;
  }

 private:
  std::shared_ptr<arrow::DictionaryArray> array_;
  std::unique_ptr<ValueReader> values_;
  std::vector<nb::object> known_;
};

// All other types: a sequence made at once by Python.
class SequenceReader final : public ValueReader {
 public:
  explicit SequenceReader(const std::shared_ptr<arrow::Array>& array)
      : values_(nb::module_::import_("headrace._internal.convert")
                    .attr("row_values")(nb::cast(array))) {}
  PyObject* At(std::int64_t row) override {
    return PySequence_GetItem(values_.ptr(), static_cast<Py_ssize_t>(row));
  }

 private:
  nb::object values_;
};

template <class Reader>
std::unique_ptr<ValueReader> Make(const std::shared_ptr<arrow::Array>& array) {
  return std::make_unique<Reader>(array);
}

std::unique_ptr<ValueReader> MakeTimestampReader(const std::shared_ptr<arrow::Array>& array) {
  const auto& type = static_cast<const arrow::TimestampType&>(*array->type());
  if (!type.timezone().empty() || type.unit() == arrow::TimeUnit::NANO) {
    return Make<SequenceReader>(array);
  }
  const std::int64_t per_second = type.unit() == arrow::TimeUnit::SECOND  ? 1
                                  : type.unit() == arrow::TimeUnit::MILLI ? 1'000
                                                                          : 1'000'000;
  return std::make_unique<TimestampReader>(array, per_second);
}

}  // namespace

std::unique_ptr<ValueReader> MakeValueReader(const std::shared_ptr<arrow::Array>& array) {
  if (PyDateTimeAPI == nullptr) {
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == nullptr) throw nb::python_error();
  }
  switch (array->type_id()) {
    case arrow::Type::NA:
      return std::make_unique<NullReader>();
    case arrow::Type::BOOL:
      return Make<PlainReader<arrow::BooleanArray>>(array);
    case arrow::Type::INT8:
      return Make<PlainReader<arrow::Int8Array>>(array);
    case arrow::Type::INT16:
      return Make<PlainReader<arrow::Int16Array>>(array);
    case arrow::Type::INT32:
      return Make<PlainReader<arrow::Int32Array>>(array);
    case arrow::Type::INT64:
      return Make<PlainReader<arrow::Int64Array>>(array);
    case arrow::Type::UINT8:
      return Make<PlainReader<arrow::UInt8Array>>(array);
    case arrow::Type::UINT16:
      return Make<PlainReader<arrow::UInt16Array>>(array);
    case arrow::Type::UINT32:
      return Make<PlainReader<arrow::UInt32Array>>(array);
    case arrow::Type::UINT64:
      return Make<PlainReader<arrow::UInt64Array>>(array);
    case arrow::Type::FLOAT:
      return Make<PlainReader<arrow::FloatArray>>(array);
    case arrow::Type::DOUBLE:
      return Make<PlainReader<arrow::DoubleArray>>(array);
    case arrow::Type::HALF_FLOAT:
      return Make<HalfReader>(array);
    case arrow::Type::STRING:
      return Make<BytesReader<arrow::StringArray, true>>(array);
    case arrow::Type::LARGE_STRING:
      return Make<BytesReader<arrow::LargeStringArray, true>>(array);
    case arrow::Type::BINARY:
      return Make<BytesReader<arrow::BinaryArray, false>>(array);
    case arrow::Type::LARGE_BINARY:
      return Make<BytesReader<arrow::LargeBinaryArray, false>>(array);
    case arrow::Type::FIXED_SIZE_BINARY:
      return Make<BytesReader<arrow::FixedSizeBinaryArray, false>>(array);
    case arrow::Type::DATE32:
      return Make<DateReader>(array);
    case arrow::Type::TIMESTAMP:
      return MakeTimestampReader(array);
    case arrow::Type::LIST:
      return Make<ListReader<arrow::ListArray>>(array);
    case arrow::Type::LARGE_LIST:
      return Make<ListReader<arrow::LargeListArray>>(array);
    case arrow::Type::FIXED_SIZE_LIST:
      return Make<ListReader<arrow::FixedSizeListArray>>(array);
    case arrow::Type::STRUCT:
      return Make<StructReader>(array);
    case arrow::Type::DICTIONARY:
      return Make<DictionaryReader>(array);
    default:
      return Make<SequenceReader>(array);
  }
}

}  // namespace headrace::python
