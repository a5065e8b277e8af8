"""What the README shows is run as it stands."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(find_spec("headrace") is None, reason="headrace is not installed")
@pytest.mark.timeout(120)
def test_python_example_runs(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    for number, light in enumerate((10, 128, 250)):
        image.new("RGB", (500, 375), (light, light, light)).save(
            tmp_path / "photos" / f"{number}.jpg"
        )
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    (tmp_path / "example.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2.jpg" in done.stdout.splitlines()[-1]
    assert "1.jpg" not in done.stdout.splitlines()[-1]


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z][a-z-]*)", README)):
        assert re.search(rf"^{target}:", makefile, re.M) or f" {target}:" in makefile, target


def test_named_files_exist():
    for name in re.findall(r"`([\w/]+\.(?:md|cc|py|h))`", README):
        assert (ROOT / name).exists() or (ROOT / "src" / name).exists(), name
