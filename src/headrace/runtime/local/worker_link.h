#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/base/wire.h"
#include "headrace/block/block.h"

// The socket between the driver and one worker: frames, descriptors, and what both sides write.
//
// A frame is a 32-bit length, a kind, and a payload of that length. Schemas go over once and are
// then named by number. All messages arrive in the order in which they were sent.

namespace headrace {

/// Differs between libraries that do not understand each other.
inline constexpr std::uint32_t kWorkerWireVersion = 4;

enum class Message : std::uint8_t {
  // Driver → worker.
  kHello,          // wire version, the worker's arena id, size of the driver's arena; + descriptor
  kProgram,        // program id, WriteProgram()
  kForgetProgram,  // program id
  kArena,          // arena id, size; + descriptor
  kForgetArena,    // arena id
  kOrder,          // task, program, credit, skip, position, number, ranges, units, inputs
  kGrant,          // task, credit
  kCancel,         // task
  kDrop,           // blocks that nobody reads any more
  kStartActor,     // program
  kStop,
  kKeepFree,  // bytes of free memory to be kept at most
  // Worker → driver.
  kGreeting,     // wire version, pid, arena size; + descriptor
  kYielded,      // task, index, block, layout, info
  kParked,       // task, credit
  kEnded,        // task, failure or none, stats
  kReleased,     // pins of inputs that nobody reads any more
  kActorReady,   // its heap
  kActorFailed,  // failure
  // Both ways.
  kSchema,  // number, EncodeSchema()
};

struct Frame {
  Message kind;
  std::string_view payload;
};

/// A frame's length has 32 bits; this leaves room.
inline constexpr std::size_t kMaxPayload = UINT32_MAX / 2;

/// Frames on their way out. Not thread-safe.
class FrameSender {
 public:
  FrameSender() = default;
  FrameSender(const FrameSender&) = delete;
  FrameSender& operator=(const FrameSender&) = delete;
  ~FrameSender();

  /// Requires: kMaxPayload bytes at most.
  void Add(Message kind, std::string_view payload);
  /// The same; a copy of `descriptor` goes with it.
  Status AddWithDescriptor(Message kind, std::string_view payload, int descriptor);
  /// Adds bytes that are not a frame.
  void AddRaw(std::string_view bytes) { bytes_.append(bytes); }

  /// Sends what the socket takes, or all of it with `wait`. False: the socket is full. An error
  /// says that the other side is gone.
  Result<bool> Flush(int socket, bool wait);

  std::size_t size() const { return bytes_.size() - sent_; }

 private:
  std::string bytes_;
  std::size_t sent_ = 0;
  std::deque<std::pair<std::size_t, int>> descriptors_;  // With the byte at this offset.
};

/// Frames on their way in. Not thread-safe.
class FrameReceiver {
 public:
  FrameReceiver() = default;
  FrameReceiver(const FrameReceiver&) = delete;
  FrameReceiver& operator=(const FrameReceiver&) = delete;
  ~FrameReceiver();

  enum class Fill { kSome, kNothing, kEnd };
  /// Reads once. kNothing: nothing is there now. kEnd: the other side is gone.
  Fill FillFrom(int socket);
  /// Returns the next whole frame; its payload is valid until the next FillFrom().
  std::optional<Frame> Next();
  /// Returns the descriptor of the frame just read, which the caller then owns; -1 if it is
  /// missing.
  int TakeDescriptor();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::deque<int> descriptors_;
};

/// Numbers the schemas that go one way over one socket.
class SchemaSender {
 public:
  /// Returns the number of `schema`; adds the schema itself to `out` when it is new.
  Result<std::uint32_t> NumberOf(const std::shared_ptr<arrow::Schema>& schema, FrameSender* out);

 private:
  /// The latest ones, so that tasks of several programs on one worker do not take turns encoding.
  std::array<std::pair<std::shared_ptr<arrow::Schema>, std::uint32_t>, 4> recent_;
  std::size_t oldest_ = 0;
  std::map<std::string, std::uint32_t> numbers_;  // By EncodeSchema().
  std::uint32_t next_ = 0;
};

/// One object for all equal schemas, whichever worker sent them.
using SchemaCache = std::map<std::string, std::shared_ptr<arrow::Schema>, std::less<>>;

class SchemaReceiver {
 public:
  /// Takes the payload of kSchema. `cache` may be null.
  Status Add(std::string_view payload, SchemaCache* cache);
  /// Returns null for an unknown number.
  std::shared_ptr<arrow::Schema> Find(std::uint32_t number) const;

 private:
  std::unordered_map<std::uint32_t, std::shared_ptr<arrow::Schema>> schemas_;
};

void WritePosition(const Position& position, WireWriter* out);
Position ReadPosition(WireReader* in);

/// Writes a block's info, with its schema by number.
void WriteInfo(const BlockInfo& info, std::uint32_t schema, WireWriter* out);
BlockInfo ReadInfo(const SchemaReceiver& schemas, WireReader* in);

}  // namespace headrace
