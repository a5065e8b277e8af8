"""The C++ library as others see it: installed, found by find_package, linked, run.

Needs a built tree: `make package-test` makes build/release first.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("HEADRACE_BUILD", ROOT / "build" / "release"))


def run(*command, env=None):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    if not (BUILD / "CMakeCache.txt").exists():
        pytest.skip(f"{BUILD} is not built")
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix


@pytest.mark.timeout(600)
def test_program_of_a_stranger_builds_and_runs(prefix, tmp_path):
    build = tmp_path / "build"
    source = Path(__file__).parent / "consumer"
    run(
        *("cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=Release"),
    )
    run("cmake", "--build", build)
    output = run(build / "consumer", tmp_path / "written")
    assert output == "count=5000 written=5000 first=3 columns=2\nmissing: error\n"


def test_installed_files(prefix):
    names = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    assert any(name.endswith("libheadrace.a") for name in names)
    assert "include/headrace/engine/dataset.h" in names
    assert not [name for name in names if name.endswith((".cc", ".py"))]
    for path in prefix.rglob("*.cmake"):
        text = path.read_text()
        assert str(ROOT) not in text, f"{path.name} points into the source tree"


def test_tests_use_the_arrow_of_the_package():
    """The C++ tests find Arrow in the environment of the tests: it must be the pinned one."""
    pin = re.compile(r"""pyarrow==([\d.*]+); python_version (>=|<) ["']([\d.]+)["']""")
    of_tests = pin.findall((ROOT / "tools" / "requirements" / "test.txt").read_text())
    of_package = pin.findall((ROOT / "pyproject.toml").read_text())
    assert len(of_tests) == 2
    assert of_package == of_tests * 2, "to build, and to run"


def test_other_major_version_of_arrow_is_refused(prefix, tmp_path):
    """An archive compiled against one Arrow must not be linked to another."""
    fake = tmp_path / "pyarrow"
    (fake / "include" / "arrow" / "util").mkdir(parents=True)
    (fake / "include" / "arrow" / "util" / "config.h").write_text(
        '#define ARROW_VERSION_STRING "1.2.3"\n#define ARROW_SO_VERSION "102"\n'
    )
    source = Path(__file__).parent / "consumer"
    done = subprocess.run(
        ["cmake", "-S", str(source), "-B", str(tmp_path / "build")]
        + [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DPYARROW_DIR={fake}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "1.2.3" in done.stderr


EXAMPLES = sorted((ROOT / "examples").glob("*.cc"))


@pytest.mark.parametrize("source", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_cpp_example_runs(source, tmp_path):
    program = BUILD / "examples" / f"example_{source.stem}"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    done = subprocess.run(
        [str(program), str(tmp_path / "out")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != ""
