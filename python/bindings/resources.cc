// Resources, placements and execution options: what a plan may use.

#include "resources.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "bindings.h"

namespace headrace::python {
namespace {

std::int64_t ToMilli(double amount, const char* what) {
  if (std::isnan(amount) || amount < 0) {
    throw nb::value_error((std::string(what) + " must not be negative").c_str());
  }
  // Amounts beyond any machine ("inf") stay representable in sums.
  if (amount > 1e12) return std::numeric_limits<std::int64_t>::max() / 4;
  const std::int64_t milli = std::llround(amount * 1000);
  return amount > 0 ? std::max<std::int64_t>(milli, 1) : 0;
}

Placement* MakePlacement(std::optional<PyResources> cost, std::optional<int> max_tasks,
                         std::optional<std::tuple<int, int, int>> actors, int max_in_flight,
                         const nb::bytes& where) {
  auto placement = std::make_unique<Placement>();
  placement->where.assign(where.c_str(), where.size());
  if (cost) placement->cost = ToResources(*cost);
  if (actors) {
    ActorPool pool;
    std::tie(pool.min_size, pool.max_size, pool.initial_size) = *actors;
    pool.max_tasks_in_flight = max_in_flight;
    placement->compute = pool;
  } else if (max_tasks) {
    placement->compute = TaskPool{.max_tasks = *max_tasks};
  }
  return placement.release();
}

}  // namespace

Resources ToResources(const PyResources& amounts) {
  Resources resources;
  resources.cpu_milli = ToMilli(amounts.cpu, "cpu");
  resources.gpu_milli = ToMilli(amounts.gpu, "gpu");
  resources.memory_bytes = amounts.memory;
  for (const auto& [name, amount] : amounts.custom) {
    if (const std::int64_t milli = ToMilli(amount, name.c_str()); milli > 0) {
      resources.custom_milli.emplace_back(name, milli);
    }
  }
  return resources;
}

PyResources FromResources(const Resources& resources) {
  PyResources amounts;
  amounts.cpu = static_cast<double>(resources.cpu_milli) / 1000;
  amounts.gpu = static_cast<double>(resources.gpu_milli) / 1000;
  amounts.memory = resources.memory_bytes;
  for (const auto& [name, milli] : resources.custom_milli) {
    amounts.custom[name] = static_cast<double>(milli) / 1000;
  }
  return amounts;
}

void BindResources(nb::module_& module) {
  nb::class_<PyResources>(module, "Resources")
      .def(
          "__init__",
          [](PyResources* self, double cpu, double gpu, std::int64_t memory,
             std::optional<std::map<std::string, double>> custom) {
            new (self) PyResources{cpu, gpu, memory, {}};
            if (custom) self->custom = *std::move(custom);
          },
          nb::arg("cpu") = 0, nb::arg("gpu") = 0, nb::arg("memory") = 0,
          nb::arg("custom") = nb::none())
      .def_rw("cpu", &PyResources::cpu)
      .def_rw("gpu", &PyResources::gpu)
      .def_rw("memory", &PyResources::memory)
      .def_rw("custom", &PyResources::custom)
      .def("__repr__", [](const PyResources& self) {
        return "Resources(" + ToResources(self).ToString() + ")";
      });

  nb::class_<Placement>(module, "Placement")
      .def(nb::new_(&MakePlacement), nb::arg("cost") = nb::none(),
           nb::arg("max_tasks") = nb::none(), nb::arg("actors") = nb::none(),
           nb::arg("max_tasks_in_flight") = 2, nb::arg("where") = nb::bytes("", 0));

  using Options = PyExecutionOptions;
  nb::class_<Options>(module, "ExecutionOptions")
      .def(nb::init<>())
      .def_prop_rw(
          "resource_limits",
          [](const Options& self) -> std::optional<PyResources> {
            if (!self.resource_limits) return std::nullopt;
            return FromResources(*self.resource_limits);
          },
          [](Options& self, std::optional<PyResources> limits) {
            self.resource_limits.reset();
            if (limits) self.resource_limits = ToResources(*limits);
          },
          nb::for_setter(nb::arg("limits").none()))
      .def_prop_rw(
          "exclude_resources",
          [](const Options& self) { return FromResources(self.exclude_resources); },
          [](Options& self, const PyResources& amounts) {
            self.exclude_resources = ToResources(amounts);
          })
      .def_rw("object_store_bytes", &Options::object_store_bytes)
      .def_rw("memory_limit_bytes", &Options::memory_limit_bytes)
      .def_rw("reservation_ratio", &Options::reservation_ratio)
      .def_rw("preserve_order", &Options::preserve_order)
      .def_rw("verbose_progress", &Options::verbose_progress)
      .def_rw("target_min_block_bytes", &Options::target_min_block_bytes)
      .def_rw("target_max_block_bytes", &Options::target_max_block_bytes)
      .def_rw("read_op_min_num_blocks", &Options::read_op_min_num_blocks)
      .def_rw("max_errored_blocks", &Options::max_errored_blocks)
      .def_rw("max_task_attempts", &Options::max_task_attempts)
      .def_rw("event_log_path", &Options::event_log_path)
      .def_rw("seed", &Options::seed)
      .def_rw("run_name", &Options::run_name)
      .def_prop_rw(
          "cluster",
          [](const Options& self) { return nb::bytes(self.cluster.data(), self.cluster.size()); },
          [](Options& self, const nb::bytes& asked) {
            self.cluster.assign(asked.c_str(), asked.size());
          })
      .def_rw("inline_mode", &Options::inline_mode);
}

}  // namespace headrace::python
