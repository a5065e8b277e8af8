// Plans of the operators that need all of their input, and the groups of a block.

#include <arrow/api.h>
#include <arrow/compare.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/block/unify.h"
#include "headrace/data/exchange/sort_key.h"
#include "resources.h"

namespace headrace::python {
namespace {

using Names = std::vector<std::string>;
// (column, descending, nulls first)
using KeyTuple = std::tuple<std::string, bool, bool>;
// (kind, column, name, ignore nulls, parameter)
using AggregateTuple = std::tuple<std::string, std::string, std::string, bool, double>;

PyPlan Over(LogicalKind kind, std::vector<LogicalPtr> inputs) {
  return {LogicalOperator::Make(std::move(kind), std::move(inputs))};
}

// By the order of the enumerators.
constexpr std::array<std::string_view, 14> kAggregates = {
    "count",      "sum",      "min",    "max",  "mean",           "std",
    "abs_max",    "quantile", "unique", "list", "count_distinct", "missing_share",
    "zero_share", "first"};
constexpr std::array<std::string_view, 8> kJoins = {"inner",      "left_outer", "right_outer",
                                                    "full_outer", "left_semi",  "right_semi",
                                                    "left_anti",  "right_anti"};

template <class Enum, std::size_t n>
Enum Find(const std::array<std::string_view, n>& names, const std::string& name) {
  for (std::size_t i = 0; i < n; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  throw nb::value_error(("unknown name: " + name).c_str());
}

PyPlan RepartitionOver(const PyPlan& self, std::int64_t blocks, std::int64_t rows_per_block,
                       Names keys, bool shuffle, std::uint64_t seed, bool sort) {
  return Over(logical::Repartition{blocks, rows_per_block, std::move(keys), shuffle, seed, sort},
              {self.plan});
}

PyPlan ShuffleOver(const PyPlan& self, std::uint64_t seed, std::int64_t blocks,
                   std::optional<Placement> placement) {
  return Over(logical::RandomShuffle{seed, blocks, placement.value_or(Placement{})}, {self.plan});
}

std::vector<SortKey> SortKeys(std::vector<KeyTuple> keys) {
  std::vector<SortKey> made;
  for (auto& [column, descending, nulls_first] : keys) {
    made.push_back({std::move(column), descending, nulls_first});
  }
  return made;
}

PyPlan SortOver(const PyPlan& self, std::vector<KeyTuple> keys,
                const std::vector<nb::bytes>& boundaries) {
  logical::Sort sort{SortKeys(std::move(keys)), {}};
  for (const nb::bytes& key : boundaries) sort.boundaries.emplace_back(key.c_str(), key.size());
  return Over(std::move(sort), {self.plan});
}

PyPlan AggregateOver(const PyPlan& self, Names keys, std::vector<AggregateTuple> aggregates,
                     std::int64_t partitions) {
  logical::Aggregate aggregate{std::move(keys), {}, partitions};
  for (auto& [kind, column, name, ignore_nulls, parameter] : aggregates) {
    aggregate.aggregates.push_back({Find<AggregateKind>(kAggregates, kind), std::move(column),
                                    std::move(name), ignore_nulls, parameter});
  }
  return Over(std::move(aggregate), {self.plan});
}

PyPlan JoinOver(const PyPlan& self, const PyPlan& right, const std::string& kind, Names left_keys,
                Names right_keys, std::string left_suffix, std::string right_suffix,
                std::int64_t partitions) {
  JoinStep step{Find<JoinKind>(kJoins, kind), std::move(left_keys), std::move(right_keys),
                std::move(left_suffix), std::move(right_suffix)};
  return Over(logical::Join{std::move(step), partitions}, {self.plan, right.plan});
}

PyPlan ZipOf(const std::vector<PyPlan>& plans) {
  if (plans.size() < 2) throw nb::value_error("a zip needs at least two plans");
  std::vector<LogicalPtr> inputs;
  for (const PyPlan& plan : plans) inputs.push_back(plan.plan);
  return Over(logical::Zip{}, std::move(inputs));
}

// ---- Groups ---------------------------------------------------------------------------------

// Marks in `starts` the rows whose value differs from that of the row before. Null equals null,
// nan equals nan, and zeros of either sign are equal.
template <class View>
void MarkChanges(const arrow::Array& values, View view, std::vector<bool>* starts) {
  for (std::int64_t row = 1; row < values.length(); ++row) {
    if ((*starts)[row]) continue;
    const bool null = values.IsNull(row);
    if (null != values.IsNull(row - 1)) {
      (*starts)[row] = true;
    } else if (!null) {
      (*starts)[row] = !view(row, row - 1);
    }
  }
}

struct ChangeMarker {
  const arrow::Array& values;
  std::vector<bool>* starts;

  template <class Type>
  arrow::Status Visit(const Type&) {
    if constexpr (arrow::is_floating_type<Type>::value &&
                  !std::is_same_v<Type, arrow::HalfFloatType>) {
      const auto* data = static_cast<const arrow::NumericArray<Type>&>(values).raw_values();
      MarkChanges(
          values,
          [&](std::int64_t a, std::int64_t b) {
            return data[a] == data[b] || (std::isnan(data[a]) && std::isnan(data[b]));
          },
          starts);
    } else if constexpr (arrow::has_c_type<Type>::value && !arrow::is_boolean_type<Type>::value &&
                         !std::is_same_v<Type, arrow::HalfFloatType>) {
      const auto* data = values.data()->GetValues<typename Type::c_type>(1);
      MarkChanges(
          values, [&](std::int64_t a, std::int64_t b) { return data[a] == data[b]; }, starts);
    } else if constexpr (arrow::is_base_binary_type<Type>::value) {
      const auto& data = static_cast<const typename arrow::TypeTraits<Type>::ArrayType&>(values);
      MarkChanges(
          values,
          [&](std::int64_t a, std::int64_t b) { return data.GetView(a) == data.GetView(b); },
          starts);
    } else {
      const auto options = arrow::EqualOptions::Defaults().nans_equal(true);
      MarkChanges(
          values,
          [&](std::int64_t a, std::int64_t b) {
            return values.RangeEquals(a, a + 1, b, values, options);
          },
          starts);
    }
    return arrow::Status::OK();
  }
};

Result<std::vector<std::int64_t>> GroupStarts(const arrow::Table& table, const Names& keys) {
  if (table.num_rows() == 0) return std::vector<std::int64_t>{};
  std::vector<bool> marks(static_cast<std::size_t>(table.num_rows()), false);
  marks[0] = true;
  for (const std::string& key : keys) {
    const auto column = table.GetColumnByName(key);
    if (column == nullptr) return Status::KeyError("no column '", key, "'");
    std::shared_ptr<arrow::Array> values = column->num_chunks() == 1 ? column->chunk(0) : nullptr;
    if (values == nullptr) {
      ARROW_ASSIGN_OR_RAISE(values, JoinArrays(column->chunks(), nullptr));
    }
    // Codes that differ may stand for one value.
    ARROW_ASSIGN_OR_RAISE(values, PromoteArray(values, PlainType(values->type()), nullptr));
    ChangeMarker marker{*values, &marks};
    ARROW_RETURN_NOT_OK(arrow::VisitTypeInline(*values->type(), &marker));
  }
  std::vector<std::int64_t> starts;
  for (std::size_t row = 0; row < marks.size(); ++row) {
    if (marks[row]) starts.push_back(static_cast<std::int64_t>(row));
  }
  return starts;
}

// Returns the least string that is above all that begin with `prefix`.
std::string After(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

// Encodes ascending values of a first key as the cuts of a sorted output: before the first row at
// or above the value; in a descending output, behind the last such row.
std::vector<nb::bytes> SortBoundaries(const std::shared_ptr<arrow::Array>& values,
                                      bool descending) {
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("key", values->type())}), {values});
  const auto encoder = Unwrap(SortKeyEncoder::Make(*table, {{"key", descending, false}},
                                                   arrow::default_memory_pool(),
                                                   /*any_type=*/true));
  std::vector<nb::bytes> cuts;
  for (std::int64_t i = 0; i < values->length(); ++i) {
    std::string key;
    encoder.Append(descending ? values->length() - 1 - i : i, &key);
    if (descending) key = After(std::move(key));
    cuts.emplace_back(key.data(), key.size());
  }
  return cuts;
}

}  // namespace

void BindExchange(nb::module_& module) {
  auto plan = nb::borrow<nb::class_<PyPlan>>(module.attr("Plan"));
  plan.def("repartition", &RepartitionOver, nb::kw_only(), nb::arg("blocks") = -1,
           nb::arg("rows_per_block") = -1, nb::arg("keys") = nb::tuple(),
           nb::arg("shuffle") = false, nb::arg("seed") = 0, nb::arg("sort") = false)
      .def("random_shuffle", &ShuffleOver, nb::arg("seed"), nb::arg("blocks") = -1,
           nb::arg("placement") = nb::none())
      .def(
          "randomize_blocks",
          [](const PyPlan& self, std::uint64_t seed) {
            return Over(logical::RandomizeBlocks{seed}, {self.plan});
          },
          nb::arg("seed"))
      .def("sort", &SortOver, nb::arg("keys"), nb::arg("boundaries") = nb::tuple())
      .def("aggregate", &AggregateOver, nb::arg("keys"), nb::arg("aggregates"),
           nb::arg("partitions") = -1)
      .def(
          "group",
          [](const PyPlan& self, Names keys, std::int64_t partitions) {
            return Over(logical::Group{std::move(keys), partitions}, {self.plan});
          },
          nb::arg("keys"), nb::arg("partitions") = -1)
      .def("join", &JoinOver, nb::arg("right"), nb::arg("kind"), nb::arg("left_keys"),
           nb::arg("right_keys"), nb::arg("left_suffix") = "", nb::arg("right_suffix") = "",
           nb::arg("partitions") = -1)
      .def_static("zip", &ZipOf, nb::arg("plans"));
  module.def("sort_boundaries", &SortBoundaries, nb::arg("values"), nb::arg("descending"));
  module.def(
      "group_starts",
      [](const std::shared_ptr<arrow::Table>& table, const Names& keys) {
        return Unwrap(GroupStarts(*table, keys));
      },
      nb::arg("table"), nb::arg("keys"));
}

}  // namespace headrace::python
