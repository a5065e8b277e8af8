#include "headrace/runtime/bridge/task_message.h"

#include <arrow/table.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "headrace/base/wire.h"
#include "headrace/protocol/arrow_wire.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/local/worker_link.h"

namespace headrace {
namespace {

// Inputs of one operator share their schema, which goes over once; their indexes stay here.
void WriteInputInfos(const std::vector<BlockInfo>& infos, WireWriter* out) {
  std::vector<std::shared_ptr<arrow::Schema>> schemas;
  WireWriter rest;
  rest.U64(infos.size());
  for (const BlockInfo& info : infos) {
    auto known = std::find(schemas.begin(), schemas.end(), info.schema);
    if (known == schemas.end()) known = schemas.insert(schemas.end(), info.schema);
    rest.U32(static_cast<std::uint32_t>(known - schemas.begin()));
    BlockInfo plain = info;
    plain.schema = nullptr;
    plain.index = nullptr;
    WriteBlockInfo(plain, &rest);
  }
  out->U64(schemas.size());
  for (const auto& schema : schemas) WriteSchema(schema, out);
  out->Bytes(rest.bytes());
}

Result<std::vector<BlockInfo>> ReadInputInfos(WireReader* in) {
  std::vector<std::shared_ptr<arrow::Schema>> schemas(in->Count());
  for (auto& schema : schemas) {
    ARROW_ASSIGN_OR_RAISE(schema, ReadSchema(in));
  }
  WireReader rest(in->Bytes());
  const std::uint64_t count = rest.Count();
  std::vector<BlockInfo> infos;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint32_t schema = rest.U32();
    if (schema >= schemas.size()) return Status::Invalid("input of an unknown schema");
    ARROW_ASSIGN_OR_RAISE(BlockInfo info, ReadBlockInfo(&rest));
    info.schema = schemas[schema];
    infos.push_back(std::move(info));
  }
  ARROW_RETURN_NOT_OK(rest.Finish());
  return infos;
}

}  // namespace

std::string EncodeOrder(TaskId task, const TaskOrder& order, const std::vector<BlockInfo>& infos) {
  WireWriter out;
  out.U32(order.skip_outputs);
  WritePosition(order.position, &out);
  out.U64(task.ordinal);
  WriteRowRanges(order.ranges, &out);
  out.U32(order.left_inputs);
  out.Bool(order.keys.has_value());
  if (order.keys) WriteKeyRange(*order.keys, &out);
  const std::vector<ReadUnit> units = LoadUnits(order);
  out.U64(units.size());
  for (const ReadUnit& unit : units) WriteReadUnit(unit, &out);
  out.U64(order.sides.size());
  for (const std::uint32_t count : order.sides) out.U32(count);
  WriteInputInfos(infos, &out);
  return out.Take();
}

Result<RemoteOrder> DecodeOrder(std::string_view bytes) {
  WireReader in(bytes);
  RemoteOrder order;
  order.skip_outputs = in.U32();
  order.input.position = ReadPosition(&in);
  order.input.task_number = in.U64();
  order.ranges = ReadRowRanges(&in);
  order.input.left_blocks = in.U32();
  if (in.Bool()) order.input.keys = ReadKeyRange(&in);
  for (std::uint64_t left = in.Count(); left > 0; --left) {
    order.input.units.push_back(ReadReadUnit(&in));
  }
  std::vector<std::uint64_t> sides(in.Count());
  for (std::uint64_t& count : sides) count = in.U32();
  ARROW_ASSIGN_OR_RAISE(std::vector<BlockInfo> infos, ReadInputInfos(&in));
  ARROW_RETURN_NOT_OK(in.Finish());
  std::size_t main = infos.size();
  for (const std::uint64_t count : sides) {
    if (count > main) return Status::Invalid("order with fewer inputs than its sides have");
    main -= count;
  }
  if (!order.ranges.empty() && order.ranges.size() < main) {
    return Status::Invalid("order with ", main, " inputs and ", order.ranges.size(), " ranges");
  }
  auto next = std::make_move_iterator(infos.begin());
  order.input.infos.assign(next, next + static_cast<std::ptrdiff_t>(main));
  next += static_cast<std::ptrdiff_t>(main);
  for (const std::uint64_t count : sides) {
    const auto end = next + static_cast<std::ptrdiff_t>(count);
    order.input.sides.emplace_back().infos.assign(next, end);
    next = end;
  }
  return order;
}

std::string EncodeOutput(std::uint32_t index, const BlockInfo& info) {
  WireWriter out;
  out.U32(index);
  WriteBlockInfo(info, &out);
  return out.Take();
}

Result<RemoteOutput> DecodeOutput(std::string_view bytes) {
  WireReader in(bytes);
  RemoteOutput output;
  output.index = in.U32();
  ARROW_ASSIGN_OR_RAISE(output.info, ReadBlockInfo(&in));
  ARROW_RETURN_NOT_OK(in.Finish());
  return output;
}

std::string EncodeReport(const TaskReport& report) {
  WireWriter out;
  out.Bool(report.failure.has_value());
  if (report.failure) WriteFailure(*report.failure, &out);
  WriteTaskStats(report.stats, &out);
  return out.Take();
}

Result<TaskReport> DecodeReport(std::string_view bytes) {
  WireReader in(bytes);
  TaskReport report;
  if (in.Bool()) report.failure = ReadFailure(&in);
  report.stats = ReadTaskStats(&in);
  ARROW_RETURN_NOT_OK(in.Finish());
  return report;
}

std::shared_ptr<arrow::Table> WithRows(std::shared_ptr<arrow::Table> table, std::int64_t num_rows) {
  if (table->num_columns() > 0 || table->num_rows() == num_rows) return table;
  const std::vector<std::shared_ptr<arrow::ChunkedArray>> none;
  return arrow::Table::Make(table->schema(), none, num_rows);
}

std::string EncodeFailure(const Failure& failure) {
  WireWriter out;
  WriteFailure(failure, &out);
  return out.Take();
}

Result<Failure> DecodeFailure(std::string_view bytes) {
  WireReader in(bytes);
  Failure failure = ReadFailure(&in);
  ARROW_RETURN_NOT_OK(in.Finish());
  return failure;
}

}  // namespace headrace
