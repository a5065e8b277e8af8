#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "headrace/block/block.h"
#include "process.h"

namespace headrace::python {

inline std::vector<std::uint32_t> PathOf(const Position& position) {
  return {position.path.begin(), position.path.end()};
}

/// One reference to a block in the store, of which this object is the owner.
class BlockRef {
 public:
  /// Takes over one reference on `handle.object`.
  BlockRef(SessionPtr session, BlockHandle handle);
  ~BlockRef();
  BlockRef(const BlockRef&) = delete;
  BlockRef& operator=(const BlockRef&) = delete;

  const BlockHandle& handle() const { return handle_; }
  const SessionPtr& session() const { return session_; }

 private:
  SessionPtr session_;
  BlockHandle handle_;
};
using BlockRefPtr = std::shared_ptr<BlockRef>;

}  // namespace headrace::python
