#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace arrow {
class Array;
class ChunkedArray;
class DataType;
class MemoryPool;
class Schema;
class Table;
}  // namespace arrow

// Blocks of differing schemas become one: the only place that knows how.
//
//   a                      b                       both
//   int, float, decimal    wider                   the wider; of int and float, float
//   date, time, timestamp  other unit              the finer unit
//   text                   other offsets, a view   large text; beside binary, binary
//   null, or no column     anything                anything
//   dictionary             dictionary              one of the wider codes
//   dictionary             its values              the values
//   tensor                 of another shape        variable-shape tensor; of fewer dimensions:
//                                                  ones come first
//   list, struct, map      of other values         the same by their values; struct fields by name
//
// The rest is Arrow's permissive promotion. Values that the wider type cannot hold (an integer over
// 2^53 as a float) are an error, so equal values stay equal and different ones different.

namespace headrace {

using SchemaPtr = std::shared_ptr<arrow::Schema>;

/// Returns the type that holds the values of both; null: there is none.
std::shared_ptr<arrow::DataType> UnifyTypes(const std::shared_ptr<arrow::DataType>& a,
                                            const std::shared_ptr<arrow::DataType>& b);

/// Returns the schema of all: the first's columns, then those that it lacks; the first object where
/// all are equal. `files[i]`, where there are such, are those of schema i: a TypeError names the
/// column, two types that do not fit and their files. Requires: not empty.
Result<SchemaPtr> UnifySchemas(const std::vector<SchemaPtr>& schemas,
                               const std::vector<FileList>& files = {});

/// Returns the table with this schema, which UnifySchemas() made for it; the same object if it has
/// it. Copies only what changes. Null `pool`: the default one.
Result<std::shared_ptr<arrow::Table>> PromoteTable(const std::shared_ptr<arrow::Table>& table,
                                                   const SchemaPtr& schema,
                                                   arrow::MemoryPool* pool);

/// Gives all tables one schema, and each dictionary column one dictionary, as above. Tables without
/// rows adapt to the others. Requires: not empty.
Status UnifyTables(std::vector<std::shared_ptr<arrow::Table>>* tables,
                   const std::vector<FileList>& files, arrow::MemoryPool* pool);

/// Returns the values as `type`, which UnifyTypes() made for them.
Result<std::shared_ptr<arrow::ChunkedArray>> PromoteColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool);
Result<std::shared_ptr<arrow::Array>> PromoteArray(const std::shared_ptr<arrow::Array>& array,
                                                   const std::shared_ptr<arrow::DataType>& type,
                                                   arrow::MemoryPool* pool);

/// Returns the column with one dictionary for all its chunks; another column as it is. The codes
/// become wider where they could not number the values; null values become null codes. A
/// dictionary whose values Arrow cannot tell apart (nested ones) is replaced by its values.
Result<std::shared_ptr<arrow::ChunkedArray>> ShareDictionary(
    const std::shared_ptr<arrow::ChunkedArray>& column, arrow::MemoryPool* pool);

/// The same of all columns of a table; the same object where nothing changes.
Result<std::shared_ptr<arrow::Table>> ShareDictionaries(std::shared_ptr<arrow::Table> table,
                                                        arrow::MemoryPool* pool);

/// Returns arrays of one type as one array. It is of another type only where there are
/// dictionaries, as above. Requires: not empty.
Result<std::shared_ptr<arrow::Array>> JoinArrays(
    const std::vector<std::shared_ptr<arrow::Array>>& arrays, arrow::MemoryPool* pool);

/// Returns the table with one chunk in each column. Columns of text that is too long for one have
/// more.
Result<std::shared_ptr<arrow::Table>> CombineChunks(const arrow::Table& table,
                                                    arrow::MemoryPool* pool);

/// Returns a table of these columns, whose types are their own and not the schema's where joining
/// dictionaries changed them.
std::shared_ptr<arrow::Table> TableOf(SchemaPtr schema,
                                      std::vector<std::shared_ptr<arrow::ChunkedArray>> columns,
                                      std::int64_t rows);

/// Returns the type with large text in place of views, within lists, structs and maps too: Arrow
/// cannot take rows of views. Values are promoted to it and back.
std::shared_ptr<arrow::DataType> WithoutViews(const std::shared_ptr<arrow::DataType>& type);

/// Returns the type of the values that a dictionary stands for; another type as it is.
std::shared_ptr<arrow::DataType> PlainType(const std::shared_ptr<arrow::DataType>& type);

}  // namespace headrace
