#include "headrace/protocol/resources_wire.h"

#include "headrace/base/wire.h"

namespace headrace {

void WriteResources(const Resources& resources, WireWriter* out) {
  out->I64(resources.cpu_milli);
  out->I64(resources.gpu_milli);
  out->I64(resources.memory_bytes);
  out->U64(resources.custom_milli.size());
  for (const auto& [name, amount] : resources.custom_milli) {
    out->Bytes(name);
    out->I64(amount);
  }
}

Resources ReadResources(WireReader* in) {
  Resources resources;
  resources.cpu_milli = in->I64();
  resources.gpu_milli = in->I64();
  resources.memory_bytes = in->I64();
  resources.custom_milli.resize(in->Count());
  for (auto& [name, amount] : resources.custom_milli) {
    name = in->String();
    amount = in->I64();
  }
  return resources;
}

}  // namespace headrace
