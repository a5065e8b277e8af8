"""The example's own cutting and labelling against the network's package, file by file."""

import importlib.util
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "classify_files.py"


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("magika")
    pytest.importorskip("onnxruntime")
    spec = importlib.util.spec_from_file_location("classify_files", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_edge_cases(folder: Path) -> list[Path]:
    contents = {
        "empty": b"",
        "blank": b" \n" * 5000,
        "few_text": b"abc",
        "few_bytes": b"\xff\xfe\x00",
        "short_after_strip": b"          abc          ",
        "blank_then_text": b" " * 4090 + b"import os\nprint(os.getcwd())\n" * 300,
        "random": np.random.default_rng(7).bytes(100_000),
        "exactly_block": b"x" * 4096,
        "utf8": "für × ≤\n".encode() * 40,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_labels_are_those_of_the_package(example, tmp_path):
    import magika

    library = Path(sysconfig.get_paths()["stdlib"])
    files = write_edge_cases(tmp_path)
    files += sorted(path for path in (library / "json").glob("**/*") if path.is_file())
    files += sorted(path for path in (library / "email").glob("*.py"))[:10]
    files += [Path(np.__file__), *sorted(Path(np.__file__).parent.glob("**/*.so"))[:2]]

    table = pa.table(
        {"bytes": [path.read_bytes() for path in files], "path": [str(path) for path in files]}
    )
    result = example.Classify()(example.cut_files(table, example.load_config()))

    expected = magika.Magika().identify_paths(files)
    assert list(result["path"]) == [str(path) for path in files]
    assert list(result["content_type"]) == [str(answer.output.label) for answer in expected]
    np.testing.assert_allclose(result["score"], [answer.score for answer in expected], atol=1e-4)
    assert list(result["size"]) == [path.stat().st_size for path in files]


def test_tokens_are_those_of_the_package(example, tmp_path):
    import magika
    from magika.types import Seekable

    config = example.load_config()
    for path in write_edge_cases(tmp_path):
        tokens = np.full(
            config["beg_size"] + config["end_size"], config["padding_token"], np.uint16
        )
        content = path.read_bytes()
        if example.cut_file(memoryview(content), tokens, config) != "":
            continue
        with path.open("rb") as stream:
            features = magika.Magika._extract_features_from_seekable(
                Seekable(stream),
                config["beg_size"],
                config["mid_size"],
                config["end_size"],
                config["padding_token"],
                config["block_size"],
                config["use_inputs_at_offsets"],
            )
        assert list(tokens) == features.beg + features.end
