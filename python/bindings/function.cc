// The user's Python functions as the plan knows them.

#include <nanobind/stl/string.h>

#include <array>
#include <string_view>
#include <utility>

#include "bindings.h"
#include "headrace/engine/session.h"

namespace headrace::python {
namespace {

constexpr std::array<std::pair<std::string_view, FunctionKind>, 6> kKinds = {{
    {"map_batches", FunctionKind::kMapBatches},
    {"map_rows", FunctionKind::kMapRows},
    {"flat_map_rows", FunctionKind::kFlatMapRows},
    {"filter_rows", FunctionKind::kFilterRows},
    {"read", FunctionKind::kRead},
    {"write", FunctionKind::kWrite},
}};

FunctionKind KindOf(std::string_view name) {
  for (const auto& [text, kind] : kKinds) {
    if (text == name) return kind;
  }
  throw nb::value_error(("unknown kind of function: " + std::string(name)).c_str());
}

std::string_view NameOf(FunctionKind kind) {
  for (const auto& [text, value] : kKinds) {
    if (value == kind) return text;
  }
  return "";
}

void MakeFunction(PyFunction* self, std::string_view kind, std::string name,
                  const nb::bytes& payload, bool is_class, std::int64_t batch_rows,
                  std::string batch_format, bool zero_copy_batch, const nb::bytes& on_error,
                  bool drops_rows) {
  auto spec = std::make_shared<FunctionSpec>();
  spec->id = NextFunctionId();
  spec->name = std::move(name);
  spec->kind = KindOf(kind);
  spec->is_class = is_class;
  spec->batch_rows = batch_rows;
  spec->batch_format = std::move(batch_format);
  spec->zero_copy_batch = zero_copy_batch;
  spec->on_error = std::string(on_error.c_str(), on_error.size());
  spec->drops_rows = drops_rows;
  spec->payload = SharedBytes(payload);
  new (self) PyFunction{std::move(spec)};
}

nb::bytes PayloadOf(const PyFunction& self) {
  if (self.spec->payload == nullptr) return nb::bytes("", 0);
  return nb::bytes(self.spec->payload->data(), self.spec->payload->size());
}

}  // namespace

std::shared_ptr<const std::string> SharedBytes(const nb::bytes& text) {
  return std::make_shared<const std::string>(text.c_str(), text.size());
}

void BindFunction(nb::module_& module) {
  nb::class_<PyFunction>(module, "Function")
      .def(
          "__init__",
          [](PyFunction* self, const std::string& kind, std::string name, const nb::bytes& payload,
             bool is_class, std::int64_t batch_rows, std::string batch_format, bool zero_copy,
             const nb::bytes& on_error, bool drops_rows) {
            MakeFunction(self, kind, std::move(name), payload, is_class, batch_rows,
                         std::move(batch_format), zero_copy, on_error, drops_rows);
          },
          nb::kw_only(), nb::arg("kind"), nb::arg("name"), nb::arg("payload"),
          nb::arg("is_class") = false, nb::arg("batch_rows") = 0, nb::arg("batch_format") = "numpy",
          nb::arg("zero_copy_batch") = true, nb::arg("on_error") = nb::bytes("", 0),
          nb::arg("drops_rows") = false)
      .def_prop_ro("id", [](const PyFunction& self) { return self.spec->id; })
      .def_prop_ro("name", [](const PyFunction& self) { return self.spec->name; })
      .def_prop_ro("kind",
                   [](const PyFunction& self) { return std::string(NameOf(self.spec->kind)); })
      .def_prop_ro("payload", &PayloadOf)
      .def_prop_ro("on_error",
                   [](const PyFunction& self) {
                     return nb::bytes(self.spec->on_error.data(), self.spec->on_error.size());
                   })
      .def_prop_ro("batch_rows", [](const PyFunction& self) { return self.spec->batch_rows; })
      .def_prop_ro("batch_format", [](const PyFunction& self) { return self.spec->batch_format; })
      .def_prop_ro("zero_copy_batch",
                   [](const PyFunction& self) { return self.spec->zero_copy_batch; })
      .def_prop_ro("is_class", [](const PyFunction& self) { return self.spec->is_class; });
}

}  // namespace headrace::python
