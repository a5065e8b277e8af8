#include "headrace/runtime/local/worker_link.h"

#include <arrow/type.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "headrace/protocol/event.h"
#include "headrace/runtime/store/block_codec.h"

namespace headrace {

namespace {

constexpr std::size_t kHeader = sizeof(std::uint32_t) + 1;
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kMaxDescriptors = 16;
constexpr std::size_t kMaxSchemas = 1024;
// How long a receiver remembers a number: longer than the sender, by more than one message names.
constexpr std::uint32_t kRemembered = 16 * kMaxSchemas;
// A buffer that grew above this for one large frame is given back after it.
constexpr std::size_t kKeepBytes = 4 << 20;

}  // namespace

// ---- FrameSender ----------------------------------------------------------------------------

FrameSender::~FrameSender() {
  for (const auto& [offset, descriptor] : descriptors_) ::close(descriptor);
}

void FrameSender::Add(Message kind, std::string_view payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  char header[kHeader];
  std::memcpy(header, &size, sizeof size);
  header[sizeof size] = static_cast<char>(kind);
  bytes_.append(header, kHeader);
  bytes_.append(payload);
}

Status FrameSender::AddWithDescriptor(Message kind, std::string_view payload, int descriptor) {
  const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Status::IOError("cannot copy a descriptor: ", std::strerror(errno));
  descriptors_.emplace_back(bytes_.size(), copy);
  Add(kind, payload);
  return Status::OK();
}

Result<bool> FrameSender::Flush(int socket, bool wait) {
  while (sent_ < bytes_.size()) {
    msghdr message{};
    iovec part{bytes_.data() + sent_, bytes_.size() - sent_};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    // A descriptor goes with the first byte of its frame, so a call sends one at most.
    const bool attach = !descriptors_.empty() && descriptors_.front().first == sent_;
    if (attach) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &descriptors_.front().second, sizeof(int));
    }
    const std::size_t next = attach ? 1 : 0;
    if (descriptors_.size() > next) part.iov_len = descriptors_[next].first - sent_;
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      return Status::IOError("socket: ", std::strerror(errno));
    }
    if (attach) {
      ::close(descriptors_.front().second);
      descriptors_.pop_front();
    }
    sent_ += static_cast<std::size_t>(sent);
  }
  bytes_.clear();
  if (bytes_.capacity() > kKeepBytes) bytes_.shrink_to_fit();
  sent_ = 0;
  return true;
}

// ---- FrameReceiver --------------------------------------------------------------------------

FrameReceiver::~FrameReceiver() {
  for (int descriptor : descriptors_) ::close(descriptor);
}

FrameReceiver::Fill FrameReceiver::FillFrom(int socket) {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);  // Not all of the buffer.
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == 0 && buffer_.capacity() > kKeepBytes) buffer_ = std::string();
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(end_ + kReadBytes);
  msghdr message{};
  iovec part{buffer_.data() + end_, buffer_.size() - end_};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size;
  do {
    size = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Fill::kNothing;
  if (size <= 0) return Fill::kEnd;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors_.push_back(descriptor);
    }
  }
  end_ += static_cast<std::size_t>(size);
  return Fill::kSome;
}

std::optional<Frame> FrameReceiver::Next() {
  if (end_ - begin_ < kHeader) return std::nullopt;
  std::uint32_t size;
  std::memcpy(&size, buffer_.data() + begin_, sizeof size);
  if (end_ - begin_ < kHeader + size) return std::nullopt;
  Frame frame{static_cast<Message>(buffer_[begin_ + sizeof size]),
              std::string_view(buffer_).substr(begin_ + kHeader, size)};
  begin_ += kHeader + size;
  return frame;
}

int FrameReceiver::TakeDescriptor() {
  if (descriptors_.empty()) return -1;
  const int descriptor = descriptors_.front();
  descriptors_.pop_front();
  return descriptor;
}

// ---- Schemas --------------------------------------------------------------------------------

Result<std::uint32_t> SchemaSender::NumberOf(const std::shared_ptr<arrow::Schema>& schema,
                                             FrameSender* out) {
  for (const auto& [recent, number] : recent_) {
    if (recent == schema) return number;
  }
  for (const auto& [recent, number] : recent_) {
    if (recent != nullptr && schema->Equals(*recent, true)) return number;
  }
  ARROW_ASSIGN_OR_RAISE(std::string bytes, EncodeSchema(*schema));
  if (numbers_.size() >= kMaxSchemas) {
    // A program that makes a schema for each block. What is needed again goes over again.
    numbers_.clear();
    recent_ = {};
  }
  const std::uint32_t next = next_;
  const auto [it, added] = numbers_.emplace(std::move(bytes), next);
  if (added) {
    ++next_;
    WireWriter payload;
    payload.U32(next);
    payload.Bytes(it->first);
    out->Add(Message::kSchema, payload.bytes());
  }
  recent_[oldest_] = {schema, it->second};
  oldest_ = (oldest_ + 1) % recent_.size();
  return it->second;
}

Status SchemaReceiver::Add(std::string_view payload, SchemaCache* cache) {
  WireReader in(payload);
  const std::uint32_t number = in.U32();
  const std::string_view bytes = in.Bytes();
  ARROW_RETURN_NOT_OK(in.Finish());
  schemas_.erase(number - kRemembered);
  if (cache != nullptr) {
    auto it = cache->find(bytes);
    if (it != cache->end()) {
      schemas_[number] = it->second;
      return Status::OK();
    }
    if (cache->size() >= kMaxSchemas) cache->clear();
  }
  ARROW_ASSIGN_OR_RAISE(auto schema, DecodeSchema(bytes));
  if (cache != nullptr) cache->emplace(std::string(bytes), schema);
  schemas_[number] = std::move(schema);
  return Status::OK();
}

std::shared_ptr<arrow::Schema> SchemaReceiver::Find(std::uint32_t number) const {
  auto it = schemas_.find(number);
  return it == schemas_.end() ? nullptr : it->second;
}

// ---- Values ---------------------------------------------------------------------------------

void WritePosition(const Position& position, WireWriter* out) {
  out->U64(position.path.size());
  for (std::uint32_t part : position.path) out->U32(part);
}

Position ReadPosition(WireReader* in) {
  Position position;
  const std::uint64_t count = in->Count();
  for (std::uint64_t i = 0; i < count; ++i) position.path.push_back(in->U32());
  return position;
}

void WriteInfo(const BlockInfo& info, std::uint32_t schema, WireWriter* out) {
  out->I64(info.num_rows);
  out->I64(info.num_bytes);
  out->U32(schema);
  WritePosition(info.position, out);
  out->Bool(info.index != nullptr);
  if (info.index != nullptr) WriteBlockIndex(*info.index, out);
  out->Bool(info.input_files != nullptr);
  if (info.input_files == nullptr) return;
  out->U64(info.input_files->size());
  for (const std::string& file : *info.input_files) out->Bytes(file);
}

BlockInfo ReadInfo(const SchemaReceiver& schemas, WireReader* in) {
  BlockInfo info;
  info.num_rows = in->I64();
  info.num_bytes = in->I64();
  info.schema = schemas.Find(in->U32());
  info.position = ReadPosition(in);
  if (in->Bool()) info.index = ReadBlockIndex(in);
  if (!in->Bool()) return info;
  std::vector<std::string> files(in->Count());
  for (std::string& file : files) file = in->String();
  info.input_files = std::make_shared<const std::vector<std::string>>(std::move(files));
  return info;
}

}  // namespace headrace
