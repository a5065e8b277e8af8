// Recorded runs: replayed, told as text, and as a trace.

#include <nanobind/stl/string.h>

#include <string>
#include <string_view>

#include "bindings.h"
#include "errors.h"
#include "headrace/observe/event_log.h"
#include "headrace/observe/timeline.h"
#include "headrace/observe/trace.h"

namespace headrace::python {
namespace {

struct Replayed {
  std::string text;
  std::string difference;  // "": none.
  std::string cut;         // Why the log ends before its run. "": it does not.
  std::int64_t events = 0;
  std::int64_t operators = 0;
  double elapsed_seconds = 0;
};

std::string_view View(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

Replayed ReplayLog(const nb::bytes& bytes, int slices) {
  if (slices < 1) throw nb::value_error("slices must be at least 1");
  const std::string_view view = View(bytes);
  Result<Replayed> replayed = [&]() -> Result<Replayed> {
    nb::gil_scoped_release unlocked;
    ARROW_ASSIGN_OR_RAISE(const EventLog log, ParseEventLog(view));
    Timeline timeline(log, slices);
    const Status status = Replay(log, {&timeline});
    Replayed out;
    out.text = timeline.Render();
    out.difference = status.ok() ? "" : status.message();
    out.cut = log.cut;
    out.events = static_cast<std::int64_t>(log.events.size());
    out.operators = static_cast<std::int64_t>(log.plan.operators.size());
    out.elapsed_seconds = timeline.elapsed().seconds();
    return out;
  }();
  return Unwrap(std::move(replayed));
}

nb::bytes TraceLog(const nb::bytes& bytes) {
  const std::string_view view = View(bytes);
  Result<std::string> traced = [&]() -> Result<std::string> {
    nb::gil_scoped_release unlocked;
    ARROW_ASSIGN_OR_RAISE(const EventLog log, ParseEventLog(view));
    Trace trace(log);
    ARROW_RETURN_NOT_OK(Replay(log, {&trace}));
    return trace.Finish();
  }();
  const std::string json = Unwrap(std::move(traced));
  return nb::bytes(json.data(), json.size());
}

}  // namespace

void BindReplay(nb::module_& module) {
  nb::class_<Replayed>(module, "Replayed")
      .def_ro("text", &Replayed::text)
      .def_ro("difference", &Replayed::difference)
      .def_ro("cut", &Replayed::cut)
      .def_ro("events", &Replayed::events)
      .def_ro("operators", &Replayed::operators)
      .def_ro("elapsed_seconds", &Replayed::elapsed_seconds);
  module.def("replay_log", &ReplayLog, nb::arg("log"), nb::arg("slices") = 20);
  module.def("trace_log", &TraceLog, nb::arg("log"));
}

}  // namespace headrace::python
