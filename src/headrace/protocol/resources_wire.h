#pragma once

#include "headrace/base/resources.h"

namespace headrace {

class WireReader;
class WireWriter;

// The byte form of resources.

void WriteResources(const Resources& resources, WireWriter* out);
Resources ReadResources(WireReader* in);

}  // namespace headrace
