#!/usr/bin/env python3
"""The style as a test: reads every source of the repository and prints what breaks the rules.

    tools/tidy.py                 all rules but the next, in about a second
    tools/tidy.py --headers       compiles every C++ header alone (needs a compiler and Arrow)

Each rule is one function from a `Source` to findings; RULES lists them with their names. A rule
that the code outgrows is changed here, next to its reason, never switched off in place.
"""

from __future__ import annotations

import argparse
import ast
import bisect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LINES_PER_FILE = 600
LINES_PER_FUNCTION = 70
COLUMNS = 100


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


@dataclass(frozen=True)
class Source:
    """One file. `path` is relative to the repository, with forward slashes."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def code(self) -> str:
        """C++ without comments and the insides of literals; every line keeps its place."""
        return blank_comments_and_literals(self.text)

    @cached_property
    def room(self) -> str:
        """The folder in the include graph: "control/plan", "runtime", "python/bindings" or ""."""
        return room_of(self.path)

    @property
    def is_cpp(self) -> bool:
        return self.path.endswith((".h", ".cc"))

    @property
    def is_header(self) -> bool:
        return self.path.endswith(".h")

    @property
    def is_python(self) -> bool:
        return self.path.endswith((".py", ".pyi"))

    @property
    def is_test(self) -> bool:
        ends = ("_test.cc", "_bench.cc", "_testing.h", "/testing.h")
        return self.path.endswith(ends) or self.path.startswith("tests/")

    @cached_property
    def includes(self) -> list[tuple[int, str]]:
        """(line, header) of each #include."""
        return [
            (self.line_at(match.start()), match.group(1))
            for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)', self.text, re.M)
        ]

    @cached_property
    def line_starts(self) -> list[int]:
        return [match.end() for match in re.finditer(r"\n", self.text)]

    def line_at(self, offset: int) -> int:
        return bisect.bisect_right(self.line_starts, offset) + 1

    def search(self, pattern: str, in_code: bool = True) -> Iterator[tuple[int, str]]:
        """Yields (line, matched text)."""
        for match in re.finditer(pattern, self.code if in_code else self.text):
            yield self.line_at(match.start()), match.group()


LITERAL = re.compile(
    r'(?P<raw>R"(?P<fence>[^()\s\\]{0,16})\(.*?\)(?P=fence)")'
    r"|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)"
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<char>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')",
    re.S,
)


def blank_comments_and_literals(text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        body = re.sub(r"[^\n]", " ", match.group())
        if match.lastgroup in ("line", "block"):
            return body
        return '"' + body[1:-1] + '"' if len(body) >= 2 else body

    return LITERAL.sub(blank, text)


# ---- The include graph -------------------------------------------------------------------------

VOCABULARY = ("base", "block", "protocol")

# Room → what it may include: rooms, whole subtrees ("data/*") or single headers.
MAY_INCLUDE: dict[str, tuple[str, ...]] = {
    "base": (),
    "block": ("base",),
    "protocol": ("base", "block"),
    "control/plan": VOCABULARY,
    "control/optimize": (*VOCABULARY, "control/plan"),
    "control/account": VOCABULARY,
    "control/schedule": (*VOCABULARY, "control/account", "control/plan/physical_plan.h"),
    # Reading and consuming build on the stream of batches; all know the task's context.
    "data/read": (
        *(*VOCABULARY, "data/transform", "data/pipeline/pipeline.h"),
        "data/consume/partition.h",  # Hive paths are read as they are written.
    ),
    "data/transform": (*VOCABULARY, "data/pipeline/pipeline.h"),
    "data/exchange": (*VOCABULARY, "data/transform", "data/pipeline/pipeline.h"),
    "data/consume": (
        *(*VOCABULARY, "data/transform", "data/pipeline/pipeline.h"),
        *("data/read/files.h", "data/read/options.h"),  # Paths and options are the same there.
        "data/read/commit_list.h",  # What a commit writes down, readers obey.
    ),
    "data/pipeline": (*VOCABULARY, "data/*"),
    "runtime": VOCABULARY,
    "runtime/store": (*VOCABULARY, "runtime"),
    "runtime/local": (*VOCABULARY, "runtime", "runtime/store", "data/*"),
    "runtime/bridge": (
        *(*VOCABULARY, "runtime", "data/pipeline", "data/transform"),
        # A task runs there as it does in a worker of this machine.
        *("runtime/local/task_run.h", "runtime/local/process_memory.h"),
        *("runtime/local/worker_link.h", "runtime/store/fork_guard.h"),
    ),
    "runtime/sim": (*VOCABULARY, "runtime"),
    "observe": (*VOCABULARY, "control/*"),
    "engine": (*VOCABULARY, "control/*", "data/*", "runtime/*", "observe"),
    "python/bindings": (*VOCABULARY, "control/*", "data/*", "runtime/*", "observe", "engine"),
}


def room_of(path: str) -> str:
    inside = path.removeprefix("src/headrace/")
    for room in sorted(MAY_INCLUDE, key=len, reverse=True):
        if inside.startswith(room + "/"):
            return room
    return ""


def included_room(header: str) -> str:
    return room_of("src/" + header)


def allows(entry: str, header: str) -> bool:
    inside = header.removeprefix("headrace/")
    if entry.endswith(".h"):
        return inside == entry
    if entry.endswith("/*"):
        return inside.startswith(entry[:-1])
    return included_room(header) == entry


def check_include_graph(source: Source) -> Iterator[tuple[int, str]]:
    if not source.is_cpp or not source.room:
        return
    allowed = (*MAY_INCLUDE[source.room], source.room)
    if source.is_test:  # May set up its case with the neighbours, which link to it anyway.
        allowed += (source.room.split("/")[0] + "/*",)
    for line, header in source.includes:
        if header.startswith("headrace/") and not any(allows(entry, header) for entry in allowed):
            yield line, f"{source.room} may not include {header}"


PURE_ROOMS = ("base", "block", "protocol", "control", "observe")
WORLD_HEADERS = {
    "thread", "mutex", "shared_mutex", "atomic", "condition_variable", "future", "semaphore",
    "latch", "barrier", "stop_token", "fstream", "filesystem", "iostream", "chrono", "ctime",
    "time.h", "unistd.h", "fcntl.h", "sys/mman.h", "sys/socket.h", "sys/stat.h", "signal.h",
    "pthread.h",
}  # fmt: skip
WAITING_HEADERS = {"thread", "condition_variable", "future", "semaphore", "latch", "barrier"}


def in_rooms(source: Source, rooms: tuple[str, ...]) -> bool:
    return any(source.room == room or source.room.startswith(room + "/") for room in rooms)


def check_purity(source: Source) -> Iterator[tuple[int, str]]:
    """What decides has no thread, lock, clock or file."""
    if not source.is_cpp or not in_rooms(source, PURE_ROOMS):
        return
    reads_golden_files = source.is_test
    for line, header in source.includes:
        if reads_golden_files and header in ("fstream", "filesystem", "iostream"):
            continue
        if header in WORLD_HEADERS:
            yield line, f"{source.room} is pure: no <{header}>"
    for line, text in source.search(r"::now\s*\(|\bclock_gettime\b|\bgettimeofday\b"):
        yield line, f"{source.room} is pure: time is an argument, not {text}"
    if not source.is_test:
        for line, text in source.search(r"\bgetenv\b|\bfopen\b|\bstd::cout\b|\bstd::cerr\b"):
            yield line, f"{source.room} is pure: no {text}"


def check_control(source: Source) -> Iterator[tuple[int, str]]:
    """Control holds references, knows no language and no machine, and is the same in every run."""
    if not source.is_cpp or not in_rooms(source, ("control",)):
        return
    if not source.is_test:
        for line, _ in source.search(r"\bBlock\b(?!::)"):
            yield line, "control holds references, never a Block"
    for line, text in source.search(r"\b\w*(?:Python|Py_|[Mm]emfd|[Ss]hm_)\w*\b|\bpy::"):
        yield line, f"control knows no Python and no shared memory: {text}"
    for line, text in source.search(r"\bstd::unordered_\w+"):
        yield line, f"control walks its containers in a fixed order: std::map, not {text}"
    for line, header in source.includes:
        moves_data = re.match(r"arrow/(compute|dataset|acero|io|ipc|filesystem|csv|json)/", header)
        if moves_data and not source.is_test:
            yield line, f"control sees schemas and scalars only, not {header}"


def check_waiting(source: Source) -> Iterator[tuple[int, str]]:
    """Only runtime waits; engine has the one thread of an execution."""
    if not source.is_cpp or in_rooms(source, ("runtime", "engine", "python/bindings")):
        return
    if source.room:
        for line, header in source.includes:
            if header in WAITING_HEADERS and not source.is_test:
                yield line, f"only runtime waits: no <{header}> in {source.room}"
    for line, text in source.search(r"\bsleep_(?:for|until)\b|\bu?sleep\s*\(|\bnanosleep\b"):
        yield line, f"only runtime waits: no {text}"


def check_sleep_in_tests(source: Source) -> Iterator[tuple[int, str]]:
    if source.is_cpp and source.is_test:
        for line, _ in source.search(r"\bsleep_(?:for|until)\b|\busleep\b|\bnanosleep\b"):
            yield line, "a test waits for an event, not for time"


def check_random(source: Source) -> Iterator[tuple[int, str]]:
    if not source.is_cpp or source.path == "src/headrace/base/rng.h":
        return
    for line, header in source.includes:
        if header == "random":
            yield line, "only base/rng.h makes random numbers: no <random>"
    for line, text in source.search(r"\bstd::mt19937\w*|\brandom_device\b|\bs?rand\s*\("):
        yield line, f"only base/rng.h makes random numbers: no {text}"


def check_exceptions(source: Source) -> Iterator[tuple[int, str]]:
    """Failures are values; python/bindings is where they become exceptions."""
    if not source.is_cpp or source.room == "python/bindings" or not source.room:
        return
    for line, text in source.search(r"\bthrow\b|\bcatch\s*\(|\btry\s*\{"):
        yield line, f"only python/bindings throws or catches: no {text}"


HEAVY_ARROW = re.compile(r"arrow/(compute|dataset|acero|python)/|arrow/api\.h|parquet/")


def check_light_headers(source: Source) -> Iterator[tuple[int, str]]:
    """A header costs everyone who includes it: forward declare Arrow, include it in the .cc."""
    if not source.is_header or not source.path.startswith("src/"):
        return
    for line, header in source.includes:
        if HEAVY_ARROW.match(header) and not source.is_test:
            yield line, f"{header} belongs in a .cc; forward declare what the header needs"
    if source.room == "base":
        for line, header in source.includes:
            if header.startswith("arrow/") and header not in ("arrow/status.h", "arrow/result.h"):
                yield line, f"base knows Arrow's status and result only, not {header}"
    if "#pragma once" not in source.text:
        yield 1, "a header starts with #pragma once"


# ---- Lengths -----------------------------------------------------------------------------------


def check_lengths(source: Source) -> Iterator[tuple[int, str]]:
    if not (source.is_cpp or source.is_python):
        return
    count = len(source.lines) - (source.lines[-1] == "") - manual_lines(source)
    is_corpus = source.path.startswith("tests/compat/cases_")  # A list, not a program.
    if count > LINES_PER_FILE and not is_corpus:
        yield LINES_PER_FILE + 1, f"{count} lines: a file has at most {LINES_PER_FILE}"
    for number, line in enumerate(source.lines, start=1):
        if len(line) > COLUMNS:
            yield number, f"{len(line)} columns: a line has at most {COLUMNS}"
    functions = cpp_functions(source) if source.is_cpp else python_functions(source)
    for number, length in functions:
        if length > LINES_PER_FUNCTION:
            yield number, f"{length} lines: a function has at most {LINES_PER_FUNCTION}"


SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$")


def cpp_functions(source: Source) -> Iterator[tuple[int, int]]:
    """Yields (first line, number of lines) of each outermost body that follows parentheses."""
    head_start, depth_in_function, function_start, scopes = 0, 0, 0, 0
    for match in re.finditer(r"[{};]", without_preprocessor(source.code)):
        brace, offset = match.group(), match.start()
        if depth_in_function > 0:
            depth_in_function += {"{": 1, "}": -1}.get(brace, 0)
            if depth_in_function == 0:
                first = source.line_at(function_start)
                yield first, source.line_at(offset) - first + 1
                head_start = offset + 1
            continue
        if brace == "{":
            head = source.code[head_start:offset]
            if "(" in head and not SCOPE.search(head):
                function_start = head_start + len(head) - len(head.lstrip())
                depth_in_function = 1
            else:
                scopes += 1
        head_start = offset + 1


def without_preprocessor(code: str) -> str:
    return re.sub(
        r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*",
        lambda m: re.sub(r"[^\n]", " ", m.group()),
        code,
        flags=re.M,
    )


def python_nodes(source: Source) -> Iterator[ast.AST]:
    try:
        return ast.walk(ast.parse(source.text))
    except SyntaxError:
        return iter(())  # The other tools say it better.


def docstring_of(node: ast.AST) -> ast.Expr | None:
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    return first if isinstance(first.value.value, str) else None


def manual_lines(source: Source) -> int:
    """Returns the lines of Python docstrings and, after their first, of signatures.

    They are the manual of the API, whose breadth is given, not what the head must hold.
    """
    if not source.is_python:
        return 0
    count = 0
    for node in python_nodes(source):
        docstring = docstring_of(node)
        if docstring is not None:
            count += (docstring.end_lineno or 0) - docstring.lineno + 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count += max(0, node.body[0].lineno - node.lineno - 1)
    return count


def python_functions(source: Source) -> Iterator[tuple[int, int]]:
    """Yields (first line, number of lines less head and docstring) of each function."""
    for node in python_nodes(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = docstring_of(node)
            start = (docstring.end_lineno or 0) + 1 if docstring else node.body[0].lineno
            yield node.lineno, (node.end_lineno or start) - start + 1


# ---- Words -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BannedWord:
    pattern: str
    instead: str
    in_comments: bool = True  # False: in C++ code only.


BANNED_WORDS = (
    BannedWord(r"\b(?:TODO|FIXME|XXX|HACK)\b", "do it, or file an issue"),
    BannedWord(r"[\\@](?:brief|param|return|returns|note)\b(?=\s)", "a sentence with a verb"),
    BannedWord(r"\b[Ww]hite-?[Ll]ist", "allowed"),
    BannedWord(r"\b[Bb]lack-?[Ll]ist", "denied"),
    BannedWord(r"\b[Ss]lave\b", "worker"),
    BannedWord(r"\b[Ss]anity check", "say what is checked"),
    BannedWord(r"\b[A-Z]\w*(?:Utils?|Helpers?)\b", "a noun that says what it is", False),
    BannedWord(r"\bNULL\b", "nullptr", False),
    BannedWord(r"\bstd::endl\b", r"'\n'", False),
    BannedWord(r"(?<!_)\bassert\s*\(", "HEADRACE_CHECK, which holds in release builds", False),
    BannedWord(r"\busing\s+namespace\s+std\b", "full names", False),
    BannedWord(r"\btypedef\b", "using", False),
    BannedWord(r"\bstd::bind\b", "a lambda", False),
)

# Paths of one machine, and talk of how the code came to be: both are noise to every reader.
FOREIGN_WORDS = (
    r"/home/\w+", r"/root/", r"/Users/\w+", r"(?<![\w./])/work/", r"/tmp/v/",
    r"\b[Ww]orkplaces?\b", r"\b(?:coding|developer(?:'s)?|CEO(?:'s)?) session\b",
    r"\bClaude\b", r"\bAnthropic\b", r"\bChatGPT\b", r"\bCopilot\b", r"\bAI[- ]generated\b",
)  # fmt: skip

SPEAKS_OF_RULES = ("tools/tidy.py", "tests/package/test_tidy.py", "STYLE.md")


def check_words(source: Source) -> Iterator[tuple[int, str]]:
    if source.path in SPEAKS_OF_RULES or not (source.is_cpp or source.is_python):
        return
    for word in BANNED_WORDS:
        if not word.in_comments and not source.is_cpp:
            continue
        for line, text in source.search(word.pattern, in_code=not word.in_comments):
            yield line, f"say {word.instead}, not {text.strip()}"
    stem = Path(source.path).stem
    if re.search(r"(^|_)(utils?|helpers?|misc|common)$", stem):
        yield 1, f"{stem} names no subject; what is in it?"


def check_foreign_words(source: Source) -> Iterator[tuple[int, str]]:
    if source.path in SPEAKS_OF_RULES:
        return
    for pattern in FOREIGN_WORDS:
        for line, text in source.search(pattern, in_code=False):
            yield line, f"speaks of one machine or of how it was written: {text.strip()}"


def check_whitespace(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.lines, start=1):
        if line != line.rstrip() and not source.path.endswith((".md", ".txt")):
            yield number, "space at the end of the line"
        if "\t" in line and (source.is_cpp or source.is_python):
            yield number, "a tab"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "no newline at the end"


Rule = Callable[[Source], Iterator[tuple[int, str]]]
RULES: dict[str, Rule] = {
    "include-graph": check_include_graph,
    "purity": check_purity,
    "control": check_control,
    "waiting": check_waiting,
    "sleep-in-tests": check_sleep_in_tests,
    "random": check_random,
    "exceptions": check_exceptions,
    "light-headers": check_light_headers,
    "lengths": check_lengths,
    "words": check_words,
    "foreign-words": check_foreign_words,
    "whitespace": check_whitespace,
}

# ---- The whole tree ----------------------------------------------------------------------------

TEXT_SUFFIXES = {
    ".h", ".cc", ".py", ".pyi", ".md", ".cmake", ".toml", ".ini", ".txt", ".json", ".sh", ".in",
}  # fmt: skip
TEXT_NAMES = {"Makefile", "CMakeLists.txt", "run", ".clang-format", ".clang-tidy", ".gitignore"}


def list_sources(root: Path) -> list[Source]:
    """Returns the files that git knows or would add, without those that stand ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    sources = []
    for name in listed.stdout.decode().split("\0"):
        path = root / name
        if name and path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES):
            sources.append(Source(name, path.read_text(encoding="utf-8")))
    return sources


def check_all_built(sources: list[Source]) -> Iterator[Finding]:
    """Every .cc of src/ stands in a folder that CMakeLists.txt globs."""
    cmake = next((source.text for source in sources if source.path == "CMakeLists.txt"), "")
    folders = {
        folder
        for match in re.finditer(r"FOLDERS\s+([\w/\s]+?)\s*(?:DEPENDS|\))", cmake)
        for folder in match.group(1).split()
    }
    for source in sources:
        path = Path(source.path)
        if source.path.startswith("src/headrace/") and path.suffix == ".cc":
            folder = str(path.parent.relative_to("src/headrace"))
            if folder not in folders:
                yield Finding(source.path, 1, "built", f"no room of CMakeLists.txt has {folder}")
            if folder not in MAY_INCLUDE:
                yield Finding(source.path, 1, "built", f"the include graph has no room {folder}")


ANONYMOUS = re.compile(r"^namespace \{$(.*?)^\}", re.M | re.S)
PRIVATE_NAME = re.compile(
    r"^(?:constexpr|const)\b[^=({;\n]*?\b(?P<constant>k[A-Z]\w*)\s*[={[]"
    r"|^(?:class|struct|enum class)\s+(?P<type>\w+)"
    r"|^[A-Za-z_][\w:<>,&* ]*[ &*](?P<function>\w+\([^)]*\))",
    re.M,
)


def check_private_names(sources: list[Source]) -> Iterator[Finding]:
    """No two files of a library have the same private name: builds may join them in one unit."""
    seen: dict[tuple[str, str], str] = {}
    for source in sources:
        if not source.path.startswith("src/") or source.is_header or source.is_test:
            continue
        library = source.room.split("/")[0]
        for scope in ANONYMOUS.finditer(source.code):
            for match in PRIVATE_NAME.finditer(source.code, *scope.span(1)):
                name = match.group(match.lastgroup or 0)
                name = re.sub(r"\s*\w+(?=[,)])", "", name) if "(" in name else name
                first = seen.setdefault((library, name), source.path)
                if first != source.path:
                    line = source.line_at(match.start())
                    yield Finding(source.path, line, "private-names", f"{name} is in {first}, too")


NAMESPACE_OR_TYPE = re.compile(
    r"^namespace(?P<space>[ \w:]*)\{|^(?P<end>\})  // namespace"
    r"|^(?:class|struct|enum class|union)\s+(?P<type>[\w:]+)[^;={]*\{",
    re.M,
)


def check_public_types(sources: list[Source]) -> Iterator[Finding]:
    """No two types have one name: the linker would take the functions of one for both (ODR)."""
    seen: dict[str, str] = {}
    for source in sources:
        if not source.path.startswith("src/") or not source.is_cpp or source.is_test:
            continue
        spaces: list[str] = []
        for match in NAMESPACE_OR_TYPE.finditer(source.text):
            if match["space"] is not None:
                spaces.append(match["space"].strip() or source.path)  # One without a name.
            elif match["end"] and spaces:
                spaces.pop()
            elif match["type"]:
                name = "::".join([*spaces, match["type"]])
                first = seen.setdefault(name, source.path)
                if first != source.path:
                    line = source.line_at(match.start())
                    yield Finding(source.path, line, "public-types", f"{name} is in {first}, too")


def check(sources: list[Source]) -> list[Finding]:
    whole_tree = (check_all_built, check_private_names, check_public_types)
    findings = [finding for check_tree in whole_tree for finding in check_tree(sources)]
    for source in sources:
        for rule, check_source in RULES.items():
            for line, message in check_source(source):
                findings.append(Finding(source.path, line, rule, message))
    return sorted(findings)


def check_header_alone(root: Path, path: str, compiler: str, includes: list[str]) -> Finding | None:
    command = [compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-I", str(root / "src")]
    command.append('-DHEADRACE_SOURCE_DIR=""')
    for folder in includes:
        command += ["-isystem", folder]
    unit = f'#include "{path.removeprefix("src/")}"\n'
    done = subprocess.run([*command, "-"], input=unit, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.split("\n") if "error" in line] or [done.stderr]
    return Finding(path, 1, "headers", f"does not compile alone: {errors[0]}")


def check_headers(root: Path, compiler: str, includes: list[str], jobs: int) -> list[Finding]:
    headers = [s.path for s in list_sources(root) if s.is_header and s.path.startswith("src/")]
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda p: check_header_alone(root, p, compiler, includes), headers)
        return [finding for finding in results if finding is not None]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--headers", action="store_true", help="compile every header alone")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--pyarrow", default="", help="folder of Arrow's headers")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.headers:
        includes = [options.pyarrow] if options.pyarrow else []
        findings = check_headers(options.root, options.compiler, includes, options.jobs)
    else:
        findings = check(list_sources(options.root))
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings" if findings else "tidy: clean")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
