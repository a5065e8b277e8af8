#include "headrace/data/exchange/aggregate_folder.h"

#include <arrow/array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/exec.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

void AppendOnce(const std::string& name, std::vector<std::string>* names) {
  if (std::find(names->begin(), names->end(), name) == names->end()) names->push_back(name);
}

// Returns the values that a dictionary array stands for; other arrays as they are.
Result<std::shared_ptr<arrow::Array>> Decode(std::shared_ptr<arrow::Array> array,
                                             arrow::MemoryPool* pool) {
  if (array->type_id() != arrow::Type::DICTIONARY) return array;
  const auto& coded = static_cast<const arrow::DictionaryArray&>(*array);
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  return arrow::compute::Take(*coded.dictionary(), *coded.indices(),
                              arrow::compute::TakeOptions::NoBoundsCheck(), &context);
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
  arrow::DataTypeVector key_types;
  for (int i = 0; i < folder->num_keys_; ++i) {
    key_types.push_back(folder->input_->field(i)->type());
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
    ARROW_RETURN_NOT_OK(table_->Add(keys, ids.rows, ids_.data()));
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
  for (int i = 0; i < num_keys_; ++i) apart_keys_.push_back(batch.column(i));
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
      ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), Decode(batch.column(column), pool_));
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
  return table_->Keys(begin, end);
}

Result<std::shared_ptr<arrow::RecordBatch>> AggregateFolder::States(std::int64_t begin,
                                                                    std::int64_t end) {
  ARROW_ASSIGN_OR_RAISE(arrow::ArrayVector columns, Keys(begin, end));
  for (const Aggregate& aggregate : aggregates_) {
    ARROW_ASSIGN_OR_RAISE(auto states, aggregate.accumulator->States(begin, end));
    columns.insert(columns.end(), states.begin(), states.end());
  }
  return arrow::RecordBatch::Make(state_schema_, end - begin, std::move(columns));
}

Result<std::shared_ptr<arrow::RecordBatch>> AggregateFolder::Results(std::int64_t begin,
                                                                     std::int64_t end) {
  ARROW_ASSIGN_OR_RAISE(arrow::ArrayVector columns, Keys(begin, end));
  for (const Aggregate& aggregate : aggregates_) {
    ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), aggregate.accumulator->Results(begin, end));
  }
  return arrow::RecordBatch::Make(result_schema_, end - begin, std::move(columns));
}

}  // namespace headrace
