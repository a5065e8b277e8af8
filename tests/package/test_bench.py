"""The workloads are whole and their checks can fail; the runner measures and reports."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

pytest.importorskip("psutil")


def load(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = load("run")
WORKLOADS = sorted((ROOT / "bench" / "workloads").glob("*.toml"))


@pytest.mark.parametrize("path", WORKLOADS, ids=[path.stem for path in WORKLOADS])
def test_workload_is_whole(path):
    workload = run.worker.tomllib.loads(path.read_text())
    assert workload["title"]
    assert workload["data"] in run.generate.GENERATORS
    assert run.worker.section_of(workload, "headrace") is not None
    assert run.worker.section_of(workload, "ray") is not None
    for section in [workload, *workload["engine"].values()]:
        for part in ("setup", "run", "check"):
            compile(section.get(part, ""), str(path), "exec")
    for scale in (1.0, 0.01):
        n = run.worker.size_of(workload, "headrace", scale)
        assert n % workload.get("step", 1) == 0
        assert run.expected_of(workload, n)


def test_expected_results_follow_from_the_data(tmp_path):
    """The formulas of the native workload, computed by pyarrow alone."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    path = ROOT / "bench" / "workloads" / "05_parquet_native.toml"
    workload = run.worker.tomllib.loads(path.read_text())
    table = ds.dataset(run.generate.ensure("numbers", 16_000, tmp_path)).to_table()
    kept = table.filter(pc.less(table["x"], 500))
    result = {"rows": kept.num_rows, "total": pc.sum(kept["x"]).as_py() * 2 + kept.num_rows}
    assert run.difference(result, run.expected_of(workload, 16_000)) == ""
    assert "rows is 7" in run.difference({**result, "rows": 7}, run.expected_of(workload, 16_000))


def test_runner_measures_and_reports(tmp_path):
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--scale", "0.001", "--runs", "2"]
    command += ["--engines", "pyarrow", "--only", "08_iter_batches"]
    command += ["--data", str(tmp_path / "data"), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = output.read_text()
    assert "Parquet → iter_batches of 4,096" in text
    assert "…" in text
    assert "failed" not in text


def test_wrong_result_and_crash_are_failures(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text(
        'title = "t"\ndata = "nothing"\nn = 5\n[expected]\nrows = "n"\n'
        "[engine.pyarrow]\nrun = 'result[\"rows\"] = 4'\n"
    )
    runner = run.Runner({"pyarrow": sys.executable}, 1.0, 1, 60.0, tmp_path)
    assert runner.measure(broken)["pyarrow"].failure == "wrong result: rows is 4, not 5"
    broken.write_text(broken.read_text().replace("result[", "1 / 0; result["))
    assert "ZeroDivisionError" in runner.measure(broken)["pyarrow"].failure
