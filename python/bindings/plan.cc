// Logical plans: building them, asking about them, running them.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <set>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "execution.h"
#include "function_runtime.h"
#include "headrace/control/optimize/optimizer.h"
#include "headrace/control/plan/explain.h"
#include "headrace/engine/session.h"
#include "resources.h"
#include "store.h"

namespace headrace::python {
namespace {

using OptionalPlacement = std::optional<Placement>;

// What InputData::keep_alive points to in every plan that Python makes.
struct KeptBlocks {
  std::vector<BlockRefPtr> blocks;
};

PyPlan Over(LogicalKind kind, const PyPlan& input) {
  return {LogicalOperator::Make(std::move(kind), {input.plan})};
}

PyPlan Read(const PySource& source, std::optional<std::vector<std::string>> columns,
            std::optional<PyExpr> filter, std::int64_t parallelism, OptionalPlacement placement) {
  logical::Read read;
  read.source = source.source;
  read.columns = std::move(columns);
  if (filter) read.filter = filter->expr;
  read.parallelism = parallelism;
  read.placement = placement.value_or(Placement{});
  return {LogicalOperator::Make(std::move(read))};
}

PyPlan InputDataOf(std::vector<BlockRefPtr> blocks, std::string name) {
  logical::InputData input;
  for (const BlockRefPtr& block : blocks) {
    BlockHandle handle = block->handle();
    handle.info.position = Position{{static_cast<std::uint32_t>(input.blocks.size())}};
    input.blocks.push_back(std::move(handle));
  }
  input.keep_alive = std::make_shared<const KeptBlocks>(KeptBlocks{std::move(blocks)});
  input.name = std::move(name);
  return {LogicalOperator::Make(std::move(input))};
}

PyPlan UnionOf(const std::vector<PyPlan>& plans) {
  if (plans.empty()) throw nb::value_error("a union needs at least one plan");
  std::vector<LogicalPtr> inputs;
  for (const PyPlan& plan : plans) inputs.push_back(plan.plan);
  return {LogicalOperator::Make(logical::Union{}, std::move(inputs))};
}

PyPlan MixOf(const std::vector<PyPlan>& plans, std::vector<double> weights, bool stop_on_shortest) {
  if (plans.empty()) throw nb::value_error("a mix needs at least one plan");
  std::vector<LogicalPtr> inputs;
  for (const PyPlan& plan : plans) inputs.push_back(plan.plan);
  logical::Mix mix{std::move(weights), stop_on_shortest};
  return {LogicalOperator::Make(std::move(mix), std::move(inputs))};
}

// Workers must find the modules and relative paths that this process finds now.
void WarmUp() {
  nb::object payload =
      nb::module_::import_("headrace._internal.worker_setup").attr("setup_payload")();
  auto bytes = nb::cast<nb::bytes>(payload);
  SetWorkerSetup(std::string(bytes.c_str(), bytes.size()));
  WarmUpSession();
}

PyPlan MapOver(const PyPlan& self, const PyFunction& function, OptionalPlacement placement,
               std::int64_t min_bundle_rows) {
  // The first Python function of a process needs a worker soon: start the template meanwhile.
  WarmUp();
  logical::Map map{function.spec, placement.value_or(Placement{}), min_bundle_rows};
  if (min_bundle_rows < 0) map.min_bundle_rows = function.spec->batch_rows;
  return Over(std::move(map), self);
}

PyPlan ProjectOver(const PyPlan& self, bool keep_rest, std::vector<std::string> drop,
                   std::vector<std::pair<std::string, std::string>> rename,
                   const std::vector<std::pair<std::string, PyExpr>>& exprs, std::string label,
                   OptionalPlacement placement) {
  ProjectStep step;
  step.keep_rest = keep_rest;
  step.drop = std::move(drop);
  step.rename = std::move(rename);
  for (const auto& [name, value] : exprs) step.exprs.push_back({name, value.expr});
  return Over(logical::Project{std::move(step), std::move(label), placement.value_or(Placement{})},
              self);
}

// By the order of the alternatives of LogicalKind.
constexpr std::array<const char*, std::variant_size_v<LogicalKind>> kKindNames = {
    "read",
    "input_data",
    "map",
    "filter",
    "project",
    "limit",
    "union",
    "mix",
    "write",
    "repartition",
    "random_shuffle",
    "randomize_blocks",
    "sort",
    "aggregate",
    "group",
    "join",
    "zip"};

std::vector<PyPlan> InputsOf(const PyPlan& self) {
  std::vector<PyPlan> inputs;
  for (const LogicalPtr& input : self.plan->inputs()) inputs.push_back({input});
  return inputs;
}

const KeptBlocks& KeptOf(const logical::InputData& input) {
  return *static_cast<const KeptBlocks*>(input.keep_alive.get());
}

std::optional<std::vector<BlockRefPtr>> BlocksOf(const PyPlan& self) {
  const auto* input = self.plan->As<logical::InputData>();
  if (input == nullptr) return std::nullopt;
  return KeptOf(*input).blocks;
}

std::optional<PySource> SourceOf(const PyPlan& self) {
  const auto* read = self.plan->As<logical::Read>();
  if (read == nullptr) return std::nullopt;
  return PySource{read->source};
}

// Blocks of an earlier session are gone; their ids mean nothing to this one.
Status CheckBlocksLive(const LogicalPtr& plan, const SessionPtr& session) {
  if (const auto* input = plan->As<logical::InputData>()) {
    for (const BlockRefPtr& block : KeptOf(*input).blocks) {
      if (block->session() == session) continue;
      return Status::Invalid("blocks of this data set were lost when headrace was shut down");
    }
  }
  for (const LogicalPtr& input : plan->inputs()) {
    ARROW_RETURN_NOT_OK(CheckBlocksLive(input, session));
  }
  return Status::OK();
}

std::vector<std::pair<std::string, std::string>> ExplainPlan(const PyPlan& self,
                                                             const PyExecutionOptions& options) {
  const std::shared_ptr<Session> session = Unwrap(Unwrap(CurrentSession())->Share());
  Result<PlanStages> planned = [&] {
    // Another thread may be planning, with rules that wait for the GIL.
    nb::gil_scoped_release unlocked;
    return session->Plan(self.plan, options);
  }();
  const PlanStages stages = Unwrap(std::move(planned));
  return {{"Logical Plan", Explain(stages.logical)},
          {"Logical Plan (Optimized)", Explain(stages.optimized_logical)},
          {"Physical Plan", Explain(stages.physical)},
          {"Physical Plan (Optimized)", Explain(stages.optimized_physical)}};
}

using PyPositions = std::vector<std::vector<std::uint32_t>>;

PyPositions PlanPieces(const PyPlan& self, const PyExecutionOptions& options) {
  const std::shared_ptr<Session> session = Unwrap(Unwrap(CurrentSession())->Share());
  Result<std::vector<Position>> planned = [&] {
    nb::gil_scoped_release unlocked;
    return session->PlanPieces(self.plan, options);
  }();
  PyPositions pieces;
  for (const Position& position : Unwrap(std::move(planned))) pieces.push_back(PathOf(position));
  return pieces;
}

std::vector<std::pair<std::string, nb::bytes>> DescribePlan(const PyPlan& self,
                                                            const PyExecutionOptions& options) {
  const std::shared_ptr<Session> session = Unwrap(Unwrap(CurrentSession())->Share());
  auto planned = [&] {
    nb::gil_scoped_release unlocked;
    return session->DescribePlan(self.plan, options);
  }();
  std::vector<std::pair<std::string, nb::bytes>> outputs;
  for (const auto& [name, text] : Unwrap(std::move(planned))) {
    outputs.emplace_back(name, nb::bytes(text.data(), text.size()));
  }
  return outputs;
}

PyPlan WithInputs(const PyPlan& self, const std::vector<PyPlan>& plans) {
  std::vector<LogicalPtr> inputs;
  for (const PyPlan& plan : plans) inputs.push_back(plan.plan);
  if (inputs.size() != self.plan->inputs().size()) {
    throw nb::value_error("a plan keeps its number of inputs");
  }
  return {LogicalOperator::WithInputs(self.plan, std::move(inputs))};
}

// True for a function that gets blocks as they are.
bool TakesWholeBlocks(const PyPlan& self) {
  const auto* map = self.plan->As<logical::Map>();
  return map != nullptr && map->function->kind == FunctionKind::kMapBatches &&
         map->function->batch_rows == 0;
}

// The pickled functions of a plan's own operator, and of its source's units: (name, payload).
std::vector<std::pair<std::string, nb::bytes>> PayloadsOf(const PyPlan& self) {
  std::vector<std::pair<std::string, nb::bytes>> payloads;
  auto add = [&](const std::string& name, const std::shared_ptr<const std::string>& payload) {
    if (payload != nullptr) {
      payloads.emplace_back(name, nb::bytes(payload->data(), payload->size()));
    }
  };
  if (const auto* map = self.plan->As<logical::Map>()) {
    add(map->function->name, map->function->payload);
  } else if (const auto* read = self.plan->As<logical::Read>()) {
    const ReadSource& source = *read->source;
    if (source.function != nullptr) add(source.name, source.function->payload);
    for (const ReadUnit& unit : source.units) add(source.name, unit.payload);
  }
  return payloads;
}

// What a plan's own operator does with rows on which its function fails, pickled; b"": nothing.
nb::bytes OnErrorOf(const PyPlan& self) {
  const auto* map = self.plan->As<logical::Map>();
  if (map == nullptr) return nb::bytes("", 0);
  return nb::bytes(map->function->on_error.data(), map->function->on_error.size());
}

std::unique_ptr<PyExecution> Execute(const PyPlan& self, const PyExecutionOptions& options,
                                     const std::optional<PyPositions>& done_pieces) {
  std::set<Position> done;
  for (const std::vector<std::uint32_t>& path : done_pieces.value_or(PyPositions{})) {
    done.insert(Position{path});
  }
  const std::set<Position>* pieces = done_pieces ? &done : nullptr;
  SessionPtr handle = Unwrap(CurrentSession());
  Check(CheckBlocksLive(self.plan, handle));
  std::unique_ptr<FunctionRuntime> functions;
  if (options.inline_mode) functions = MakeInlineFunctionRuntime();
  std::shared_ptr<Session> session = Unwrap(handle->Share());
  Result<std::unique_ptr<Execution>> run = [&] {
    nb::gil_scoped_release unlocked;
    auto started = options.inline_mode
                       ? session->ExecuteInline(self.plan, options, functions.get(), pieces)
                       : session->Execute(self.plan, options, pieces);
    session.reset();
    return started;
  }();
  auto execution =
      std::make_unique<PyExecution>(handle, Unwrap(std::move(run)), std::move(functions));
  const Status live = handle->Get().status();
  if (!live.ok()) execution->End();  // It was shut down meanwhile.
  Check(live);
  return execution;
}

}  // namespace

void BindPlan(nb::module_& module) {
  nb::class_<PyPlan>(module, "Plan")
      .def_static("read", &Read, nb::arg("source"), nb::kw_only(), nb::arg("columns") = nb::none(),
                  nb::arg("filter") = nb::none(), nb::arg("parallelism") = -1,
                  nb::arg("placement") = nb::none())
      .def_static("input_data", &InputDataOf, nb::arg("blocks"), nb::arg("name") = "InputData")
      .def_static("union", &UnionOf, nb::arg("plans"))
      .def_static("mix", &MixOf, nb::arg("plans"), nb::arg("weights"), nb::arg("stop_on_shortest"))
      .def("map", &MapOver, nb::arg("function"), nb::arg("placement") = nb::none(),
           nb::arg("min_bundle_rows") = -1)
      .def(
          "filter",
          [](const PyPlan& self, const PyExpr& predicate, OptionalPlacement placement) {
            return Over(logical::Filter{predicate.expr, placement.value_or(Placement{})}, self);
          },
          nb::arg("predicate"), nb::arg("placement") = nb::none())
      .def("project", &ProjectOver, nb::kw_only(), nb::arg("keep_rest"),
           nb::arg("drop") = nb::tuple(), nb::arg("rename") = nb::tuple(),
           nb::arg("exprs") = nb::tuple(), nb::arg("label") = "Project",
           nb::arg("placement") = nb::none())
      .def(
          "limit",
          [](const PyPlan& self, std::int64_t rows) { return Over(logical::Limit{rows}, self); },
          nb::arg("rows"))
      .def(
          "write",
          [](const PyPlan& self, const PyWriteTarget& target, OptionalPlacement placement,
             std::int64_t min_bundle_rows) {
            return Over(
                logical::Write{target.target, placement.value_or(Placement{}), min_bundle_rows},
                self);
          },
          nb::arg("target"), nb::arg("placement") = nb::none(), nb::arg("min_bundle_rows") = 0)
      .def_prop_ro("name", [](const PyPlan& self) { return self.plan->name(); })
      .def_prop_ro("kind", [](const PyPlan& self) { return kKindNames[self.plan->kind().index()]; })
      .def_prop_ro("inputs", &InputsOf)
      .def("blocks", &BlocksOf)
      .def("source", &SourceOf)
      .def("infer_schema", [](const PyPlan& self) { return InferSchema(self.plan); })
      .def("infer_row_count", [](const PyPlan& self) { return InferRowCount(self.plan); })
      .def("validate", [](const PyPlan& self) { Check(Validate(self.plan)); })
      .def("explain", &ExplainPlan, nb::arg("options"))
      .def("plan_pieces", &PlanPieces, nb::arg("options"))
      .def("describe_outputs", &DescribePlan, nb::arg("options"))
      .def("with_inputs", &WithInputs, nb::arg("inputs"))
      .def_prop_ro("takes_whole_blocks", &TakesWholeBlocks)
      .def_prop_ro("payloads", &PayloadsOf)
      .def_prop_ro("on_error", &OnErrorOf)
      .def("execute", &Execute, nb::arg("options"), nb::arg("done_pieces") = nb::none())
      .def("__str__", [](const PyPlan& self) { return Explain(self.plan); });
}

}  // namespace headrace::python
