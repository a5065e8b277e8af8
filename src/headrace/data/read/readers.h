#pragma once

#include "headrace/data/read/source.h"
#include "headrace/data/transform/step.h"

namespace headrace {

/// Yields one batch that is there already.
StreamPtr MakeOneBatchStream(Batch batch);

// The reader of each format, one file each. Options are documented at the definitions.
const Reader& RangeReader();
const Reader& ParquetReader();
const Reader& CsvReader();
const Reader& JsonReader();
const Reader& TextReader();
const Reader& BinaryReader();
const Reader& NumpyReader();
const Reader& ArrowReader();
const Reader& PythonReader();

}  // namespace headrace
