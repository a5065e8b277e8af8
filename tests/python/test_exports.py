"""The names of the package: the same for those who import and for those who check types."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import headrace


def test_stub_lists_the_same_names() -> None:
    stub = ast.parse(Path(headrace.__file__).with_suffix(".pyi").read_text())
    named = {
        alias.asname or alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*named, "NodeIdStr", "__version__"} == set(headrace.__all__)


def test_every_name_is_there() -> None:
    for name in headrace.__all__:
        assert getattr(headrace, name) is not None


def test_a_lazy_import_loads_a_module_at_its_first_use() -> None:
    code = (
        "import sys, headrace; assert 'headrace.dataset' not in sys.modules; "
        "headrace.Dataset; assert 'headrace.dataset' in sys.modules; "
        "headrace.aggregate.Count; import os; assert 'HEADRACE_LAZY_IMPORT' not in os.environ"
    )
    environment = {**os.environ, "HEADRACE_LAZY_IMPORT": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_native_reads_and_writes_import_no_pandas(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys, headrace; headrace.range(9).write_parquet(sys.argv[1]); "
        "headrace.read_parquet(sys.argv[1]).filter(expr='id > 3').write_parquet(sys.argv[1]); "
        "assert 'pandas' not in sys.modules and 'pyarrow.compute' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_native_job_on_local_files_imports_nothing_slow(tmp_path: pathlib.Path) -> None:
    pq.write_table(pa.table({"a": ["x", "yz"]}), tmp_path / "words.parquet")
    code = (
        "import sys, headrace; from headrace.expressions import col; "
        "ds = headrace.read_parquet(sys.argv[1]); "
        "assert ds.filter(expr=col('a').str.ends_with('z') & col('a').is_in(['yz'])).count() == 1; "
        "slow = {'pandas', 'pyarrow.compute', 'pyarrow.fs', 'subprocess', 'ssl', 'pydoc'}; "
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-B", "-c", code, str(tmp_path)], check=True)
