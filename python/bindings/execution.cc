// Runs of plans.

#include "execution.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "bindings.h"
#include "errors.h"
#include "headrace/data/transform/function.h"
#include "headrace/engine/session.h"
#include "headrace/observe/statistics.h"
#include "headrace/runtime/backend.h"

namespace headrace::python {
namespace {

constexpr Duration kSignalInterval = Duration::Millis(50);

std::map<std::string, double> WaitSeconds(const OperatorState& self) {
  std::map<std::string, double> seconds;
  for (int i = 0; i < static_cast<int>(std::size(self.wait_nanos)); ++i) {
    if (self.wait_nanos[i] == 0) continue;
    const auto reason = static_cast<WaitReason>(i);
    seconds[std::string(ToString(reason))] = static_cast<double>(self.wait_nanos[i]) * 1e-9;
  }
  return seconds;
}

}  // namespace

PyExecution::PyExecution(SessionPtr session, std::unique_ptr<Execution> run,
                         std::unique_ptr<FunctionRuntime> functions)
    : session_(std::move(session)), functions_(std::move(functions)), run_(std::move(run)) {
  session_->runs.insert(this);
}

PyExecution::~PyExecution() {
  session_->runs.erase(this);
  nb::gil_scoped_release unlocked;
  run_.reset();
}

void PyExecution::Stop() {
  const std::shared_ptr<Execution> run = run_;
  if (run == nullptr) return;
  nb::gil_scoped_release unlocked;
  run->Stop();
}

void PyExecution::End() {
  last_snapshot_ = Snapshot();
  last_elapsed_ = elapsed();
  last_peak_bytes_ = peak_charged_bytes();
  std::shared_ptr<Execution> run = std::move(run_);
  nb::gil_scoped_release unlocked;
  run->Stop();
  run.reset();
}

void PyExecution::Forget() { static_cast<void>(new std::shared_ptr<Execution>(std::move(run_))); }

// These two wait for a step of the scheduler, which may wait for the GIL: to ask a policy.
std::vector<OperatorState> PyExecution::Snapshot() const {
  const std::shared_ptr<Execution> run = run_;
  if (run == nullptr) return last_snapshot_;
  nb::gil_scoped_release unlocked;
  return run->Snapshot();
}

Duration PyExecution::elapsed() const { return run_ == nullptr ? last_elapsed_ : run_->elapsed(); }

std::int64_t PyExecution::peak_charged_bytes() const {
  const std::shared_ptr<Execution> run = run_;
  if (run == nullptr) return last_peak_bytes_;
  nb::gil_scoped_release unlocked;
  return run->peak_charged_bytes();
}

std::pair<BlockRefPtr, bool> PyExecution::Poll(double timeout_seconds, std::int64_t prefetch) {
  Duration left = Duration{std::numeric_limits<std::int64_t>::max()};
  if (timeout_seconds < 9e9) {
    left = Duration{static_cast<std::int64_t>(std::max(timeout_seconds, 0.0) * 1e9)};
  }
  while (true) {
    const Duration slice = std::min(left, kSignalInterval);
    Check(session_->Get().status());
    const std::shared_ptr<Execution> run = run_;
    Result<Execution::Polled> polled = [&] {
      nb::gil_scoped_release unlocked;
      return run->Poll(slice, prefetch);
    }();
    Check(session_->Get().status());
    if (!polled.ok()) {
      // A signal that broke off the run is what the user wants to see.
      CheckSignals();
      if (std::optional<Failure> failure = run->failure()) RaiseFailure(*failure);
      Raise(polled.status());
    }
    if (polled->block) {
      // The reference must outlive the run's backend, so it becomes one of the store's own.
      const ObjectId objects[] = {polled->block->object};
      session_->session->storage()->Retain(objects);
      run->backend().Release(objects);
      return {std::make_shared<BlockRef>(session_, *std::move(polled->block)), false};
    }
    if (polled->end) return {nullptr, true};
    if (PyErr_CheckSignals() != 0) {
      nb::python_error signal;
      Stop();
      throw signal;
    }
    left = left - slice;
    if (left.nanos <= 0) return {nullptr, false};
  }
}

std::vector<std::vector<std::uint32_t>> PyExecution::TakeEndedPieces() {
  std::vector<std::vector<std::uint32_t>> pieces;
  if (run_ == nullptr) return pieces;
  for (const Position& position : run_->TakeEndedPieces()) pieces.push_back(PathOf(position));
  return pieces;
}

std::vector<std::pair<std::vector<std::uint32_t>, nb::bytes>> PyExecution::TakeLetters() {
  std::vector<std::pair<std::vector<std::uint32_t>, nb::bytes>> letters;
  if (run_ == nullptr) return letters;
  for (Execution::Letter& letter : run_->TakeLetters()) {
    letters.emplace_back(PathOf(letter.piece),
                         nb::bytes(letter.record.data(), letter.record.size()));
  }
  return letters;
}

void BindExecution(nb::module_& module) {
  using State = OperatorState;
  nb::class_<State>(module, "OperatorState")
      .def_ro("name", &State::name)
      .def_ro("tasks_started", &State::tasks_started)
      .def_ro("tasks_running", &State::tasks_running)
      .def_ro("tasks_parked", &State::tasks_parked)
      .def_ro("tasks_done", &State::tasks_done)
      .def_ro("tasks_failed", &State::tasks_failed)
      .def_ro("tasks_retried", &State::tasks_retried)
      .def_ro("tasks_total", &State::tasks_total)
      .def_ro("actors_ready", &State::actors_ready)
      .def_ro("actors_starting", &State::actors_starting)
      .def_ro("input_blocks", &State::input_blocks)
      .def_ro("input_bytes", &State::input_bytes)
      .def_ro("output_blocks", &State::output_blocks)
      .def_ro("output_rows", &State::output_rows)
      .def_ro("output_bytes", &State::output_bytes)
      .def_ro("held_bytes", &State::held_bytes)
      .def_ro("wall_nanos", &State::wall_nanos)
      .def_ro("cpu_nanos", &State::cpu_nanos)
      .def_ro("function_nanos", &State::function_nanos)
      .def_ro("errored_rows", &State::errored_rows)
      .def_ro("letter_rows", &State::letter_rows)
      .def_ro("peak_heap_bytes", &State::peak_heap_bytes)
      .def_prop_ro("waits_for",
                   [](const State& self) { return std::string(ToString(self.waits_for)); })
      .def_prop_ro("wait_nanos",
                   [](const State& self) {
                     return std::vector<std::int64_t>(std::begin(self.wait_nanos),
                                                      std::end(self.wait_nanos));
                   })
      .def_prop_ro("wait_seconds", &WaitSeconds);

  nb::class_<PyExecution>(module, "Execution")
      .def(
          "next",
          [](PyExecution& self, std::int64_t prefetch) {
            return self.Poll(std::numeric_limits<double>::infinity(), prefetch).first;
          },
          nb::arg("prefetch") = 1)
      .def("poll", &PyExecution::Poll, nb::arg("timeout_seconds"), nb::arg("prefetch") = 1)
      .def("take_ended_pieces", &PyExecution::TakeEndedPieces)
      .def("take_letters", &PyExecution::TakeLetters)
      .def("stop", &PyExecution::Stop)
      .def("snapshot", &PyExecution::Snapshot)
      .def("statistics",
           [](const PyExecution& self) {
             return RenderStatistics(self.Snapshot(), {self.elapsed(), self.peak_charged_bytes()});
           })
      .def_prop_ro("elapsed_seconds",
                   [](const PyExecution& self) { return self.elapsed().seconds(); })
      .def_prop_ro("peak_charged_bytes", &PyExecution::peak_charged_bytes);
}

}  // namespace headrace::python
