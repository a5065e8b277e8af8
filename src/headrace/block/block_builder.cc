#include "headrace/block/block_builder.h"

#include <arrow/memory_pool.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/unify.h"

namespace headrace {

namespace {

// More pieces than this, with fewer bytes each than kTinyBytes, are copied into one chunk.
constexpr std::size_t kManyPieces = 16;
constexpr std::int64_t kTinyBytes = 64 << 10;

Block Measured(Block block) { return block.num_bytes() >= 0 ? block : Block(block.table()); }

// The rows of one output block when `block` is cut into pieces of about target_max bytes.
std::int64_t RowsPerPiece(const Block& block, std::int64_t target_max_bytes) {
  const double rows = static_cast<double>(block.num_rows()) *
                      static_cast<double>(target_max_bytes) /
                      static_cast<double>(block.num_bytes());
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(rows));
}

}  // namespace

FileList MergeFiles(const std::vector<FileList>& lists) {
  std::vector<FileList> distinct;
  for (const FileList& list : lists) {
    if (list && (distinct.empty() || distinct.back() != list)) distinct.push_back(list);
  }
  if (distinct.size() <= 1) return distinct.empty() ? nullptr : distinct.front();
  auto merged = std::make_shared<std::vector<std::string>>();
  std::unordered_set<std::string_view> seen;  // Of names in `distinct`, which outlives it.
  for (const FileList& list : distinct) {
    for (const std::string& file : *list) {
      if (seen.insert(file).second) merged->push_back(file);
    }
  }
  return merged;
}

Result<Block> JoinBlocks(const std::vector<Block>& blocks, arrow::MemoryPool* pool,
                         const std::vector<FileList>& files) {
  HEADRACE_CHECK(!blocks.empty());
  if (blocks.size() == 1) return blocks.front();
  if (!pool) pool = arrow::default_memory_pool();
  std::vector<std::shared_ptr<arrow::Table>> tables;
  tables.reserve(blocks.size());
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  for (const Block& block : blocks) {
    tables.push_back(block.table());
    rows += block.num_rows();
    bytes = bytes < 0 || block.num_bytes() < 0 ? -1 : bytes + block.num_bytes();
  }
  ARROW_RETURN_NOT_OK(UnifyTables(&tables, files, pool));
  const SchemaPtr& schema = tables.front()->schema();
  // Arrow's concatenation loses the row count of tables without columns.
  if (schema->num_fields() == 0) {
    return Block(arrow::Table::Make(schema, arrow::ChunkedArrayVector{}, rows), 0);
  }
  std::size_t chunks = 0;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i] != blocks[i].table()) bytes = -1;  // What was converted has another size.
    chunks += static_cast<std::size_t>(tables[i]->column(0)->num_chunks());
  }
  ARROW_ASSIGN_OR_RAISE(auto joined, arrow::ConcatenateTables(tables));
  if (chunks > kManyPieces && bytes >= 0 &&
      bytes < kTinyBytes * static_cast<std::int64_t>(chunks)) {
    ARROW_ASSIGN_OR_RAISE(joined, CombineChunks(*joined, pool));
  }
  return bytes >= 0 ? Block(std::move(joined), bytes) : Block(std::move(joined));
}

BlockBuilder::BlockBuilder(std::int64_t target_min_bytes, std::int64_t target_max_bytes, bool shape,
                           arrow::MemoryPool* pool)
    : target_min_bytes_(target_min_bytes),
      target_max_bytes_(std::max<std::int64_t>(1, target_max_bytes)),
      shape_(shape),
      pool_(pool) {}

Status BlockBuilder::Add(Block piece, FileList files) {
  if (piece.num_rows() == 0) {
    if (!empty_) empty_ = ShapedBlock{Block(piece.table(), 0), std::move(files)};
    return Status::OK();
  }
  saw_rows_ = true;
  piece = Measured(std::move(piece));
  if (!shape_) {
    ready_.push_back({std::move(piece), std::move(files)});
    return Status::OK();
  }
  if (!pending_.empty()) {
    if (pending_.size() == 1) pending_schema_ = pending_.front().block.table()->schema();
    auto unified = UnifySchemas({pending_schema_, piece.table()->schema()});
    if (!unified.ok() || pending_bytes_ + piece.num_bytes() > split_over()) {
      ARROW_RETURN_NOT_OK(Flush());
    } else {
      pending_schema_ = *std::move(unified);
    }
  }
  pending_bytes_ += piece.num_bytes();
  pending_.push_back({std::move(piece), std::move(files)});
  return pending_bytes_ >= target_min_bytes_ ? Flush() : Status::OK();
}

Status BlockBuilder::Finish() {
  ARROW_RETURN_NOT_OK(Flush());
  if (!saw_rows_ && empty_) ready_.push_back(*std::exchange(empty_, std::nullopt));
  return Status::OK();
}

ShapedBlock BlockBuilder::Next() {
  HEADRACE_CHECK(has_next());
  ShapedBlock next = std::move(ready_[next_ready_++]);
  if (!has_next()) {
    ready_.clear();
    next_ready_ = 0;
  }
  return next;
}

Status BlockBuilder::Flush() {
  if (pending_.empty()) return Status::OK();
  if (pending_.size() == 1) {
    pending_bytes_ = 0;
    if (ready_.empty() && !IsTooLarge(pending_.front().block)) {
      ready_.swap(pending_);
      return Status::OK();
    }
    ShapedBlock only = std::move(pending_.front());
    pending_.clear();
    Emit(std::move(only.block), std::move(only.files));
    return Status::OK();
  }
  std::vector<FileList> files;
  std::vector<Block> blocks;
  blocks.reserve(pending_.size());
  for (ShapedBlock& piece : pending_) {
    files.push_back(std::move(piece.files));
    blocks.push_back(std::move(piece.block));
  }
  pending_.clear();
  pending_bytes_ = 0;
  ARROW_ASSIGN_OR_RAISE(Block joined, JoinBlocks(blocks, pool_, files));
  Emit(std::move(joined), MergeFiles(files));
  return Status::OK();
}

// Splits until every piece is small enough. A piece is measured after its cut, since rows differ
// in size; one that is still too large is cut again.
void BlockBuilder::Emit(Block block, FileList files) {
  if (!IsTooLarge(block)) {
    ready_.push_back({std::move(block), std::move(files)});
    return;
  }
  std::vector<Block> stack{std::move(block)};
  while (!stack.empty()) {
    Block top = std::move(stack.back());
    stack.pop_back();
    if (!IsTooLarge(top) || top.num_rows() <= 1) {
      ready_.push_back({std::move(top), files});
      continue;
    }
    const std::int64_t rows = std::min(RowsPerPiece(top, target_max_bytes_), top.num_rows() - 1);
    std::vector<Block> pieces;
    for (std::int64_t begin = 0; begin < top.num_rows(); begin += rows) {
      pieces.push_back(top.Slice(begin, std::min(begin + rows, top.num_rows())));
    }
    std::move(pieces.rbegin(), pieces.rend(), std::back_inserter(stack));
  }
}

}  // namespace headrace
