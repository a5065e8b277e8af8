"""Each rule of tools/tidy.py finds what it is for, and leaves alone what it must."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load_tidy():
    spec = importlib.util.spec_from_file_location("tidy", ROOT / "tools" / "tidy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tidy"] = module
    spec.loader.exec_module(module)
    return module


tidy = load_tidy()

CONTROL = "src/headrace/control/schedule/x.cc"
DATA = "src/headrace/data/transform/x.cc"
READ = "src/headrace/data/read/x.cc"
ENGINE = "src/headrace/engine/x.cc"
LONG_BODY = "  Call();\n" * 70

PLANTED = [
    ("include-graph", CONTROL, '#include "headrace/runtime/backend.h"\n'),
    ("include-graph", CONTROL, '#include "headrace/data/pipeline/pipeline.h"\n'),
    ("include-graph", CONTROL, '#include "headrace/control/plan/logical_plan.h"\n'),
    ("include-graph", DATA, '#include "headrace/control/plan/physical_plan.h"\n'),
    ("include-graph", DATA, '#include "headrace/runtime/backend.h"\n'),
    ("include-graph", READ, '#include "headrace/data/consume/writer.h"\n'),
    ("include-graph", "src/headrace/base/x.h", '#include "headrace/block/block.h"\n'),
    ("include-graph", "src/headrace/runtime/sim/x.cc", '#include "headrace/engine/execution.h"\n'),
    ("include-graph", "src/headrace/observe/x.cc", '#include "headrace/runtime/backend.h"\n'),
    (
        "include-graph",
        "src/headrace/data/read/x_test.cc",
        '#include "headrace/control/plan/lower.h"\n',
    ),
    ("purity", CONTROL, "#include <thread>\n"),
    ("purity", CONTROL, "#include <mutex>\n"),
    ("purity", CONTROL, "#include <atomic>\n"),
    ("purity", CONTROL, "#include <fstream>\n"),
    ("purity", CONTROL, "#include <chrono>\n"),
    ("purity", CONTROL, "auto t = Clock::now();\n"),
    ("purity", "src/headrace/protocol/x.cc", 'auto p = std::getenv("X");\n'),
    ("control", CONTROL, "void Take(Block block);\n"),
    ("control", CONTROL, "PythonTask task;\n"),
    ("control", CONTROL, "std::unordered_map<int, int> m;\n"),
    ("control", CONTROL, "#include <arrow/compute/api.h>\n"),
    ("waiting", DATA, "#include <condition_variable>\n"),
    ("waiting", DATA, "std::this_thread::sleep_for(x);\n"),
    ("sleep-in-tests", "src/headrace/runtime/local/x_test.cc", "std::this_thread::sleep_for(x);\n"),
    ("random", DATA, "#include <random>\n"),
    ("random", ENGINE, "int r = rand();\n"),
    ("random", "tests/sim/x_test.cc", "std::mt19937 engine;\n"),
    ("exceptions", ENGINE, 'void F() { throw std::runtime_error("x"); }\n'),
    ("exceptions", DATA, "void F() {\n  try {\n    G();\n  } catch (...) {\n  }\n}\n"),
    ("light-headers", "src/headrace/engine/x.h", "#pragma once\n#include <arrow/compute/api.h>\n"),
    ("light-headers", "src/headrace/engine/x.h", "#pragma once\n#include <arrow/api.h>\n"),
    ("light-headers", "src/headrace/base/x.h", "#pragma once\n#include <arrow/table.h>\n"),
    ("light-headers", "src/headrace/engine/x.h", "int x;\n"),
    ("lengths", ENGINE, "int x;\n" * 601),
    ("lengths", ENGINE, "// " + "x" * 98 + "\n"),
    ("lengths", ENGINE, "namespace n {\nvoid Class::F(int a) const {\n" + LONG_BODY + "}\n}\n"),
    ("lengths", "tools/x.py", "def f():\n" + "    g()\n" * 71),
    ("words", ENGINE, "// TODO: later\n"),
    ("words", ENGINE, "class StringUtils;\n"),
    ("words", ENGINE, "int* p = NULL;\n"),
    ("words", ENGINE, "/// \\brief Returns x.\n"),
    ("words", ENGINE, "assert(x);\n"),
    ("words", "src/headrace/engine/string_util.cc", "int x;\n"),
    ("words", "python/headrace/x.py", "# FIXME\n"),
    ("foreign-words", "README.md", "see /home/ann/notes\n"),
    ("foreign-words", "bench/x.py", "# as in /work/data\n"),
    ("foreign-words", "ARCHITECTURE.md", "decided in the workplace\n"),
    ("whitespace", ENGINE, "int x; \n"),
    ("whitespace", ENGINE, "\tint x;\n"),
    ("whitespace", ENGINE, "int x;"),
]

CLEAN = [
    (CONTROL, '#include "headrace/control/plan/physical_plan.h"\n'),
    (CONTROL, "// A Block lives in Python; see runtime/ and std::mutex, TaskEnded::now().\n"),
    (CONTROL, 'const char* kName = "Block throw catch (std::thread";\n'),
    (CONTROL, "BlockInfo info;\nBlockHandle handle;\n"),
    (READ, '#include "headrace/data/transform/function.h"\n'),
    ("src/headrace/data/read/x_test.cc", '#include "headrace/data/consume/writer.h"\n'),
    (READ, "#include <fstream>\n#include <arrow/compute/api.h>\n"),
    (ENGINE, "#include <thread>\n#include <mutex>\n"),
    ("src/headrace/runtime/local/x.cc", "#include <thread>\nauto t = std::chrono::x::now();\n"),
    ("python/bindings/x.cc", 'void F() { throw std::runtime_error("x"); }\n'),
    (ENGINE, "int retry = 1;\nint catches(int throwing);\n"),
    (ENGINE, "namespace n {\nclass C {\n" + "  int F() { return 1; }\n" * 80 + "};\n}\n"),
    (ENGINE, "constexpr int kMillion = 1'000'000;\nint y = 2'000;\n"),
    ("python/headrace/x.py", '"""' + "Says.\n" * 700 + '"""\n'),
    ("src/headrace/control/plan/x_testing.h", "#pragma once\n#include <fstream>\n"),
    ("python/headrace/x.py", 'def f():\n    """' + "Says.\n" * 100 + '"""\n    return 1\n'),
]


def rules_of(path, text):
    sources = [
        tidy.Source("CMakeLists.txt", (ROOT / "CMakeLists.txt").read_text()),
        tidy.Source(path, text),
    ]
    return {finding.rule for finding in tidy.check(sources) if finding.path == path}


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_planted_violation_is_found(rule, path, text):
    assert rule in rules_of(path, text)


@pytest.mark.parametrize(("path", "text"), CLEAN)
def test_good_code_is_left_alone(path, text):
    assert rules_of(path, text) == set()


def test_every_rule_is_planted():
    assert {rule for rule, _, _ in PLANTED} == set(tidy.RULES)


def test_unknown_folder_is_found():
    assert "built" in rules_of("src/headrace/misc_room/x.cc", "int x;\n")


@pytest.mark.parametrize(
    "definition",
    ["constexpr int kMax = 1;\n", "struct Part {};\n", "void Put(int value, char* out) {}\n"],
)
def test_private_names_that_two_files_of_a_library_share_are_found(definition):
    text = f"namespace {{\n{definition}}}\n"

    def findings_of(*paths):
        sources = [tidy.Source(path, text) for path in paths]
        return [f for f in tidy.check(sources) if f.rule == "private-names"]

    assert [f.path for f in findings_of(DATA, READ)] == [READ]
    assert findings_of(DATA, ENGINE) == []
    assert findings_of(DATA, READ.replace(".cc", "_test.cc")) == []


def test_types_of_one_name_are_found():
    def inside(space, text):
        return f"namespace {space} {{\n{text}}}  // namespace {space}\n"

    part = "struct Part {\n};\nvoid Put() {\n}\n"
    public = inside("headrace", part)
    private = inside("headrace", inside("", part))
    nested = inside("headrace", inside("inner", part))

    def count(*texts):
        sources = [tidy.Source(f"src/headrace/{i}.h", text) for i, text in enumerate(texts)]
        return sum(f.rule == "public-types" for f in tidy.check(sources))

    assert count(public, public) == 1
    assert count(nested, public, nested) == 1
    assert count(public, private, private, nested) == 0


def test_findings_name_the_line():
    source = tidy.Source(ENGINE, "int x;\n\n/* a\n b */\nint r = rand();\n")
    (finding,) = tidy.check([source, tidy.Source("CMakeLists.txt", "FOLDERS engine DEPENDS\n")])
    assert (finding.path, finding.line, finding.rule) == (ENGINE, 5, "random")


def test_header_that_does_not_compile_alone_is_found(tmp_path):
    compiler = "c++"
    folder = tmp_path / "src" / "headrace" / "engine"
    folder.mkdir(parents=True)
    (folder / "good.h").write_text("#pragma once\n#include <vector>\nstd::vector<int> F();\n")
    (folder / "bad.h").write_text("#pragma once\nstd::vector<int> F();\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    findings = tidy.check_headers(tmp_path, compiler, [], jobs=2)
    assert [finding.path for finding in findings] == ["src/headrace/engine/bad.h"]


def test_exit_code_and_output(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = [sys.executable, str(ROOT / "tools" / "tidy.py"), "--root", str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "x.cc").write_text("int r = rand();\n")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "x.cc:1:" in done.stdout
