#include "headrace/data/read/read_stream.h"

#include <arrow/array/util.h>
#include <arrow/compute/cast.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/options.h"
#include "headrace/data/transform/codes.h"
#include "headrace/data/transform/evaluate.h"
#include "headrace/data/transform/failure.h"

namespace headrace {

namespace {

std::shared_ptr<arrow::Table> WithColumn(const std::shared_ptr<arrow::Table>& table,
                                         const std::shared_ptr<arrow::Field>& field,
                                         std::shared_ptr<arrow::ChunkedArray> column) {
  arrow::FieldVector fields = table->schema()->fields();
  arrow::ChunkedArrayVector columns = table->columns();
  const int index = table->schema()->GetFieldIndex(field->name());
  if (index >= 0) {  // The path's value stands, as it does for partition columns in a file.
    fields[static_cast<std::size_t>(index)] = field;
    columns[static_cast<std::size_t>(index)] = std::move(column);
  } else {
    fields.push_back(field);
    columns.push_back(std::move(column));
  }
  return arrow::Table::Make(arrow::schema(std::move(fields), table->schema()->metadata()),
                            std::move(columns), table->num_rows());
}

bool GoesOn(const ReadUnit& unit, const ReadUnit& next) {
  return unit.end >= 0 && next.begin == unit.end && next.end >= 0 && next.path == unit.path &&
         next.partition == unit.partition && !unit.payload && !next.payload &&
         unit.more_paths.empty() && next.more_paths.empty();
}

// Units that go on where the one before ends are read as one: to open each costs more than the rows
// of a small one.
std::vector<ReadUnit> Joined(std::vector<ReadUnit> units) {
  std::vector<ReadUnit> joined;
  for (ReadUnit& unit : units) {
    if (joined.empty() || !GoesOn(joined.back(), unit)) {
      joined.push_back(std::move(unit));
      continue;
    }
    ReadUnit& whole = joined.back();
    whole.end = unit.end;
    whole.num_rows = whole.num_bytes = -1;
  }
  return joined;
}

// The units of one task, one after another, with the columns that come from their paths.
class UnitsStream : public BatchStream {
 public:
  UnitsStream(const ReadStep& step, std::vector<ReadUnit> units, const TaskContext& context)
      : step_(step),
        units_(Joined(std::move(units))),
        context_(context),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()),
        needed_(NeededColumns(step)) {}

  Result<std::optional<Batch>> Next() override {
    while (true) {
      if (context_.cancelled && context_.cancelled->load(std::memory_order_relaxed)) {
        return Status::Cancelled("the task was cancelled");
      }
      if (!open_ && next_unit_ == units_.size()) return yielded_ ? std::nullopt : EmptyBatch();
      auto batch = Pull();
      if (!batch.ok()) return AddOrigin(batch.status(), FailureKind::kDataError, origin_);
      if (!*batch) {
        open_.reset();
        continue;
      }
      yielded_ = true;
      return batch;
    }
  }

 private:
  Result<std::optional<Batch>> Pull() {
    if (!open_) ARROW_RETURN_NOT_OK(OpenNext());
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, open_->Next());
    if (!batch) return std::nullopt;
    if (!batch->origin.files) batch->origin.files = origin_.files;
    if (batch->origin.first_row < 0 && rows_known_) {
      batch->origin.first_row = unit_rows_;
      batch->origin.end_row = unit_rows_ + batch->block.num_rows();
    }
    batch->origin.rows_of_file = batch->origin.first_row >= 0 && origin_.files != nullptr;
    unit_rows_ += batch->block.num_rows();
    origin_.first_row = rows_known_ ? unit_rows_ : -1;
    origin_.rows_of_file = rows_known_;
    if (IsComplete(*batch->block.table())) return batch;
    ARROW_ASSIGN_OR_RAISE(auto table, Complete(batch->block.table()));
    if (table != batch->block.table()) batch->block = Block(std::move(table), -1);
    return batch;
  }

  Status OpenNext() {
    const ReadUnit& unit = units_[next_unit_++];
    unit_rows_ = 0;
    rows_known_ = unit.begin == 0;  // Else the reader says where its rows stand in the file.
    origin_ = Origin{};
    origin_.files = FilesOf(unit);
    ARROW_ASSIGN_OR_RAISE(const Reader* reader, FindReader(step_.source->format));
    ARROW_ASSIGN_OR_RAISE(open_, reader->Open(step_, unit, context_));
    return Status::OK();
  }

  bool IsNeeded(const std::string& name) const {
    return !needed_ || std::find(needed_->begin(), needed_->end(), name) != needed_->end();
  }

  // Returns true for what the reader gave just as it is to leave: the usual case.
  bool IsComplete(const arrow::Table& table) const {
    const ReadSource& source = *step_.source;
    return !needed_ && !source.partition_schema && source.options.empty() &&
           table.schema() == source.schema;
  }

  // Adds "path" and the partition columns, and fits the rest to the source's schema.
  Result<std::shared_ptr<arrow::Table>> Complete(std::shared_ptr<arrow::Table> table) {
    const ReadUnit& unit = units_[next_unit_ - 1];
    const std::int64_t rows = table->num_rows();
    if (const auto& types = step_.source->partition_schema) {
      for (const auto& [name, value] : unit.partition) {
        const auto field = types->GetFieldByName(name);
        if (!field || !IsNeeded(name)) continue;
        ARROW_ASSIGN_OR_RAISE(auto column, Constant(value, field->type(), rows));
        table = WithColumn(table, field, std::move(column));
      }
    }
    if (IsNeeded(kPathColumn) && GetBool(step_.source->options, "include_paths", false)) {
      ARROW_ASSIGN_OR_RAISE(auto column, Constant(unit.path, arrow::utf8(), rows));
      table = WithColumn(table, arrow::field(kPathColumn, arrow::utf8()), std::move(column));
    }
    return step_.source->schema ? Fit(std::move(table)) : table;
  }

  Result<std::shared_ptr<arrow::ChunkedArray>> Constant(
      const std::string& value, const std::shared_ptr<arrow::DataType>& type, std::int64_t rows) {
    std::shared_ptr<arrow::Scalar> scalar;
    if (value == "__HIVE_DEFAULT_PARTITION__") {
      scalar = arrow::MakeNullScalar(type);
    } else {
      ARROW_ASSIGN_OR_RAISE(scalar, arrow::Scalar::Parse(type, value));
    }
    ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(*scalar, rows, pool_));
    return std::make_shared<arrow::ChunkedArray>(std::move(array));
  }

  // Columns in the order, and of the types, of the source's schema; missing ones are null. Codes
  // for text stay.
  Result<std::shared_ptr<arrow::Table>> Fit(std::shared_ptr<arrow::Table> table) {
    ARROW_ASSIGN_OR_RAISE(const auto wanted, WantedSchema());
    // To compare schemas is dear: it writes both out as text.
    if (table->schema() == wanted) return table;
    if (table->schema()->Equals(*wanted, /*check_metadata=*/false)) return table;
    arrow::ChunkedArrayVector columns;
    arrow::FieldVector fields;
    for (const auto& field : wanted->fields()) {
      fields.push_back(field);
      auto column = table->GetColumnByName(field->name());
      if (!column) {
        ARROW_ASSIGN_OR_RAISE(auto nulls,
                              arrow::MakeArrayOfNull(field->type(), table->num_rows(), pool_));
        column = std::make_shared<arrow::ChunkedArray>(std::move(nulls));
      } else if (IsCoded(*column->type(), *field->type())) {
        ARROW_ASSIGN_OR_RAISE(column, CheckCodes(column, *field->type(), pool_));
        fields.back() = field->WithType(column->type());
      } else if (!column->type()->Equals(*field->type())) {
        arrow::compute::ExecContext exec(pool_);
        auto cast =
            arrow::compute::Cast(column, field->type(), arrow::compute::CastOptions::Safe(), &exec);
        if (!cast.ok()) {
          return cast.status().WithMessage(
              "column '", field->name(), "' is ", column->type()->ToString(), " here but ",
              field->type()->ToString(), " in the data set: ", cast.status().message());
        }
        column = cast->chunked_array();
      }
      columns.push_back(std::move(column));
    }
    // One object for all batches that are alike: their schemas are compared again and again.
    const auto same = [&](const auto& a, const auto& b) { return a->type() == b->type(); };
    if (!fitted_ || !std::equal(fields.begin(), fields.end(), fitted_->fields().begin(),
                                fitted_->fields().end(), same)) {
      fitted_ = arrow::schema(std::move(fields), wanted->metadata());
    }
    return arrow::Table::Make(fitted_, std::move(columns), table->num_rows());
  }

  Result<std::shared_ptr<arrow::Schema>> WantedSchema() {
    const std::shared_ptr<arrow::Schema>& all = step_.source->schema;
    if (!needed_) return all;
    if (wanted_) return wanted_;
    for (const std::string& name : *needed_) {
      if (all->GetFieldIndex(name) < 0) return UnknownColumn(name, *all);
    }
    arrow::FieldVector fields;
    for (const auto& field : all->fields()) {
      if (IsNeeded(field->name())) fields.push_back(field);
    }
    wanted_ = arrow::schema(std::move(fields), all->metadata());
    return wanted_;
  }

  Result<std::optional<Batch>> EmptyBatch() {
    yielded_ = true;
    if (!step_.source->schema) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(auto schema, WantedSchema());
    ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::MakeEmpty(schema, pool_));
    return Batch{Block(std::move(table), 0), {}, nullptr};
  }

  const ReadStep& step_;
  const std::vector<ReadUnit> units_;
  const TaskContext context_;
  arrow::MemoryPool* const pool_;
  const std::optional<std::vector<std::string>> needed_;
  std::shared_ptr<arrow::Schema> wanted_;
  std::shared_ptr<arrow::Schema> fitted_;  // Of the last batch.
  std::size_t next_unit_ = 0;
  StreamPtr open_;
  Origin origin_;               // Of what is read next.
  std::int64_t unit_rows_ = 0;  // Rows of the unit so far.
  bool rows_known_ = false;
  bool yielded_ = false;
};

// The columns that were asked for, in the order in which they were.
class SelectStream : public BatchStream {
 public:
  SelectStream(StreamPtr input, std::vector<std::string> columns)
      : input_(std::move(input)), columns_(std::move(columns)) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return std::nullopt;
    std::vector<int> indices;
    const auto& table = batch->block.table();
    for (const std::string& name : columns_) {
      const int index = table->schema()->GetFieldIndex(name);
      if (index < 0) {
        return AddOrigin(UnknownColumn(name, *table->schema()), FailureKind::kDataError,
                         batch->origin);
      }
      indices.push_back(index);
    }
    const bool same = indices.size() == static_cast<std::size_t>(table->num_columns()) &&
                      std::is_sorted(indices.begin(), indices.end());
    if (same) return batch;
    ARROW_ASSIGN_OR_RAISE(auto selected, table->SelectColumns(indices));
    batch->block = Block(std::move(selected), -1);
    return batch;
  }

 private:
  StreamPtr input_;
  const std::vector<std::string> columns_;
};

// Text in place of its codes, but for columns that may leave as codes.
class DecodeStream : public BatchStream {
 public:
  DecodeStream(StreamPtr input, std::shared_ptr<arrow::Schema> plain,
               std::vector<std::string> coded, const TaskContext& context)
      : input_(std::move(input)),
        plain_(std::move(plain)),
        coded_(std::move(coded)),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return std::nullopt;
    const auto& table = batch->block.table();
    if (table->schema() != seen_) Bind(table->schema());
    if (out_ == seen_) return batch;
    arrow::ChunkedArrayVector columns = table->columns();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto& type = out_->field(static_cast<int>(i))->type();
      auto decoded = DecodeText(columns[i], *type, pool_);
      if (!decoded.ok()) return AddOrigin(decoded.status(), FailureKind::kDataError, batch->origin);
      columns[i] = *std::move(decoded);
    }
    batch->block = Block(arrow::Table::Make(out_, std::move(columns), table->num_rows()), -1);
    return batch;
  }

 private:
  void Bind(const std::shared_ptr<arrow::Schema>& schema) {
    seen_ = schema;
    auto out = Uncoded(schema, *plain_);
    if (out == schema) {
      out_ = seen_;
      return;
    }
    for (int i = 0; i < out->num_fields(); ++i) {
      const std::string& name = out->field(i)->name();
      const bool stays = std::find(coded_.begin(), coded_.end(), name) != coded_.end();
      if (stays) out = out->SetField(i, schema->field(i)).ValueOrDie();
    }
    if (out->Equals(*schema, /*check_metadata=*/false)) {
      out_ = seen_;
    } else if (!out_ || !out->Equals(*out_, /*check_metadata=*/false)) {
      out_ = std::move(out);
    }
  }

  StreamPtr input_;
  const std::shared_ptr<arrow::Schema> plain_;
  const std::vector<std::string> coded_;
  arrow::MemoryPool* const pool_;
  std::shared_ptr<arrow::Schema> seen_;  // Of the last batch that came in.
  std::shared_ptr<arrow::Schema> out_;   // What it leaves with.
};

}  // namespace

std::optional<std::vector<std::string>> NeededColumns(const ReadStep& step) {
  if (!step.columns) return std::nullopt;
  std::vector<std::string> names = *step.columns;
  if (step.filter) CollectColumns(step.filter, &names);
  return names;
}

StreamPtr MakeReadStream(const ReadStep& step, std::vector<ReadUnit> units,
                         const TaskContext& context, std::vector<std::string> coded) {
  const std::shared_ptr<arrow::Schema>& plain = step.source->schema;
  StreamPtr stream = std::make_unique<UnitsStream>(step, std::move(units), context);
  if (step.filter) {
    stream = MakeFilterStream(std::move(stream), step.filter, step.columns, context, plain);
  } else if (step.columns) {
    stream = std::make_unique<SelectStream>(std::move(stream), *step.columns);
  }
  const auto is_text = [](const auto& field) { return IsText(*field->type()); };
  if (plain && std::any_of(plain->fields().begin(), plain->fields().end(), is_text)) {
    stream = std::make_unique<DecodeStream>(std::move(stream), plain, std::move(coded), context);
  }
  if (step.row_limit >= 0) stream = MakeLimitStream(std::move(stream), step.row_limit);
  return stream;
}

}  // namespace headrace
