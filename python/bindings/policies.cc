// Back-pressure policies written in Python.

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "errors.h"
#include "headrace/control/account/policy.h"
#include "headrace/data/transform/function.h"
#include "resources.h"

namespace headrace::python {
namespace {

/// Copies of what a policy sees, for as long as Python keeps them.
struct PyOperatorLoad {
  std::int32_t index = 0;
  std::string name;
  OperatorLoad load;
};
struct PyAccountView {
  std::vector<PyOperatorLoad> operators;
  std::int64_t budget_bytes = 0;
  std::int64_t charged_bytes = 0;
};

PyAccountView Copy(const AccountView& view) {
  PyAccountView copy{{}, view.budget_bytes, view.charged_bytes};
  for (const OperatorLoad& load : view.operators) {
    const auto index = static_cast<std::int32_t>(copy.operators.size());
    copy.operators.push_back({index, std::string(load.name), load});
  }
  return copy;
}

/// The user's methods, shared by the policies of all runs that use them. None: not overridden.
struct PolicyCode {
  std::string name;
  nb::object may_start;
  nb::object credit_bytes;

  PolicyCode(std::string name, nb::object may_start, nb::object credit_bytes)
      : name(std::move(name)),
        may_start(std::move(may_start)),
        credit_bytes(std::move(credit_bytes)) {}
  PolicyCode(const PolicyCode&) = delete;
  PolicyCode& operator=(const PolicyCode&) = delete;
  ~PolicyCode() {
    nb::gil_scoped_acquire locked;
    may_start.reset();
    credit_bytes.reset();
  }
};

/// One run's policy. After an exception it says no to everything, and the run ends.
class PythonPolicy final : public BackpressurePolicy {
 public:
  explicit PythonPolicy(std::shared_ptr<const PolicyCode> code) : code_(std::move(code)) {}

  std::string_view name() const override { return code_->name; }
  std::optional<Failure> failure() const override { return failure_; }

  WaitReason MayStart(OperatorId op, const AccountView& view) const override {
    if (failure_) return WaitReason::kPolicy;
    bool allowed = true;
    Ask(code_->may_start, op, view, [&](const nb::object& method, const PyAccountView& copy) {
      const nb::object answer = method(copy.operators[static_cast<std::size_t>(op.value)], copy);
      if (!nb::isinstance<nb::bool_>(answer)) {
        throw nb::type_error("may_start() must return True or False");
      }
      allowed = nb::cast<bool>(answer);
    });
    return allowed && !failure_ ? WaitReason::kNone : WaitReason::kPolicy;
  }

  std::int64_t CreditBytes(OperatorId op, std::int64_t offered,
                           const AccountView& view) const override {
    if (failure_) return 0;
    std::int64_t bytes = offered;
    Ask(code_->credit_bytes, op, view, [&](const nb::object& method, const PyAccountView& copy) {
      const nb::object answer =
          method(copy.operators[static_cast<std::size_t>(op.value)], offered, copy);
      if (!nb::try_cast(answer, bytes)) {
        throw nb::type_error("credit_bytes() must return a number of bytes");
      }
    });
    return failure_ ? 0 : bytes;
  }

 private:
  template <class Call>
  void Ask(const nb::object& method, OperatorId op, const AccountView& view, Call call) const {
    if (method.is_none()) return;
    nb::gil_scoped_acquire locked;
    try {
      // What Call throws of nanobind's becomes a Python error, as if Python had raised it.
      const nb::object guarded = nb::cpp_function([&] { call(method, Copy(view)); });
      guarded();
    } catch (nb::python_error& error) {
      const std::string place =
          "policy " + code_->name + ", asked about operator " +
          std::string(view.operators[static_cast<std::size_t>(op.value)].name);
      failure_ = FailureOf(StatusOfPythonError(error, [&](nb::handle value) {
        return nb::module_::import_("headrace._internal.errors").attr("describe")(value, place);
      }));
    }
  }

  const std::shared_ptr<const PolicyCode> code_;
  mutable std::optional<Failure> failure_;
};

using PolicyParts = std::tuple<std::string, nb::object, nb::object>;

void SetPolicies(PyExecutionOptions& options, const std::vector<PolicyParts>& policies) {
  options.policies.clear();
  for (const auto& [name, may_start, credit_bytes] : policies) {
    auto code = std::make_shared<const PolicyCode>(name, may_start, credit_bytes);
    options.policies.emplace_back([code = std::move(code)](const PhysicalPlan&) {
      return std::make_unique<PythonPolicy>(code);
    });
  }
}

}  // namespace

void BindPolicies(nb::module_& module) {
  using Load = PyOperatorLoad;
  const auto amount = [](std::int64_t OperatorLoad::*field) {
    return [field](const Load& self) { return self.load.*field; };
  };
  nb::class_<Load>(module, "OperatorLoad")
      .def_ro("index", &Load::index)
      .def_ro("name", &Load::name)
      .def_prop_ro("num_cpus", [](const Load& self) { return FromResources(self.load.cost).cpu; })
      .def_prop_ro("num_gpus", [](const Load& self) { return FromResources(self.load.cost).gpu; })
      .def_prop_ro("memory", [](const Load& self) { return self.load.cost.memory_bytes; })
      .def_prop_ro("tasks_running", amount(&OperatorLoad::tasks_running))
      .def_prop_ro("tasks_parked", amount(&OperatorLoad::tasks_parked))
      .def_prop_ro("tasks_done", amount(&OperatorLoad::tasks_done))
      .def_prop_ro("input_blocks", amount(&OperatorLoad::input_blocks))
      .def_prop_ro("queued_bytes", amount(&OperatorLoad::queued_bytes))
      .def_prop_ro("held_bytes", amount(&OperatorLoad::held_bytes))
      .def_prop_ro("expected_block_bytes", amount(&OperatorLoad::expected_block_bytes));
  nb::class_<PyAccountView>(module, "AccountView")
      .def_ro("operators", &PyAccountView::operators)
      .def_ro("budget_bytes", &PyAccountView::budget_bytes)
      .def_ro("charged_bytes", &PyAccountView::charged_bytes);
  module.def("set_policies", &SetPolicies, nb::arg("options"), nb::arg("policies"));
}

}  // namespace headrace::python
