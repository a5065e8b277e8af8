#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"

// The wire form of Arrow's metadata and constants (IPC bytes), and of the small containers that
// several of our values share, and the event log. Each reader returns an error on bytes that
// are cut short; the containers' readers leave that to WireReader::bad().

namespace arrow {
class Array;
class DataType;
class Scalar;
class Schema;
}  // namespace arrow

namespace headrace {

class WireReader;
class WireWriter;

/// Writes a schema; null is a value of its own. The bytes of the schemas last written by this
/// thread are kept, so that a stream of blocks with one schema object pays for IPC once.
void WriteSchema(const std::shared_ptr<arrow::Schema>& schema, WireWriter* out);

/// Returns the schema, or null if null was written. Equal bytes that come soon after each other
/// on a thread give one object.
Result<std::shared_ptr<arrow::Schema>> ReadSchema(WireReader* in);

void WriteType(const std::shared_ptr<arrow::DataType>& type, WireWriter* out);
Result<std::shared_ptr<arrow::DataType>> ReadType(WireReader* in);

void WriteArray(const std::shared_ptr<arrow::Array>& array, WireWriter* out);
Result<std::shared_ptr<arrow::Array>> ReadArray(WireReader* in);

void WriteScalar(const std::shared_ptr<arrow::Scalar>& scalar, WireWriter* out);
Result<std::shared_ptr<arrow::Scalar>> ReadScalar(WireReader* in);

void WriteStrings(const std::vector<std::string>& strings, WireWriter* out);
std::vector<std::string> ReadStrings(WireReader* in);

/// Writes a string that may be missing.
void WriteSharedString(const std::shared_ptr<const std::string>& string, WireWriter* out);
std::shared_ptr<const std::string> ReadSharedString(WireReader* in);

/// Returns the error of a reader that went past its end.
Status TruncatedError(const char* what);

}  // namespace headrace
