#pragma once

#include <arrow/type_fwd.h>

#include <memory>

#include "headrace/base/status.h"

// Text that travels within a task as codes of a dictionary, where its column is plain.
//
// A reader that finds text stored with a dictionary hands on codes: they cost a tenth of the text.
// An expression on such a column alone is evaluated once for each value (evaluate.h), rows are
// dropped by code, groups are found by code (data/exchange/coded_keys.h). What leaves the task, and
// what no step above knows of, is text again. A dictionary that the user made is another type, and
// stays it.

namespace headrace {

/// Returns whether columns of this type may come as codes.
bool IsText(const arrow::DataType& type);

/// Returns whether values of `type` are codes of 32 bits for text of the type `plain`.
bool IsCoded(const arrow::DataType& type, const arrow::DataType& plain);

/// Returns codes for text of the type `plain` as such if that will fit into one array, else the
/// text; another column as it is. So whoever decodes later need not think of chunks, nor of null
/// among the values. IndexError for a code without a value.
Result<std::shared_ptr<arrow::ChunkedArray>> CheckCodes(
    const std::shared_ptr<arrow::ChunkedArray>& column, const arrow::DataType& plain,
    arrow::MemoryPool* pool);

/// Returns the schema with the types of `plain` in place of codes for them.
std::shared_ptr<arrow::Schema> Uncoded(const arrow::Schema& schema, const arrow::Schema& plain);

/// Returns codes as the text that they stand for; another column as it is. Chunks hold less than
/// 2 GiB of text each.
Result<std::shared_ptr<arrow::ChunkedArray>> DecodeText(
    const std::shared_ptr<arrow::ChunkedArray>& column, const arrow::DataType& plain,
    arrow::MemoryPool* pool);

/// Returns the codes as numbers from 0: those of nulls are the length of the dictionary.
/// Requires: IsCoded().
Result<std::shared_ptr<arrow::Array>> CodesOf(const arrow::DictionaryArray& array,
                                              arrow::MemoryPool* pool);

}  // namespace headrace
