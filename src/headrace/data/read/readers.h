#pragma once

#include "headrace/data/read/source.h"

namespace headrace {

// The reader of each format, one file each. Options are documented at the definitions.
const Reader& RangeReader();
const Reader& ParquetReader();
const Reader& CsvReader();
const Reader& JsonReader();
const Reader& TextReader();
const Reader& BinaryReader();
const Reader& NumpyReader();
const Reader& PythonReader();

}  // namespace headrace
