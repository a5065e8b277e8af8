#include <arrow/table.h>

#include <numeric>
#include <utility>

#include "headrace/block/block_builder.h"
#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/key_hash.h"
#include "headrace/data/exchange/place.h"

namespace headrace {

namespace {

// Batches below are joined, so that the rows of a bucket lie together; larger ones than the latter
// are split.
constexpr std::int64_t kMinBytes = 64 << 20;
constexpr std::int64_t kMaxBytes = 128 << 20;

class ScatterStream : public BatchStream {
 public:
  ScatterStream(StreamPtr input, ScatterStep step, Rng rng, const TaskContext& context)
      : input_(std::move(input)),
        step_(std::move(step)),
        buckets_(static_cast<std::uint32_t>(std::max(1, step_.buckets))),
        rng_(rng),
        context_(context),
        builder_(kMinBytes, kMaxBytes, /*shape=*/true, context.pool) {}

  Result<std::optional<Batch>> Next() override {
    while (input_ && !builder_.has_next()) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (batch) {
        ARROW_RETURN_NOT_OK(builder_.Add(std::move(batch->block), std::move(batch->origin.files)));
      } else {
        input_.reset();
        ARROW_RETURN_NOT_OK(builder_.Finish());
      }
    }
    if (!builder_.has_next()) return std::nullopt;
    ShapedBlock shaped = builder_.Next();
    Batch batch;
    batch.origin.files = std::move(shaped.files);
    auto index = std::make_shared<BlockIndex>();
    ARROW_ASSIGN_OR_RAISE(auto table, Scatter(shaped.block.table(), &index->buckets));
    batch.block = Block(std::move(table), shaped.block.num_bytes());
    batch.index = std::move(index);
    return batch;
  }

 private:
  Result<std::shared_ptr<arrow::Table>> Scatter(const std::shared_ptr<arrow::Table>& table,
                                                BucketOffsets* index) {
    if (table->num_rows() >= UINT32_MAX) {
      return Status::CapacityError("one block has ", table->num_rows(), " rows");
    }
    std::vector<std::uint32_t> places(static_cast<std::size_t>(table->num_rows()));
    ARROW_RETURN_NOT_OK(FindBuckets(*table, &places));
    std::vector<std::int64_t> offsets(std::size_t{buckets_} + 1, 0);
    for (const std::uint32_t bucket : places) ++offsets[bucket + std::size_t{1}];
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    *index = BucketOffsets(offsets);
    if (step_.keys.empty()) {
      PlaceAtRandom(offsets, &places);
    } else if (buckets_ == 1) {
      return table;
    } else {
      std::vector<std::uint32_t> next(offsets.begin(), offsets.end() - 1);
      for (std::uint32_t& place : places) place = next[place]++;
    }
    return PlaceRows(table, places, context_.pool);
  }

  // Sets the bucket of each row.
  Status FindBuckets(const arrow::Table& table, std::vector<std::uint32_t>* buckets) {
    if (step_.keys.empty()) {
      for (std::uint32_t& bucket : *buckets) {
        bucket = static_cast<std::uint32_t>(rng_.Below(buckets_));
      }
      return Status::OK();
    }
    ARROW_RETURN_NOT_OK(HashRows(table, step_.keys, context_.pool, &hashes_));
    for (std::size_t i = 0; i < buckets->size(); ++i) {
      (*buckets)[i] = BucketOfHash(hashes_[i], buckets_);
    }
    return Status::OK();
  }

  // Gives each row a random place among those of its bucket: the next one, changed for one before.
  void PlaceAtRandom(const std::vector<std::int64_t>& offsets, std::vector<std::uint32_t>* places) {
    std::vector<std::uint32_t> next(offsets.begin(), offsets.end() - 1);
    std::vector<std::uint32_t> rows(places->size());  // The row at each place.
    for (std::uint32_t row = 0; row < places->size(); ++row) {
      const std::uint32_t bucket = (*places)[row];
      const auto first = static_cast<std::uint32_t>(offsets[bucket]);
      const std::uint32_t last = next[bucket]++;
      const std::uint32_t chosen =
          first + static_cast<std::uint32_t>(rng_.Below(std::uint64_t{last} - first + 1));
      rows[last] = rows[chosen];
      rows[chosen] = row;
    }
    for (std::uint32_t place = 0; place < rows.size(); ++place) (*places)[rows[place]] = place;
  }

  StreamPtr input_;  // Null after its end.
  const ScatterStep step_;
  const std::uint32_t buckets_;
  Rng rng_;
  const TaskContext context_;
  BlockBuilder builder_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace

StreamPtr MakeScatterStream(StreamPtr input, ScatterStep step, Rng rng,
                            const TaskContext& context) {
  return std::make_unique<ScatterStream>(std::move(input), std::move(step), rng, context);
}

}  // namespace headrace
