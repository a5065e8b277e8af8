#include "headrace/data/exchange/aggregate_folder.h"

#include <arrow/array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/unify.h"
#include "headrace/data/exchange/coded_keys.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

void AppendOnce(const std::string& name, std::vector<std::string>* names) {
  if (std::find(names->begin(), names->end(), name) == names->end()) names->push_back(name);
}

// Returns the values with codes, as a column of type `type` has them, if that is a dictionary's.
// The codes are wider where they could not number the values.
Result<std::shared_ptr<arrow::Array>> Encode(std::shared_ptr<arrow::Array> values,
                                             const std::shared_ptr<arrow::DataType>& type,
                                             arrow::MemoryPool* pool) {
  if (type->id() != arrow::Type::DICTIONARY) return values;
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  auto encoded = arrow::compute::DictionaryEncode(
      values, arrow::compute::DictionaryEncodeOptions::Defaults(), &context);
  if (!encoded.ok()) return values;  // Arrow does not tell values of this type apart.
  const auto& to = static_cast<const arrow::DictionaryType&>(*type);
  const auto coded = std::static_pointer_cast<arrow::DictionaryArray>(encoded->make_array());
  auto codes = arrow::compute::Cast(*coded->indices(), to.index_type(),
                                    arrow::compute::CastOptions::Safe(), &context);
  const auto indices = codes.ok() ? *std::move(codes) : coded->indices();
  return std::make_shared<arrow::DictionaryArray>(
      arrow::dictionary(indices->type(), to.value_type(), to.ordered()), indices,
      coded->dictionary());
}

// Returns a batch of these columns, whose types are their own.
std::shared_ptr<arrow::RecordBatch> BatchOf(SchemaPtr schema, std::int64_t rows,
                                            arrow::ArrayVector columns) {
  for (int i = 0; i < schema->num_fields(); ++i) {
    const auto& type = columns[static_cast<std::size_t>(i)]->type();
    if (type->Equals(*schema->field(i)->type())) continue;
    schema = schema->SetField(i, schema->field(i)->WithType(type)).ValueOrDie();
  }
  return arrow::RecordBatch::Make(std::move(schema), rows, std::move(columns));
}

}  // namespace

std::vector<std::string> AggregateFolder::Columns(const AggregateStep& step, bool from_states) {
  std::vector<std::string> names;
  for (const std::string& key : step.keys) AppendOnce(key, &names);
  for (const AggregateSpec& aggregate : step.aggregates) {
    if (from_states) {
      for (const std::string& name : Accumulator::StateNames(aggregate)) AppendOnce(name, &names);
    } else if (!aggregate.column.empty()) {
      AppendOnce(aggregate.column, &names);
    }
  }
  return names;
}

Result<std::unique_ptr<AggregateFolder>> AggregateFolder::Make(const AggregateStep& step,
                                                               std::shared_ptr<arrow::Schema> input,
                                                               bool from_states,
                                                               arrow::MemoryPool* pool) {
  std::unique_ptr<AggregateFolder> folder(new AggregateFolder());
  folder->input_ = std::move(input);
  folder->from_states_ = from_states;
  folder->num_keys_ = static_cast<int>(step.keys.size());
  folder->pool_ = pool;
  if (std::set<std::string>(step.keys.begin(), step.keys.end()).size() != step.keys.size()) {
    return Status::Invalid("a key is named twice");
  }
  arrow::DataTypeVector& key_types = folder->key_types_;
  for (int i = 0; i < folder->num_keys_; ++i) {
    key_types.push_back(PlainType(folder->input_->field(i)->type()));
  }
  ARROW_RETURN_NOT_OK(folder->AddAggregates(step));
  if (key_types.empty()) {
    folder->num_groups_ = 1;
    for (const Aggregate& aggregate : folder->aggregates_) aggregate.accumulator->Resize(1);
  } else {
    ARROW_ASSIGN_OR_RAISE(folder->table_,
                          GroupTable::Make(key_types, GroupTable::Use::kFold, pool));
  }
  return folder;
}

Status AggregateFolder::AddAggregates(const AggregateStep& step) {
  arrow::FieldVector states;
  arrow::FieldVector results;
  for (int i = 0; i < num_keys_; ++i) {
    states.push_back(arrow::field(step.keys[i], input_->field(i)->type()));
  }
  results = states;
  for (const AggregateSpec& spec : step.aggregates) {
    Aggregate aggregate;
    arrow::DataTypeVector types;
    const auto names = Accumulator::StateNames(spec);
    std::vector<std::string> columns = names;
    if (!from_states_) columns.assign(spec.column.empty() ? 0 : 1, spec.column);
    for (const std::string& column : columns) {
      aggregate.columns.push_back(input_->GetFieldIndex(column));
      types.push_back(input_->field(aggregate.columns.back())->type());
    }
    if (from_states_) {
      ARROW_ASSIGN_OR_RAISE(aggregate.accumulator, Accumulator::MakeForStates(spec, types, pool_));
    } else {
      types.push_back(arrow::null());  // For counts of rows.
      ARROW_ASSIGN_OR_RAISE(aggregate.accumulator, Accumulator::Make(spec, types.front(), pool_));
    }
    const auto state_types = aggregate.accumulator->state_types();
    for (std::size_t i = 0; i < names.size(); ++i) {
      states.push_back(arrow::field(names[i], state_types[i]));
    }
    results.push_back(arrow::field(spec.name, aggregate.accumulator->result_type()));
    aggregates_.push_back(std::move(aggregate));
  }
  std::set<std::string> names;
  for (const auto& field : results) {
    if (!names.insert(field->name()).second) {
      return Status::Invalid("the aggregation would have two columns named '", field->name(), "'");
    }
  }
  state_schema_ = arrow::schema(std::move(states));
  result_schema_ = arrow::schema(std::move(results));
  return Status::OK();
}

Result<GroupIds> AggregateFolder::FindGroups(const arrow::RecordBatch& batch) {
  GroupIds ids;
  ids.rows = batch.num_rows();
  if (table_) {
    ids_.resize(static_cast<std::size_t>(ids.rows));
    arrow::ArrayVector keys;
    for (int i = 0; i < num_keys_; ++i) keys.push_back(batch.column(i));
    ARROW_ASSIGN_OR_RAISE(const bool found, AddCodedKeys(keys, key_types_, ids.rows, table_.get(),
                                                         ids_.data(), pool_));
    if (!found) {
      for (std::size_t i = 0; i < keys.size(); ++i) {
        ARROW_ASSIGN_OR_RAISE(keys[i], PromoteArray(keys[i], key_types_[i], pool_));
      }
      ARROW_RETURN_NOT_OK(table_->Add(keys, ids.rows, ids_.data()));
    }
    ids.ids = ids_.data();
    num_groups_ = table_->num_groups();
  }
  return ids;
}

Status AggregateFolder::Add(const arrow::RecordBatch& batch) {
  ARROW_ASSIGN_OR_RAISE(const GroupIds ids, FindGroups(batch));
  return Accumulate(batch, ids);
}

Status AggregateFolder::AddStates(const arrow::RecordBatch& states) {
  ARROW_ASSIGN_OR_RAISE(const GroupIds ids, FindGroups(states));
  num_rows_ += ids.rows;
  int column = num_keys_;
  for (const Aggregate& aggregate : aggregates_) {
    aggregate.accumulator->Resize(num_groups_);
    arrow::ArrayVector columns;
    for (std::size_t i = 0; i < aggregate.accumulator->state_types().size(); ++i) {
      columns.push_back(states.column(column++));
    }
    ARROW_RETURN_NOT_OK(aggregate.accumulator->AddStates(columns, ids));
  }
  return Status::OK();
}

Status AggregateFolder::AddApart(const arrow::RecordBatch& batch) {
  HEADRACE_CHECK(num_rows_ == 0 && num_keys_ > 0);
  for (int i = 0; i < num_keys_; ++i) {
    ARROW_ASSIGN_OR_RAISE(apart_keys_.emplace_back(),
                          PromoteArray(batch.column(i), input_->field(i)->type(), pool_));
  }
  num_groups_ = batch.num_rows();
  ids_.resize(static_cast<std::size_t>(num_groups_));
  std::iota(ids_.begin(), ids_.end(), 0U);
  return Accumulate(batch, {ids_.data(), num_groups_});
}

Status AggregateFolder::Accumulate(const arrow::RecordBatch& batch, const GroupIds& ids) {
  num_rows_ += ids.rows;
  for (const Aggregate& aggregate : aggregates_) {
    aggregate.accumulator->Resize(num_groups_);
    arrow::ArrayVector columns;
    for (const int column : aggregate.columns) {
      ARROW_ASSIGN_OR_RAISE(
          columns.emplace_back(),
          PromoteArray(batch.column(column), PlainType(batch.column(column)->type()), pool_));
    }
    if (from_states_) {
      ARROW_RETURN_NOT_OK(aggregate.accumulator->AddStates(columns, ids));
    } else {
      ARROW_RETURN_NOT_OK(
          aggregate.accumulator->AddRows(columns.empty() ? nullptr : columns[0].get(), ids));
    }
  }
  return Status::OK();
}

Result<arrow::ArrayVector> AggregateFolder::Keys(std::int64_t begin, std::int64_t end) {
  if (!apart_keys_.empty()) {
    arrow::ArrayVector keys;
    for (const auto& key : apart_keys_) keys.push_back(key->Slice(begin, end - begin));
    return keys;
  }
  if (!table_) return arrow::ArrayVector{};
  ARROW_ASSIGN_OR_RAISE(auto keys, table_->Keys(begin, end));
  for (int i = 0; i < num_keys_; ++i) {
    auto& key = keys[static_cast<std::size_t>(i)];
    ARROW_ASSIGN_OR_RAISE(key, Encode(std::move(key), input_->field(i)->type(), pool_));
  }
  return keys;
}

Result<std::shared_ptr<arrow::RecordBatch>> AggregateFolder::States(std::int64_t begin,
                                                                    std::int64_t end) {
  ARROW_ASSIGN_OR_RAISE(arrow::ArrayVector columns, Keys(begin, end));
  for (const Aggregate& aggregate : aggregates_) {
    ARROW_ASSIGN_OR_RAISE(auto states, aggregate.accumulator->States(begin, end));
    columns.insert(columns.end(), states.begin(), states.end());
  }
  return BatchOf(state_schema_, end - begin, std::move(columns));
}

Result<std::shared_ptr<arrow::RecordBatch>> AggregateFolder::Results(std::int64_t begin,
                                                                     std::int64_t end) {
  ARROW_ASSIGN_OR_RAISE(arrow::ArrayVector columns, Keys(begin, end));
  for (const Aggregate& aggregate : aggregates_) {
    ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), aggregate.accumulator->Results(begin, end));
  }
  return BatchOf(result_schema_, end - begin, std::move(columns));
}

}  // namespace headrace
