#include "headrace/data/read/source.h"

#include <arrow/api.h>
#include <arrow/util/compression.h>
#include <gtest/gtest.h>

#include "headrace/data/read/json_scanner.h"
#include "headrace/data/read/listing.h"
#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::Call;
using testing::Col;
using testing::Int;
using testing::Lit;
using testing::NumbersTable;
using testing::ReadAll;
using testing::TempDir;
using testing::Text;
using testing::WriteParquet;

FileSourceOptions Files(const std::string& format, std::vector<std::string> paths) {
  FileSourceOptions options;
  options.format = format;
  options.paths = std::move(paths);
  return options;
}

Result<std::shared_ptr<arrow::Table>> ReadFiles(const FileSourceOptions& options) {
  ARROW_ASSIGN_OR_RAISE(auto source, MakeFileSource(options));
  return ReadAll(ReadStep{source, {}, nullptr, -1});
}

std::vector<std::string> ListedNames(const FileSourceOptions& options, const TempDir& dir) {
  auto listing = ListFiles(options);
  if (!listing.ok()) return {listing.status().ToString()};
  std::vector<std::string> names;
  for (const auto& file : listing->files) names.push_back(file.path.substr(dir.path().size() + 1));
  return names;
}

using Names = std::vector<std::string>;

std::string Gzip(const std::string& text) {
  auto codec = arrow::util::Codec::Create(arrow::Compression::GZIP).ValueOrDie();
  const auto size = static_cast<std::int64_t>(text.size());
  const auto* data = reinterpret_cast<const std::uint8_t*>(text.data());
  std::string out(static_cast<std::size_t>(codec->MaxCompressedLen(size, data)), '\0');
  const auto written = codec->Compress(size, data, static_cast<std::int64_t>(out.size()),
                                       reinterpret_cast<std::uint8_t*>(out.data()));
  out.resize(static_cast<std::size_t>(written.ValueOrDie()));
  return out;
}

// ---- Listing.

TEST(Listing, DirectoriesSkipHiddenNames) {
  TempDir dir;
  for (const char* name :
       {"b.txt", "a.TXT", "_c.txt", ".d.txt", "e.csv", "sub/f.txt", "_sub/g.txt", ".sub/h.txt"}) {
    dir.Write(name, "x");
  }
  EXPECT_EQ(ListedNames(Files("text", {dir.path()}), dir),
            (Names{"a.TXT", "b.txt", "e.csv", "sub/f.txt"}));
  auto options = Files("text", {dir.path()});
  options.file_extensions = {"txt"};
  EXPECT_EQ(ListedNames(options, dir), (Names{"a.TXT", "b.txt", "sub/f.txt"}));
  // A file that is named is read, whatever its name; extensions count all the same.
  EXPECT_EQ(ListedNames(Files("text", {dir / "_c.txt"}), dir), (Names{"_c.txt"}));
  options.paths = {dir / "e.csv", dir / "b.txt"};
  EXPECT_EQ(ListedNames(options, dir), (Names{"b.txt"}));
  options.paths = {dir / "e.csv"};
  EXPECT_TRUE(ListFiles(options).status().IsInvalid());
  EXPECT_EQ(ListedNames(Files("text", {dir / "e.csv", dir / "b.txt"}), dir),
            (Names{"e.csv", "b.txt"}));
}

TEST(Listing, Globs) {
  TempDir dir;
  for (const char* name : {"a1.txt", "a2.txt", "b1.txt", "x/a3.txt", "x/y/a4.txt", ".a5.txt"}) {
    dir.Write(name, "x");
  }
  EXPECT_EQ(ListedNames(Files("text", {dir / "a*.txt"}), dir), (Names{"a1.txt", "a2.txt"}));
  EXPECT_EQ(ListedNames(Files("text", {dir / "[ab]1.txt"}), dir), (Names{"a1.txt", "b1.txt"}));
  EXPECT_EQ(ListedNames(Files("text", {dir / "[!a]?.txt"}), dir), (Names{"b1.txt"}));
  EXPECT_EQ(ListedNames(Files("text", {dir / "*/a*.txt"}), dir), (Names{"x/a3.txt"}));
  EXPECT_EQ(ListedNames(Files("text", {dir / "**/a[3-9].txt"}), dir),
            (Names{"x/a3.txt", "x/y/a4.txt"}));
  EXPECT_EQ(ListedNames(Files("text", {dir / "x*"}), dir), (Names{"x/a3.txt", "x/y/a4.txt"}));
  EXPECT_TRUE(ListFiles(Files("text", {dir / "q*.txt"})).status().IsIOError());
}

TEST(Listing, MissingAndEmpty) {
  TempDir dir;
  const Status missing = MakeFileSource(Files("csv", {dir / "none.csv"})).status();
  EXPECT_TRUE(missing.IsIOError());
  EXPECT_NE(missing.message().find(dir / "none.csv"), std::string::npos);
  EXPECT_TRUE(missing.message().ends_with("No such file or directory")) << missing.message();
  EXPECT_NE(missing.detail(), nullptr);
  const Status empty = MakeFileSource(Files("parquet", {dir.path()})).status();
  EXPECT_TRUE(empty.IsInvalid());
  EXPECT_NE(empty.message().find(dir.path()), std::string::npos);
  dir.Write("a.txt", "x");
  auto options = Files("text", {dir / "none.txt", dir / "a.txt"});
  options.ignore_missing_paths = true;
  EXPECT_EQ(ListedNames(options, dir), (Names{"a.txt"}));
}

TEST(Listing, AFileThatWentAwayIsNamedByTheTask) {
  TempDir dir;
  auto source = MakeFileSource(Files("text", {dir.Write("a.txt", "x")})).ValueOrDie();
  std::filesystem::remove(dir / "a.txt");
  const Status status = ReadAll(ReadStep{source, {}, nullptr, -1}).status();
  const Failure failure = FailureOf(status);
  EXPECT_EQ(failure.kind, FailureKind::kDataError);
  EXPECT_EQ(failure.code, arrow::StatusCode::IOError);
  EXPECT_EQ(failure.context, "operator Read, file " + (dir / "a.txt"));
  EXPECT_TRUE(failure.message.ends_with("No such file or directory")) << failure.message;
}

TEST(Listing, UnknownFormat) {
  TempDir dir;
  dir.Write("a.txt", "x");
  const Status status = MakeFileSource(Files("avro", {dir.path()})).status();
  EXPECT_NE(status.message().find("there are range, parquet"), std::string::npos);
}

// ---- Parquet.

TEST(Parquet, ProjectionFilterAndCount) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 1000), 100);
  auto source = MakeFileSource(Files("parquet", {dir.path()})).ValueOrDie();
  EXPECT_EQ(source->schema->num_fields(), 2);
  ReadStep step{source, {{"s"}}, Call("greater_equal", {Col("x"), Lit(950)}), -1};
  auto table = ReadAll(step).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "s: string");
  ASSERT_EQ(table->num_rows(), 50);
  EXPECT_EQ(Text(*table, "s", 0), "v950");

  TaskProgram program;
  program.steps = {ReadStep{source, std::vector<std::string>{}, nullptr, -1}};
  auto counted = testing::RunProgram(program, source->units).ValueOrDie();
  std::int64_t rows = 0;
  for (const auto& output : counted) rows += output.info.num_rows;
  EXPECT_EQ(rows, 1000);
  EXPECT_EQ(counted[0].block.table()->num_columns(), 0);
}

TEST(Parquet, RowGroupsThatCannotMatchAreNotRead) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 1000), 100);
  auto source = MakeFileSource(Files("parquet", {dir.path()})).ValueOrDie();
  TaskProgram program;
  program.steps = {ReadStep{source, {}, Call("less", {Col("x"), Lit(0)}), -1}};
  auto outputs = testing::RunProgram(program, source->units).ValueOrDie();
  ASSERT_EQ(outputs.size(), 1u);  // Only the schema.
  EXPECT_EQ(outputs[0].info.num_rows, 0);
  EXPECT_EQ(outputs[0].info.schema->num_fields(), 2);
  // One row group is decoded for a point, so an error in a row is told by its place in the file.
  program.steps = {ReadStep{source, {}, Call("equal", {Col("x"), Lit(555)}), -1},
                   MapStep{testing::Native("bad", 0, [](std::shared_ptr<arrow::RecordBatch>) {
                     return Result<std::shared_ptr<arrow::RecordBatch>>(Status::Invalid("bad"));
                   })}};
  const Status status = testing::RunProgram(program, source->units).status();
  EXPECT_NE(FailureOf(status).context.find("rows 500–599"), std::string::npos)
      << FailureOf(status).context;
}

TEST(Parquet, SchemasAreUnified) {
  TempDir dir;
  WriteParquet(dir / "1.parquet", NumbersTable(0, 2));
  arrow::DoubleBuilder x;
  ASSERT_TRUE(x.Append(3.5).ok());
  arrow::StringBuilder c;
  ASSERT_TRUE(c.Append("z").ok());
  WriteParquet(dir / "2.parquet",
               arrow::Table::Make(arrow::schema({arrow::field("x", arrow::float64()),
                                                 arrow::field("c", arrow::utf8())}),
                                  {*x.Finish(), *c.Finish()}));
  auto table = ReadFiles(Files("parquet", {dir.path()})).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "x: double\ns: string\nc: string");
  EXPECT_EQ(Text(*table, "s", 2), "null");
  EXPECT_EQ(Text(*table, "c", 0), "null");
  EXPECT_EQ(Text(*table, "x", 2), "3.5");
}

TEST(Parquet, SchemasThatDoNotFitNameBothFiles) {
  TempDir dir;
  WriteParquet(dir / "1.parquet", NumbersTable(0, 2));
  WriteParquet(dir / "2.parquet", NumbersTable(0, 2)->RenameColumns({"s", "x"}).ValueOrDie());
  const Status status = MakeFileSource(Files("parquet", {dir.path()})).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("1.parquet"), std::string::npos) << status.ToString();
  EXPECT_NE(status.message().find("2.parquet"), std::string::npos);
}

TEST(Parquet, CorruptFooterNamesTheFile) {
  TempDir dir;
  WriteParquet(dir / "1.parquet", NumbersTable(0, 2));
  dir.Write("2.parquet", "junk junk junk junk");
  const Status status = MakeFileSource(Files("parquet", {dir.path()})).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find(dir / "2.parquet"), std::string::npos) << status.ToString();
}

TEST(Parquet, PathAndHiveColumns) {
  TempDir dir;
  WriteParquet(dir / "k=1/a.parquet", NumbersTable(0, 2));
  WriteParquet(dir / "k=2/b.parquet", NumbersTable(2, 2));
  auto options = Files("parquet", {dir.path()});
  options.include_paths = true;
  options.partitioning_base = dir.path();
  options.partition_schema = arrow::schema({arrow::field("k", arrow::int32())});
  auto source = MakeFileSource(options).ValueOrDie();
  EXPECT_EQ(source->schema->ToString(false), "x: int64\ns: string\nk: int32\npath: string");
  auto table = ReadAll(ReadStep{source, {{"path", "k"}}, Call("equal", {Col("k"), Lit(2)}), -1})
                   .ValueOrDie();
  ASSERT_EQ(table->num_rows(), 2);
  EXPECT_EQ(table->schema()->ToString(), "path: string\nk: int32");
  EXPECT_EQ(Text(*table, "path", 0), dir / "k=2/b.parquet");
}

TEST(Parquet, NoRowsAndNestedTypes) {
  TempDir dir;
  auto nested = arrow::schema(
      {arrow::field("n", arrow::list(arrow::struct_({arrow::field("a", arrow::int64()),
                                                     arrow::field("b", arrow::utf8())})))});
  WriteParquet(dir / "a.parquet", arrow::Table::MakeEmpty(nested).ValueOrDie());
  auto table = ReadFiles(Files("parquet", {dir.path()})).ValueOrDie();
  EXPECT_EQ(table->num_rows(), 0);
  EXPECT_TRUE(table->schema()->Equals(*nested, false));
}

TEST(Parquet, RowLimitStopsEarly) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 1000), 100);
  auto source = MakeFileSource(Files("parquet", {dir.path()})).ValueOrDie();
  EXPECT_EQ(ReadAll(ReadStep{source, {}, nullptr, 7}).ValueOrDie()->num_rows(), 7);
  EXPECT_EQ(ReadAll(ReadStep{source, {}, nullptr, 0}).ValueOrDie()->num_rows(), 0);
}

TEST(Parquet, MisspeltColumn) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 10));
  auto source = MakeFileSource(Files("parquet", {dir.path()})).ValueOrDie();
  const Status status = ReadAll(ReadStep{source, {{"y"}}, nullptr, -1}).status();
  EXPECT_TRUE(status.IsKeyError()) << status.ToString();
  EXPECT_NE(status.message().find("'x', 's'"), std::string::npos);
}

// ---- CSV.

TEST(Csv, TypesNullsAndOptions) {
  TempDir dir;
  dir.Write("a.csv", "i;s;f\n1;a;1.5\n;\"b;c\";\n");
  auto options = Files("csv", {dir.path()});
  options.options["delimiter"] = std::string(";");
  auto table = ReadFiles(options).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "i: int64\ns: string\nf: double");
  EXPECT_EQ(Text(*table, "i", 1), "null");
  EXPECT_EQ(Text(*table, "s", 1), "b;c");
}

TEST(Csv, CompressedProjectedAndLabelled) {
  TempDir dir;
  dir.Write("a.csv.gz", Gzip("i,s\n1,a\n2,b\n"));
  auto options = Files("csv", {dir.path()});
  options.include_paths = true;
  auto source = MakeFileSource(options).ValueOrDie();
  auto table = ReadAll(ReadStep{source, {{"path", "s"}}, nullptr, -1}).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "path: string\ns: string");
  EXPECT_EQ(Text(*table, "s", 1), "b");
}

TEST(Csv, HeaderOnlyAndRagged) {
  TempDir dir;
  auto header = ReadFiles(Files("csv", {dir.Write("h.csv", "a,b\n")})).ValueOrDie();
  EXPECT_EQ(header->num_rows(), 0);
  EXPECT_EQ(header->num_columns(), 2);
  const Status ragged = ReadFiles(Files("csv", {dir.Write("r.csv", "a,b\n1,2\n3\n")})).status();
  EXPECT_FALSE(ragged.ok());
  EXPECT_NE(FailureOf(ragged).context.find("r.csv"), std::string::npos);
}

// ---- JSON.

TEST(Json, LinesArraysAndValues) {
  TempDir dir;
  // The same 5,000 rows, a third of them null, in each layout.
  const std::pair<const char*, const char*> layouts[] = {
      {"", "\n"}, {"[", ",\n "}, {"", "\n \n"}, {"\xEF\xBB\xBF", "\n\n"}};
  for (const auto& [head, between] : layouts) {
    const bool spans = std::string_view(between) == "\n \n";
    std::string text = head;
    for (int i = 0; i < 5000; ++i) {
      if (i > 0) text += between;
      text += "{\"a\":" + (i % 3 == 2 ? "null" : std::to_string(i)) + (spans ? ",\n" : ",") +
              "\"b\":[\"" + std::to_string(i) + "}\"]}";
    }
    if (text.front() == '[') text += "]\n";
    for (const std::int64_t block : {1, 1000, 1 << 20}) {
      auto options = Files("json", {dir.Write("a.json", text)});
      options.options["block_size"] = block;
      auto table = ReadFiles(options);
      ASSERT_TRUE(table.ok()) << table.status().ToString() << " in " << text.substr(0, 60);
      ASSERT_EQ((*table)->num_rows(), 5000) << text.substr(0, 60) << block;
      EXPECT_EQ((*table)->schema()->ToString(), "a: int64\nb: list<item: string>");
      EXPECT_EQ(Text(**table, "a", 4999), "4999");
      EXPECT_EQ(Text(**table, "a", 2), "null");
    }
  }
}

TEST(Json, TypesMayWidenOnTheWay) {
  TempDir dir;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "{\"a\":" + std::to_string(i) + "}\n";
  auto source = MakeFileSource(Files("json", {dir.Write("a.json", text + "{\"a\":0.5}\n")}));
  TaskProgram program;
  program.steps = {ReadStep{*source, {}, nullptr, -1}};
  auto outputs = testing::RunProgram(program, (*source)->units);
  ASSERT_TRUE(outputs.ok()) << outputs.status().ToString();
  ASSERT_GE(outputs->size(), 1u);
  EXPECT_EQ(outputs->back().info.schema->ToString(), "a: double");
}

TEST(Json, CutShortAndMalformed) {
  TempDir dir;
  EXPECT_FALSE(ReadFiles(Files("json", {dir.Write("a.json", "[{\"a\":1},{\"a\"")})).ok());
  const Status status =
      ReadFiles(Files("json", {dir.Write("b.json", "{\"a\":1}\nnonsense\n")})).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(FailureOf(status).context.find("b.json"), std::string::npos);
}

TEST(JsonScanner, BracketsInStringsDoNotCount) {
  std::string text = R"([{"a":"]},[\""},{"b":[1,2]} ])";
  JsonScanner scanner(/*is_array=*/true);
  const std::size_t end = scanner.Scan(text.data(), text.size());
  EXPECT_EQ(end, text.size());
  EXPECT_TRUE(scanner.at_rest());
  EXPECT_EQ(text, R"( {"a":"]},[\""} {"b":[1,2]}  )");
}

// ---- Text, binary, numpy.

TEST(Text, LinesEmptyLinesAndEncodings) {
  TempDir dir;
  auto options = Files("text", {dir.Write("a.txt", "one\n\n  \ntwo")});
  auto table = ReadFiles(options).ValueOrDie();
  ASSERT_EQ(table->num_rows(), 2);
  EXPECT_EQ(Text(*table, "text", 1), "two");
  options.options["drop_empty_lines"] = false;
  EXPECT_EQ(ReadFiles(options).ValueOrDie()->num_rows(), 4);
  auto latin = Files("text", {dir.Write("b.txt", "caf\xe9\n")});
  const Status status = ReadFiles(latin).status();
  EXPECT_TRUE(FailureOf(status).code == arrow::StatusCode::SerializationError) << status.ToString();
  EXPECT_NE(FailureOf(status).message.find("bytes at 3"), std::string::npos) << status.ToString();
  latin.options["encoding"] = std::string("latin1");
  EXPECT_EQ(Text(*ReadFiles(latin).ValueOrDie(), "text", 0), "café");
}

TEST(Text, LongFilesComeInPieces) {
  TempDir dir;
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "line number " + std::to_string(i) + "\n";
  auto table = ReadFiles(Files("text", {dir.Write("a.txt", text)})).ValueOrDie();
  ASSERT_EQ(table->num_rows(), 300'000);
  EXPECT_EQ(Text(*table, "text", 299'999), "line number 299999");
  auto gz = ReadFiles(Files("text", {dir.Write("b.txt.gz", Gzip(text))})).ValueOrDie();
  EXPECT_TRUE(gz->Equals(*table));
}

TEST(Binary, BytesAndPaths) {
  TempDir dir;
  dir.Write("a.bin", std::string("\0\1\2", 3));
  dir.Write("b.bin", "");
  auto options = Files("binary", {dir.path()});
  options.include_paths = true;
  auto table = ReadFiles(options).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "bytes: binary\npath: string");
  ASSERT_EQ(table->num_rows(), 2);
  EXPECT_EQ(Text(*table, "bytes", 1), "");
}

std::string Npy(const std::string& header, const std::string& data) {
  std::string text = header;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(text.size() & 0xFF);
  file += static_cast<char>(text.size() >> 8);
  return file + text + data;
}

TEST(Numpy, ShapesAndOrders) {
  TempDir dir;
  auto read = [&](const std::string& header, const std::string& data) {
    return ReadFiles(Files("numpy", {dir.Write("a.npy", Npy(header, data))}));
  };
  auto flat =
      read("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "\1\2\3").ValueOrDie();
  EXPECT_EQ(Int(*flat, "data", 2), 3);
  auto bools =
      read("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", std::string("\0\1", 2))
          .ValueOrDie();
  EXPECT_EQ(Text(*bools, "data", 1), "true");
  auto c = read("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", "\1\2\3\4\5\6")
               .ValueOrDie();
  auto f = read("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", "\1\4\2\5\3\6")
               .ValueOrDie();
  EXPECT_EQ(c->num_rows(), 2);
  EXPECT_TRUE(c->Equals(*f));
  auto big = read("{'descr': '>i2', 'fortran_order': False, 'shape': (1,), }", "\1\2").ValueOrDie();
  EXPECT_EQ(Int(*big, "data", 0), 0x0102);
  EXPECT_FALSE(read("{'descr': '<i8', 'fortran_order': False, 'shape': (9,), }", "short").ok());
  EXPECT_FALSE(read("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "x").ok());
  EXPECT_FALSE(ReadFiles(Files("numpy", {dir.Write("b.npy", "junk")})).ok());
}

// ---- Range.

TEST(Range, EdgesAndTensors) {
  EXPECT_EQ(ReadAll(ReadStep{MakeRangeSource(0), {}, nullptr, -1}).ValueOrDie()->num_rows(), 0);
  auto source = MakeRangeSource(5, {2, 2});
  auto table = ReadAll(ReadStep{source, {}, nullptr, -1}).ValueOrDie();
  EXPECT_EQ(table->num_rows(), 5);
  const auto& tensors = static_cast<const arrow::ExtensionArray&>(*table->column(0)->chunk(0));
  const auto& list = static_cast<const arrow::FixedSizeListArray&>(*tensors.storage());
  EXPECT_EQ(list.value_slice(3)->ToString(), list.values()->Slice(12, 4)->ToString());
  EXPECT_EQ(static_cast<const arrow::Int64Array&>(*list.values()).Value(15), 3);
  std::int64_t rows = 0;
  const auto many = MakeRangeSource(1'234'567);
  for (const ReadUnit& unit : many->units) {
    EXPECT_EQ(unit.begin, rows);
    rows = unit.end;
  }
  EXPECT_EQ(rows, 1'234'567);
}

// ---- Python sources.

class EchoRunner : public FunctionRunner {
  class Stream : public BatchStream {
   public:
    explicit Stream(std::unique_ptr<BatchStream> input) : input_(std::move(input)) {}
    Result<std::optional<Batch>> Next() override {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) return std::nullopt;
      arrow::StringBuilder builder;
      ARROW_RETURN_NOT_OK(builder.Append(*batch->payload));
      return Batch{Block(arrow::Table::Make(arrow::schema({arrow::field("p", arrow::utf8())}),
                                            {*builder.Finish()})),
                   {},
                   nullptr};
    }

   private:
    std::unique_ptr<BatchStream> input_;
  };

 public:
  Result<std::unique_ptr<BatchStream>> Run(std::unique_ptr<BatchStream> input, const TaskContext&,
                                           TaskStats*) override {
    return std::make_unique<Stream>(std::move(input));
  }
};

class EchoRuntime : public FunctionRuntime {
 public:
  Result<std::shared_ptr<FunctionRunner>> Resolve(const FunctionPtr&) override {
    return std::make_shared<EchoRunner>();
  }
  Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(const FileSystemRef&) override {
    return Status::NotImplemented("no file systems here");
  }
};

TEST(Python, PayloadReachesTheFunction) {
  auto source = std::make_shared<ReadSource>();
  source->format = "python";
  source->function = std::make_shared<FunctionSpec>();
  TaskProgram program;
  program.name = "ReadCustom";
  program.steps = {ReadStep{source, {}, nullptr, -1}};
  TaskInput input;
  for (const char* payload : {"one", "two"}) {
    ReadUnit unit;
    unit.payload = std::make_shared<const std::string>(payload);
    unit.path = std::string(payload) + ".a";
    unit.more_paths = {std::string(payload) + ".b"};
    input.units.push_back(unit);
  }
  EchoRuntime runtime;
  TaskContext context;
  context.functions = &runtime;
  auto outputs = testing::Drain(program, input, context).ValueOrDie();
  auto table = testing::Concat(outputs);
  ASSERT_EQ(table->num_rows(), 2);
  EXPECT_EQ(Text(*table, "p", 1), "two");
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(*outputs[0].info.input_files,
            (std::vector<std::string>{"one.a", "one.b", "two.a", "two.b"}));
  EXPECT_FALSE(testing::Drain(program, input).ok());
}

}  // namespace
}  // namespace headrace
