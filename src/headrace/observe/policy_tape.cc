#include "headrace/observe/policy_tape.h"

#include <optional>
#include <utility>

#include "headrace/base/wire.h"

namespace headrace {
namespace {

// An answer is the mark of its question, the policy's number, and what was said.
constexpr std::uint8_t kStartMark = 'S';
constexpr std::uint8_t kCreditMark = 'C';
constexpr std::uint8_t kFailureMark = 'F';
constexpr std::size_t kMarkBytes = 2;

}  // namespace

class TapedPolicy final : public BackpressurePolicy {
 public:
  TapedPolicy(std::unique_ptr<BackpressurePolicy> policy, std::uint8_t number,
              std::shared_ptr<PolicyTape> tape)
      : policy_(std::move(policy)), number_(number), tape_(std::move(tape)) {}

  std::string_view name() const override { return policy_->name(); }

  WaitReason MayStart(OperatorId op, const AccountView& view) const override {
    const WaitReason reason = policy_->MayStart(op, view);
    WireWriter answer = Begin(kStartMark);
    answer.U8(static_cast<std::uint8_t>(reason));
    tape_->bytes_ += answer.bytes();
    return reason;
  }

  std::int64_t CreditBytes(OperatorId op, std::int64_t offered,
                           const AccountView& view) const override {
    const std::int64_t bytes = policy_->CreditBytes(op, offered, view);
    WireWriter answer = Begin(kCreditMark);
    answer.I64(bytes);
    tape_->bytes_ += answer.bytes();
    return bytes;
  }

  std::optional<Failure> failure() const override {
    std::optional<Failure> failure = policy_->failure();
    if (!failure) return failure;
    WireWriter told;
    WriteFailure(*failure, &told);
    WireWriter answer = Begin(kFailureMark);
    answer.Bytes(told.bytes());
    tape_->bytes_ += answer.bytes();
    return failure;
  }

 private:
  WireWriter Begin(std::uint8_t mark) const {
    WireWriter answer;
    answer.U8(mark);
    answer.U8(number_);
    return answer;
  }

  const std::unique_ptr<BackpressurePolicy> policy_;
  const std::uint8_t number_;
  const std::shared_ptr<PolicyTape> tape_;
};

class PlayedPolicy final : public BackpressurePolicy {
 public:
  PlayedPolicy(std::string name, std::uint8_t number, std::shared_ptr<PolicyPlayer> player)
      : name_(std::move(name)), number_(number), player_(std::move(player)) {}

  std::string_view name() const override { return name_; }

  WaitReason MayStart(OperatorId, const AccountView&) const override {
    WireReader answer = Next(kStartMark, 1);
    const std::uint8_t reason = answer.U8();
    return reason < kNumWaitReasons ? static_cast<WaitReason>(reason) : WaitReason::kPolicy;
  }

  std::int64_t CreditBytes(OperatorId, std::int64_t offered, const AccountView&) const override {
    WireReader answer = Next(kCreditMark, 8);
    const std::int64_t bytes = answer.I64();
    return answer.bad() ? offered : bytes;
  }

  std::optional<Failure> failure() const override {
    if (!IsNext(kFailureMark)) return std::nullopt;
    WireReader answer(player_->rest_.substr(kMarkBytes));
    const std::string_view told = answer.Bytes();
    player_->rest_.remove_prefix(answer.bad() ? player_->rest_.size()
                                              : kMarkBytes + sizeof(std::uint64_t) + told.size());
    WireReader in(told);
    return ReadFailure(&in);
  }

 private:
  bool IsNext(std::uint8_t mark) const {
    const std::string_view rest = player_->rest_;
    return rest.size() >= kMarkBytes && static_cast<std::uint8_t>(rest[0]) == mark &&
           static_cast<std::uint8_t>(rest[1]) == number_;
  }

  /// Takes the answer to such a question, of `size` bytes; an empty one if it is not the next.
  WireReader Next(std::uint8_t mark, std::size_t size) const {
    std::string_view& rest = player_->rest_;
    if (!IsNext(mark) || rest.size() < kMarkBytes + size) {
      player_->differs_ = true;
      return WireReader({});
    }
    const std::string_view answer = rest.substr(kMarkBytes, size);
    rest.remove_prefix(kMarkBytes + size);
    return WireReader(answer);
  }

  const std::string name_;
  const std::uint8_t number_;
  const std::shared_ptr<PolicyPlayer> player_;
};

Policies Tape(Policies policies, std::shared_ptr<PolicyTape> tape) {
  std::uint8_t number = 0;
  for (auto& policy : policies) {
    policy = std::make_unique<TapedPolicy>(std::move(policy), number++, tape);
  }
  return policies;
}

Policies Play(const std::vector<std::string>& names, std::shared_ptr<PolicyPlayer> player) {
  Policies policies;
  for (const std::string& name : names) {
    policies.push_back(
        std::make_unique<PlayedPolicy>(name, static_cast<std::uint8_t>(policies.size()), player));
  }
  return policies;
}

}  // namespace headrace
