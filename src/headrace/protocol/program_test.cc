#include "headrace/protocol/program.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "headrace/base/wire.h"

namespace headrace {
namespace {

ExprPtr Col(std::string name) { return MakeExpr(expr::Column{std::move(name)}); }

FunctionPtr SampleFunction(FunctionKind kind, std::uint64_t id) {
  auto function = std::make_shared<FunctionSpec>();
  function->id = id;
  function->name = "resize";
  function->kind = kind;
  function->is_class = true;
  function->batch_rows = 32;
  function->batch_format = "pandas";
  function->zero_copy_batch = false;
  function->drops_rows = true;
  function->payload = std::make_shared<const std::string>(std::string("\x80\0pickle", 8));
  return function;
}

ReadStep SampleRead() {
  auto source = std::make_shared<ReadSource>();
  source->format = "parquet";
  source->name = "Parquet";
  source->file_system.pickled = std::make_shared<const std::string>("s3");
  source->options = {{"none", {}},
                     {"flag", true},
                     {"rows", std::int64_t{7}},
                     {"ratio", 0.5},
                     {"text", std::string("x")},
                     {"list", std::vector<std::string>{"a", ""}}};
  source->schema = arrow::schema({arrow::field("a", arrow::int64(), false)},
                                 arrow::key_value_metadata({{"k", "v"}}));
  source->partition_schema = arrow::schema({arrow::field("year", arrow::int32())});
  source->function = SampleFunction(FunctionKind::kRead, 3);
  source->pushes_projection = true;
  source->pushes_filter = true;
  return {source, std::vector<std::string>{"a"}, Col("a"), 9};
}

TaskProgram SampleProgram() {
  auto target = std::make_shared<WriteTarget>();
  target->format = "csv";
  target->name = "CSV";
  target->directory = "/out";
  target->run_id = "r1";
  target->temporary = "r1-tag";
  target->options = {{"header", false}};
  target->function = SampleFunction(FunctionKind::kWrite, 4);
  TaskProgram program;
  program.id = 11;
  program.name = "ReadParquet->MapBatches(resize)";
  program.steps = {SampleRead(),         MapStep{SampleFunction(FunctionKind::kMapBatches, 5)},
                   FilterStep{Col("b")}, ProjectStep{true, {"c"}, {{"d", "e"}}, {{"f", Col("b")}}},
                   LimitStep{12},        WriteStep{target}};
  program.shape = {1, 2, false};
  program.lane = Lane::kProcess;
  program.shared_output = true;
  program.seed = 99;
  return program;
}

std::string Bytes(const TaskProgram& program) {
  WireWriter out;
  WriteProgram(program, &out);
  return out.Take();
}

void ExpectEqual(const FunctionPtr& a, const FunctionPtr& b) {
  EXPECT_EQ(a->id, b->id);
  EXPECT_EQ(a->name, b->name);
  EXPECT_EQ(a->kind, b->kind);
  EXPECT_EQ(a->is_class, b->is_class);
  EXPECT_EQ(a->batch_rows, b->batch_rows);
  EXPECT_EQ(a->batch_format, b->batch_format);
  EXPECT_EQ(a->zero_copy_batch, b->zero_copy_batch);
  EXPECT_EQ(a->drops_rows, b->drops_rows);
  EXPECT_EQ(*a->payload, *b->payload);
}

TEST(ProgramTest, EveryFieldThatTravelsComesBack) {
  const TaskProgram program = SampleProgram();
  const std::string bytes = Bytes(program);
  WireReader in(bytes);
  auto result = ReadProgram(&in);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(in.Finish().ok());
  const TaskProgram& back = **result;
  EXPECT_EQ(back.id, program.id);
  EXPECT_EQ(back.name, program.name);
  EXPECT_EQ(back.shape.target_min_bytes, 1);
  EXPECT_EQ(back.shape.target_max_bytes, 2);
  EXPECT_FALSE(back.shape.shape);
  EXPECT_EQ(back.lane, Lane::kProcess);
  EXPECT_TRUE(back.shared_output);
  EXPECT_EQ(back.seed, 99u);
  ASSERT_EQ(back.steps.size(), 6u);
  ASSERT_NE(FindReadStep(back), nullptr);

  const ReadStep& read = *FindReadStep(back);
  const ReadStep& sent = *FindReadStep(program);
  EXPECT_EQ(read.source->format, "parquet");
  EXPECT_EQ(read.source->name, "Parquet");
  EXPECT_EQ(*read.source->file_system.pickled, "s3");
  EXPECT_EQ(read.source->options, sent.source->options);
  EXPECT_TRUE(read.source->schema->Equals(*sent.source->schema, true));
  EXPECT_TRUE(read.source->partition_schema->Equals(*sent.source->partition_schema));
  ExpectEqual(read.source->function, sent.source->function);
  EXPECT_TRUE(read.source->pushes_projection && read.source->pushes_filter);
  EXPECT_EQ(read.columns, sent.columns);
  EXPECT_TRUE(Equals(read.filter, sent.filter));
  EXPECT_EQ(read.row_limit, 9);

  ExpectEqual(std::get<MapStep>(back.steps[1]).function,
              std::get<MapStep>(program.steps[1]).function);
  EXPECT_TRUE(Equals(std::get<FilterStep>(back.steps[2]).predicate, Col("b")));
  const auto& project = std::get<ProjectStep>(back.steps[3]);
  EXPECT_TRUE(project.keep_rest);
  EXPECT_EQ(project.drop, std::vector<std::string>{"c"});
  EXPECT_EQ(project.rename, (std::vector<std::pair<std::string, std::string>>{{"d", "e"}}));
  ASSERT_EQ(project.exprs.size(), 1u);
  EXPECT_EQ(project.exprs[0].name, "f");
  EXPECT_TRUE(Equals(project.exprs[0].expr, Col("b")));
  EXPECT_EQ(std::get<LimitStep>(back.steps[4]).rows, 12);
  const auto& write = std::get<WriteStep>(back.steps[5]);
  EXPECT_EQ(write.target->format, "csv");
  EXPECT_EQ(write.target->name, "CSV");
  EXPECT_EQ(write.target->directory, "/out");
  EXPECT_EQ(write.target->run_id, "r1");
  EXPECT_EQ(write.target->temporary, "r1-tag");
  EXPECT_EQ(write.target->options.size(), 1u);
  EXPECT_EQ(write.target->function->id, 4u);
  EXPECT_EQ(write.target->file_system.pickled, nullptr);
  // The same bytes again: nothing that is written was lost.
  EXPECT_EQ(Bytes(back), bytes);
}

TEST(ProgramTest, MissingPartsStayMissing) {
  TaskProgram program;
  auto source = std::make_shared<ReadSource>();
  program.steps = {ReadStep{source, std::nullopt, nullptr, -1}};
  const std::string bytes = Bytes(program);
  WireReader in(bytes);
  auto back = ReadProgram(&in).ValueOrDie();
  const ReadStep& read = *FindReadStep(*back);
  EXPECT_EQ(read.source->schema, nullptr);
  EXPECT_EQ(read.source->function, nullptr);
  EXPECT_FALSE(read.columns.has_value());
  EXPECT_EQ(read.filter, nullptr);
}

TEST(ProgramTest, EveryPrefixIsAnError) {
  const std::string bytes = Bytes(SampleProgram());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    WireReader in(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(ReadProgram(&in).ok()) << "cut to " << size;
  }
}

TEST(ProgramTest, ChangedBytesNeverCrash) {
  const std::string bytes = Bytes(SampleProgram());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    WireReader in(changed);
    (void)ReadProgram(&in);
  }
}

TEST(ProgramTest, ReadUnitComesBackOrIsBad) {
  const ReadUnit unit{.path = "/a/b",
                      .more_paths = {"/a/c"},
                      .begin = 3,
                      .end = 5,
                      .num_rows = 100,
                      .num_bytes = 800,
                      .partition = {{"year", "2024"}},
                      .payload = std::make_shared<const std::string>("task")};
  WireWriter out;
  WriteReadUnit(unit, &out);
  const std::string bytes = out.Take();
  WireReader in(bytes);
  const ReadUnit back = ReadReadUnit(&in);
  ASSERT_TRUE(in.Finish().ok());
  EXPECT_EQ(back.path, unit.path);
  EXPECT_EQ(back.more_paths, unit.more_paths);
  EXPECT_EQ(back.begin, 3);
  EXPECT_EQ(back.end, 5);
  EXPECT_EQ(back.num_rows, 100);
  EXPECT_EQ(back.num_bytes, 800);
  EXPECT_EQ(back.partition, unit.partition);
  EXPECT_EQ(*back.payload, "task");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    WireReader cut(std::string_view(bytes).substr(0, size));
    (void)ReadReadUnit(&cut);
    EXPECT_TRUE(cut.bad()) << "cut to " << size;
  }
}

TEST(ProgramTest, FindsReadStepAndFirstFunction) {
  TaskProgram program = SampleProgram();
  EXPECT_EQ(FindFunction(program)->id, 3u);
  program.steps.erase(program.steps.begin());
  EXPECT_EQ(FindReadStep(program), nullptr);
  EXPECT_EQ(FindFunction(program)->id, 5u);
  program.steps.erase(program.steps.begin());
  EXPECT_EQ(FindFunction(program)->id, 4u);
  program.steps.pop_back();
  EXPECT_EQ(FindFunction(program), nullptr);
  EXPECT_EQ(FindReadStep(TaskProgram()), nullptr);
}

}  // namespace
}  // namespace headrace
