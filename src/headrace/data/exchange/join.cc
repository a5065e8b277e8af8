#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/chunked_array.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "headrace/block/unify.h"
#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/join_sides.h"
#include "headrace/data/exchange/join_table.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/data/transform/failure.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

constexpr std::int64_t kProbeRows = 64 << 10;
constexpr std::size_t kYieldRows = 64 << 10;

using TablePtr = std::shared_ptr<arrow::Table>;

// What a kind of join yields of whom.
struct Plan {
  explicit Plan(JoinKind kind)
      : pairs(kind == JoinKind::kInner || kind == JoinKind::kLeftOuter ||
              kind == JoinKind::kRightOuter || kind == JoinKind::kFullOuter),
        lone_left(kind == JoinKind::kLeftOuter || kind == JoinKind::kFullOuter),
        lone_right(kind == JoinKind::kRightOuter || kind == JoinKind::kFullOuter),
        some_left(kind == JoinKind::kLeftSemi || kind == JoinKind::kLeftAnti),
        some_right(kind == JoinKind::kRightSemi || kind == JoinKind::kRightAnti),
        met(kind == JoinKind::kLeftSemi || kind == JoinKind::kRightSemi),
        right_keys(kind == JoinKind::kRightOuter) {}

  bool pairs;       // Each left row with each right row of the same key.
  bool lone_left;   // And left rows with nothing on the right,
  bool lone_right;  // and right rows with nothing on the left.
  bool some_left;   // Only left rows: those that `met` a right one, or that did not.
  bool some_right;  // Only right rows, likewise.
  bool met;
  bool right_keys;  // Of pairs, the keys are the right ones.
};

// Collects the right side in a hash table; left batches pass by. Lone right rows come last.
class JoinTablesStream : public BatchStream {
 public:
  JoinTablesStream(StreamPtr left, StreamPtr right, JoinStep step, const TaskContext& context,
                   std::vector<ObjectId> shared)
      : left_(std::move(left)),
        right_(std::move(right)),
        step_(std::move(step)),
        plan_(step_.kind),
        context_(context),
        shared_(std::move(shared)),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()) {}

  Result<std::optional<Batch>> Next() override {
    while (true) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      TablePtr table;
      if (right_) {
        ARROW_RETURN_NOT_OK(InitializeArrow());
        ARROW_ASSIGN_OR_RAISE(right_rows_, CollectRows(right_.get(), context_));
        right_.reset();
      } else if (slice_) {
        ARROW_ASSIGN_OR_RAISE(table, JoinSlice());
      } else if (reader_) {
        const Status status = ProbeNext();
        if (!status.ok()) return AddOrigin(status, FailureKind::kDataError, origin_);
      } else if (!left_ended_) {
        ARROW_RETURN_NOT_OK(Pull());
      } else if (!rest_made_) {
        ARROW_RETURN_NOT_OK(MakeRest());
      } else if (rest_at_ < rest_.size()) {
        ARROW_ASSIGN_OR_RAISE(table, JoinRest());
      } else if (!yielded_ && out_schema_) {
        ARROW_ASSIGN_OR_RAISE(table, arrow::Table::MakeEmpty(out_schema_, pool_));
      } else {
        return std::nullopt;
      }
      if (!table) continue;
      yielded_ = true;
      Batch batch;
      batch.block = Block(std::move(table), -1);
      return batch;
    }
  }

 private:
  Status Pull() {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, left_->Next());
    if (!batch) {
      left_ended_ = true;
      left_.reset();
      return Status::OK();
    }
    origin_ = batch->origin;
    const Status status = Take(batch->block.table());
    return AddOrigin(status, FailureKind::kDataError, origin_);
  }

  // Makes the table that is joined next: its output columns, then its keys to compare. They have
  // the types that hold the values of all left rows so far.
  Status Take(TablePtr left) {
    if (left->num_rows() == 0 && left_schema_) return Status::OK();
    if (!saw_left_rows_) {
      left_files_ = origin_.files;
      ARROW_RETURN_NOT_OK(Bind(left->schema()));
    } else {
      ARROW_ASSIGN_OR_RAISE(
          auto schema, UnifySchemas({left_schema_, left->schema()}, {left_files_, origin_.files}));
      ARROW_RETURN_NOT_OK(Bind(std::move(schema)));
    }
    saw_left_rows_ = left->num_rows() > 0;
    ARROW_ASSIGN_OR_RAISE(left, PromoteTable(left, left_schema_, pool_));
    ARROW_ASSIGN_OR_RAISE(TablePtr keys, SelectKeys(*left, step_.left_keys));
    TablePtr work = left;
    if (plan_.pairs) {
      for (std::size_t i = 0; i < step_.left_keys.size(); ++i) {
        const int at = left->schema()->GetFieldIndex(step_.left_keys[i]);
        const int key = static_cast<int>(i);
        ARROW_ASSIGN_OR_RAISE(work, work->SetColumn(at, keys->field(key), keys->column(key)));
      }
    }
    ARROW_ASSIGN_OR_RAISE(work, work->SelectColumns(left_columns_));
    arrow::ChunkedArrayVector columns = work->columns();
    arrow::FieldVector fields = work->schema()->fields();
    columns.insert(columns.end(), keys->columns().begin(), keys->columns().end());
    fields.insert(fields.end(), keys->schema()->fields().begin(), keys->schema()->fields().end());
    table_ = arrow::Table::Make(arrow::schema(std::move(fields)), std::move(columns));
    reader_ = std::make_unique<arrow::TableBatchReader>(*table_);
    reader_->set_chunksize(kProbeRows);
    return Status::OK();
  }

  // Fits the right side to the schema of the left one.
  Status Bind(SchemaPtr schema) {
    if (left_schema_ && (left_schema_ == schema || left_schema_->Equals(*schema, false))) {
      return Status::OK();
    }
    left_schema_ = std::move(schema);
    const arrow::Schema& left = *left_schema_;
    if (!right_rows_) {
      // No block of the right side says more about it than its keys.
      arrow::FieldVector fields;
      for (std::size_t i = 0; i < step_.right_keys.size(); ++i) {
        const auto field = left.GetFieldByName(step_.left_keys[i]);
        if (field) fields.push_back(field->WithName(step_.right_keys[i]));
      }
      right_rows_.emplace();
      ARROW_ASSIGN_OR_RAISE(right_rows_->table,
                            arrow::Table::MakeEmpty(arrow::schema(std::move(fields)), pool_));
    }
    const arrow::Table& right = *right_rows_->table;
    ARROW_ASSIGN_OR_RAISE(out_schema_, JoinSchema(step_, left, *right.schema()));
    arrow::DataTypeVector types;
    for (std::size_t i = 0; i < step_.left_keys.size(); ++i) {
      types.push_back(JoinKeyType(left.GetFieldByName(step_.left_keys[i])->type(),
                                  right.schema()->GetFieldByName(step_.right_keys[i])->type()));
    }
    BindColumns(left, *right.schema());
    if (side_ && SameTypes(types, key_types_)) return Status::OK();
    key_types_ = std::move(types);
    if (context_.sides != nullptr && !shared_.empty()) {
      ARROW_ASSIGN_OR_RAISE(
          side_, context_.sides->Get(shared_, NameOfSide(), [this] { return MakeSide(); }));
      return Status::OK();
    }
    std::vector<std::uint32_t> met;
    if (side_) met = side_->table.RowsThatMet(true);
    ARROW_ASSIGN_OR_RAISE(side_, MakeSide());
    side_->table.MeetRows(met);
    return Status::OK();
  }

  static bool SameTypes(const arrow::DataTypeVector& a, const arrow::DataTypeVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x->Equals(*y); });
  }

  // Which columns of each side leave.
  void BindColumns(const arrow::Schema& left, const arrow::Schema& right) {
    const auto choose = [](const arrow::Schema& schema, const std::vector<std::string>& keys,
                           bool with_keys, std::vector<int>* columns) {
      columns->clear();
      for (int i = 0; i < schema.num_fields(); ++i) {
        const auto& name = schema.field(i)->name();
        const bool is_key = std::find(keys.begin(), keys.end(), name) != keys.end();
        if (with_keys || !is_key) columns->push_back(i);
      }
    };
    if (!plan_.some_right) choose(left, step_.left_keys, !plan_.right_keys, &left_columns_);
    if (!plan_.some_left) {
      choose(right, step_.right_keys, plan_.right_keys || plan_.some_right, &right_columns_);
    }
    left_keys_.clear();
    for (std::size_t i = 0; i < left_columns_.size(); ++i) {
      const auto& name = left.field(left_columns_[i])->name();
      const auto key = std::find(step_.left_keys.begin(), step_.left_keys.end(), name);
      left_keys_.push_back(
          key == step_.left_keys.end() ? -1 : static_cast<int>(key - step_.left_keys.begin()));
    }
  }

  // Tells apart what may be made of the same objects.
  std::string NameOfSide() const {
    std::string name;
    for (std::size_t i = 0; i < key_types_.size(); ++i) {
      name += step_.right_keys[i] + '\0' + key_types_[i]->ToString() + '\0';
    }
    for (const int column : right_columns_) name += std::to_string(column) + ',';
    return name;
  }

  Result<std::shared_ptr<JoinSide>> MakeSide() {
    TablePtr right = right_rows_->table;
    ARROW_ASSIGN_OR_RAISE(const TablePtr keys, SelectKeys(*right, step_.right_keys));
    ARROW_ASSIGN_OR_RAISE(auto table, JoinTable::Make(*keys, pool_));
    if (plan_.right_keys) {
      for (std::size_t i = 0; i < step_.right_keys.size(); ++i) {
        const int at = right->schema()->GetFieldIndex(step_.right_keys[i]);
        const int key = static_cast<int>(i);
        ARROW_ASSIGN_OR_RAISE(right, right->SetColumn(at, keys->field(key), keys->column(key)));
      }
    }
    ARROW_ASSIGN_OR_RAISE(right, right->SelectColumns(right_columns_));
    ARROW_ASSIGN_OR_RAISE(auto columns, RowGatherer::Make(std::move(right), pool_));
    if (step_.kind == JoinKind::kFullOuter) right_keys_ = keys;
    return std::make_shared<JoinSide>(std::move(table), std::move(columns));
  }

  // Returns the key columns, in the types in which they are compared.
  Result<TablePtr> SelectKeys(const arrow::Table& table, const std::vector<std::string>& names) {
    arrow::FieldVector fields;
    arrow::ChunkedArrayVector columns;
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto column = table.GetColumnByName(names[i]);
      ARROW_ASSIGN_OR_RAISE(column, PromoteColumn(column, key_types_[i], pool_));
      fields.push_back(arrow::field(names[i], key_types_[i]));
      columns.push_back(std::move(column));
    }
    return arrow::Table::Make(arrow::schema(std::move(fields)), std::move(columns),
                              table.num_rows());
  }

  // Looks up the keys of the next left rows.
  Status ProbeNext() {
    std::shared_ptr<arrow::RecordBatch> rows;
    ARROW_RETURN_NOT_OK(reader_->ReadNext(&rows));
    if (!rows) {
      reader_.reset();
      table_.reset();
      return Status::OK();
    }
    const int num_left = static_cast<int>(left_columns_.size());
    const arrow::ArrayVector columns = rows->columns();
    const arrow::ArrayVector keys(columns.begin() + num_left, columns.end());
    groups_.resize(static_cast<std::size_t>(rows->num_rows()));
    ARROW_RETURN_NOT_OK(side_->table.Find(keys, rows->num_rows(), groups_.data()));
    row_ = 0;
    match_ = 0;
    if (plan_.lone_right || plan_.some_right) {
      for (const std::uint32_t group : groups_) {
        if (group != JoinTable::kNoGroup) side_->table.Meet(group);
      }
    }
    if (plan_.some_right) return Status::OK();
    arrow::FieldVector fields = rows->schema()->fields();
    fields.resize(static_cast<std::size_t>(num_left));
    slice_ = arrow::Table::Make(arrow::schema(std::move(fields)),
                                arrow::ArrayVector(columns.begin(), columns.begin() + num_left),
                                rows->num_rows());
    return Status::OK();
  }

  // Joins the left rows at hand, or as many as make a batch. Null if none of them leaves.
  Result<TablePtr> JoinSlice() {
    lefts_.clear();
    rights_.clear();
    if (plan_.some_left) {
      for (; row_ < groups_.size(); ++row_) {
        if ((groups_[row_] != JoinTable::kNoGroup) == plan_.met) {
          lefts_.push_back(static_cast<std::uint32_t>(row_));
        }
      }
    } else {
      MatchRows();
    }
    const TablePtr slice = slice_;
    if (row_ == groups_.size()) slice_.reset();
    if (lefts_.empty()) return nullptr;
    TablePtr left = slice;
    const bool is_all = static_cast<std::int64_t>(lefts_.size()) == slice->num_rows() &&
                        lefts_.front() == 0 && IsRising(lefts_);
    if (!is_all) {
      ARROW_ASSIGN_OR_RAISE(left, GatherRows(slice, lefts_, pool_));
    }
    if (plan_.some_left) return WithSchema(left->columns(), left->num_rows());
    ARROW_ASSIGN_OR_RAISE(const TablePtr right,
                          side_->columns.Gather(rights_, /*may_miss=*/plan_.lone_left));
    arrow::ChunkedArrayVector columns = left->columns();
    columns.insert(columns.end(), right->columns().begin(), right->columns().end());
    return WithSchema(std::move(columns), static_cast<std::int64_t>(lefts_.size()));
  }

  // Sets lefts_ and rights_ to the next pairs; goes on at row_ and match_.
  void MatchRows() {
    if (side_->table.groups_are_rows()) return MatchGroups();
    for (; row_ < groups_.size() && lefts_.size() < kYieldRows; ++row_) {
      const auto left = static_cast<std::uint32_t>(row_);
      if (groups_[row_] == JoinTable::kNoGroup) {
        if (!plan_.lone_left) continue;
        lefts_.push_back(left);
        rights_.push_back(kNoRow);
        continue;
      }
      const auto matches = side_->table.Rows(groups_[row_]).subspan(match_);
      const std::size_t taken = std::min(matches.size(), kYieldRows - lefts_.size());
      lefts_.insert(lefts_.end(), taken, left);
      rights_.insert(rights_.end(), matches.begin(),
                     matches.begin() + static_cast<std::ptrdiff_t>(taken));
      if (taken < matches.size()) {
        match_ += taken;
        return;
      }
      match_ = 0;
    }
  }

  // The same where a group is a right row. A slice never has more than make a batch.
  void MatchGroups() {
    static_assert(kProbeRows <= kYieldRows && JoinTable::kNoGroup == kNoRow);
    lefts_.resize(groups_.size());
    rights_.resize(groups_.size());
    std::size_t count = 0;
    for (std::size_t row = 0; row < groups_.size(); ++row) {
      lefts_[count] = static_cast<std::uint32_t>(row);
      rights_[count] = groups_[row];
      count += plan_.lone_left || groups_[row] != JoinTable::kNoGroup ? 1 : 0;
    }
    lefts_.resize(count);
    rights_.resize(count);
    row_ = groups_.size();
  }

  static bool IsRising(const std::vector<std::uint32_t>& rows) {
    for (std::size_t i = 1; i < rows.size(); ++i) {
      if (rows[i] != rows[i - 1] + 1) return false;
    }
    return true;
  }

  // Finds the right rows that leave when all left ones were seen.
  Status MakeRest() {
    rest_made_ = true;
    if (!plan_.lone_right && !plan_.some_right && out_schema_) return Status::OK();
    if (!side_) {
      // No block of the left side: its keys are what is known of it.
      if (!right_rows_ || (!plan_.lone_right && !plan_.some_right)) return Status::OK();
      arrow::FieldVector fields;
      for (std::size_t i = 0; i < step_.left_keys.size(); ++i) {
        const auto field = right_rows_->table->schema()->GetFieldByName(step_.right_keys[i]);
        if (field) fields.push_back(field->WithName(step_.left_keys[i]));
      }
      ARROW_RETURN_NOT_OK(Bind(arrow::schema(std::move(fields))));
    }
    rest_ = side_->table.RowsThatMet(plan_.some_right && plan_.met);
    return Status::OK();
  }

  Result<TablePtr> JoinRest() {
    const std::size_t rows = std::min(kYieldRows, rest_.size() - rest_at_);
    const std::span<const std::uint32_t> taken(rest_.data() + rest_at_, rows);
    rest_at_ += rows;
    ARROW_ASSIGN_OR_RAISE(const TablePtr right, side_->columns.Gather(taken));
    arrow::ChunkedArrayVector columns;
    for (std::size_t i = 0; i < left_columns_.size(); ++i) {
      if (left_keys_[i] >= 0 && right_keys_) {
        ARROW_ASSIGN_OR_RAISE(columns.emplace_back(),
                              GatherColumn(right_keys_->column(left_keys_[i]), taken, pool_));
      } else {
        const auto& type = out_schema_->field(static_cast<int>(i))->type();
        ARROW_ASSIGN_OR_RAISE(auto nulls,
                              arrow::MakeArrayOfNull(type, static_cast<std::int64_t>(rows), pool_));
        columns.push_back(std::make_shared<arrow::ChunkedArray>(std::move(nulls)));
      }
    }
    columns.insert(columns.end(), right->columns().begin(), right->columns().end());
    return WithSchema(std::move(columns), static_cast<std::int64_t>(rows));
  }

  Result<TablePtr> WithSchema(arrow::ChunkedArrayVector columns, std::int64_t rows) const {
    return TableOf(out_schema_, std::move(columns), rows);
  }

  StreamPtr left_;
  StreamPtr right_;  // Null when it was collected.
  const JoinStep step_;
  const Plan plan_;
  const TaskContext context_;
  const std::vector<ObjectId> shared_;
  arrow::MemoryPool* const pool_;

  std::optional<Collected> right_rows_;  // Unset: it had no batch.
  std::shared_ptr<JoinSide> side_;       // Of them. Shared: only to be read.
  TablePtr right_keys_;                  // Full outer joins only.

  SchemaPtr left_schema_;
  FileList left_files_;  // Of its first rows.
  bool saw_left_rows_ = false;
  std::shared_ptr<arrow::Schema> out_schema_;
  arrow::DataTypeVector key_types_;  // In which keys are compared.
  std::vector<int> left_columns_;    // That leave, in the left schema.
  std::vector<int> left_keys_;       // Of each of them: which key it is, or -1.
  std::vector<int> right_columns_;

  TablePtr table_;  // The left batch at hand.
  std::unique_ptr<arrow::TableBatchReader> reader_;
  Origin origin_;
  bool left_ended_ = false;

  TablePtr slice_;                     // Rows of it that were looked up; columns that leave.
  std::vector<std::uint32_t> groups_;  // Of each of its rows, on the right.
  std::size_t row_ = 0;                // The next row, and
  std::size_t match_ = 0;              // the next of its matches.
  std::vector<std::uint32_t> lefts_;   // Scratch.
  std::vector<std::uint32_t> rights_;

  std::vector<std::uint32_t> rest_;  // Right rows that come last.
  std::size_t rest_at_ = 0;
  bool rest_made_ = false;
  bool yielded_ = false;
};

}  // namespace

StreamPtr MakeJoinTablesStream(StreamPtr left, StreamPtr right, JoinStep step,
                               const TaskContext& context, std::vector<ObjectId> shared) {
  return std::make_unique<JoinTablesStream>(std::move(left), std::move(right), std::move(step),
                                            context, std::move(shared));
}

}  // namespace headrace
