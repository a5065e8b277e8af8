#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/runtime/store/arena.h"

// How a table crosses a process border without a copy: its layout, which names each buffer by its
// place in an arena, goes over the socket; the bytes stay where they are. Schemas travel apart,
// once (EncodeSchema). Extension and dictionary types, slices, chunked columns and tables without
// columns keep their form.

namespace arrow {
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

/// A table that lies in an arena of this process or of another one.
struct SharedTable {
  std::shared_ptr<const ArenaMapping> arena;
  std::shared_ptr<const std::string> layout;  // See EncodeLayout().
  std::shared_ptr<arrow::Schema> schema;
  /// Keeps the memory from being used again; dropped when nobody reads the table any more.
  std::shared_ptr<const void> hold;
};

/// Returns true if all memory of `table` lies in `arena`.
bool LiesIn(const arrow::Table& table, const ArenaMapping& arena);

/// Returns an equal table whose memory lies in `arena`: what is not there yet is copied, of slices
/// only the rows in use. An equal dictionary is copied once.
Result<std::shared_ptr<arrow::Table>> MoveToArena(std::shared_ptr<arrow::Table> table,
                                                  Arena& arena);

/// Returns the layout of a table, or an error if a part of it does not lie in `arena`.
Result<std::string> EncodeLayout(const arrow::Table& table, const ArenaMapping& arena);

/// Returns the table, which reads the arena's memory in place. Each buffer keeps the arena mapped
/// and `hold` alive. Checks that every buffer is within the arena; what is in it is trusted.
Result<std::shared_ptr<arrow::Table>> DecodeLayout(const SharedTable& shared);

/// Adds the places in `arena` that `table` reads.
void AddSpans(const arrow::Table& table, const ArenaMapping& arena, std::vector<Span>* spans);

/// A schema as Arrow IPC bytes, and back.
Result<std::string> EncodeSchema(const arrow::Schema& schema);
Result<std::shared_ptr<arrow::Schema>> DecodeSchema(std::string_view bytes);

}  // namespace headrace
