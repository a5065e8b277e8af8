"""Spilled blocks that are lost or damaged in mid-run are made again, or the error says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import Script

ROWS = 400_000

# One task of the last map before the exchange wrecks what is on disk by then, once.
WRECK = """
def wreck_all(batch):
    if {last} not in batch["id"] or os.path.exists({flag!r}):
        return batch
    while not (files := [
        path for path in glob.glob(os.environ["TMPDIR"] + "/headrace-spill-*/*.arrow")
        if os.path.getsize(path) > 60_000
    ]):
        time.sleep(0.01)
    for path in files:
        if {how!r} == "remove":
            os.unlink(path)
        elif {how!r} == "cut":
            os.truncate(path, 30_000)
        else:
            with open(path, "r+b") as file:
                file.seek(40_000)
                file.write(bytes(64))
    for path in {others!r}:
        os.unlink(path)
    with open({flag!r}, "w") as file:
        file.write(str(len(files)))
    return batch


def big(batch):
    ids = batch["id"]
    return {{"id": ids, "k": ids * 7_919 % 400_009, "g": ids % 97,
             "x": np.repeat(ids[:, None], 12, axis=1).astype(float)}}
"""

OPERATIONS = {
    "sort": (
        'sort("k")',
        "(batch['k'].tolist(), (batch['id'] * 7_919 % 400_009 == batch['k']).all())",
        "assert sum((k for k, _ in seen), []) == sorted(i * 7_919 % 400_009 for i in range(ROWS))",
    ),
    "shuffle": (
        "random_shuffle(seed=3)",
        "(batch['id'].tolist(), (batch['x'][:, 5] == batch['id']).all())",
        "ids = sum((ids for ids, _ in seen), [])\n"
        "assert ids != sorted(ids) and sorted(ids) == list(range(ROWS))",
    ),
    "groups": (
        'groupby("g").map_groups(lambda g: {"g": g["g"][:1], "n": np.array([len(g["g"])]),'
        ' "s": np.array([g["x"][:, 3].sum()])}, batch_format="numpy")',
        "(list(zip(batch['g'].tolist(), batch['n'].tolist(), batch['s'].tolist())), True)",
        "assert sorted(sum((rows for rows, _ in seen), [])) == [\n"
        "    (g, len(range(g, ROWS, 97)), float(sum(range(g, ROWS, 97)))) for g in range(97)]",
    ),
}


def wreck(how: str, tmp_path: Path, last: int = ROWS - 1, others: tuple[str, ...] = ()) -> str:
    return WRECK.format(how=how, flag=str(tmp_path / "wrecked"), last=last, others=list(others))


@pytest.mark.parametrize("reads_in_process", [False, True], ids=["native", "function"])
@pytest.mark.parametrize("how", ["remove", "cut", "flip"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_lost_blocks_are_made_again(
    operation: str, how: str, reads_in_process: bool, tmp_path: Path
) -> None:
    verb, row, check = OPERATIONS[operation]
    after = ".map_batches(lambda batch: batch)" if reads_in_process else ""
    text = f"""
ROWS = {ROWS}
headrace.init(object_store_memory=16 << 20, num_cpus=2)
{wreck(how, tmp_path)}
ds = headrace.range(ROWS, override_num_blocks=40).map_batches(wreck_all).map_batches(big)
ds = ds.{verb}{after}
seen = [{row} for batch in ds.iter_batches(batch_size=None)]
assert all(right for _, right in seen)
{check}
print("wrecked" if int(open({str(tmp_path / "wrecked")!r}).read()) > 0 else "nothing")
print("again" if "made again" in ds.stats() else ds.stats())
del ds, seen
next_pipeline()
"""
    out, err = Script(text, tmp_path).finish()
    assert out.split() == ["wrecked", "again", "next"], out + err


def test_blocks_behind_two_exchanges_and_a_map_are_made_again(tmp_path: Path) -> None:
    text = f"""
ROWS = {ROWS}
headrace.init(object_store_memory=16 << 20, num_cpus=2)
{wreck("remove", tmp_path)}
ds = headrace.range(ROWS, override_num_blocks=40).map_batches(big).random_shuffle(seed=1)
ds = ds.map_batches(lambda batch: batch).map_batches(wreck_all).sort("k")
keys = np.concatenate([batch["k"] for batch in ds.iter_batches(batch_size=None)])
assert keys.tolist() == sorted(i * 7_919 % 400_009 for i in range(ROWS))
print("again" if "made again" in ds.stats() else ds.stats())
del ds
next_pipeline()
"""
    out, err = Script(text, tmp_path).finish()
    assert out.split() == ["again", "next"], out + err


def test_an_input_file_that_is_gone_as_well(tmp_path: Path) -> None:
    files = tuple(str(tmp_path / "in" / f"{i:02}.parquet") for i in range(20))
    text = f"""
import pyarrow as pa
import pyarrow.parquet as pq
headrace.init(object_store_memory=16 << 20, num_cpus=1)
os.makedirs({str(tmp_path / "in")!r})
for i, path in enumerate({files!r}):
    pq.write_table(pa.table({{"id": range(i * 10_000, (i + 1) * 10_000)}}), path)
{wreck("remove", tmp_path, last=199_999, others=files[:19])}
ds = headrace.read_parquet({list(files)!r}, override_num_blocks=20).map_batches(wreck_all)
try:
    sum(len(batch["k"]) for batch in ds.map_batches(big).sort("k").iter_batches(batch_size=None))
except OSError as error:
    print(told(error), flush=True)
    del error
del ds
next_pipeline()
"""
    out, err = Script(text, tmp_path).finish()
    assert "No such file" in out, out + err
    assert ".parquet" in out
    assert "It ran again to make a block once more" in out, out + err
    assert "a block that was spilled to" in out
    assert out.endswith("next\n")


def test_a_function_that_is_not_the_same_each_time(tmp_path: Path) -> None:
    text = f"""
headrace.init(object_store_memory=16 << 20, num_cpus=2)
{wreck("remove", tmp_path)}
def odd(batch):
    keep = slice(0, len(batch["id"]) - os.path.exists({str(tmp_path / "wrecked")!r}))
    return {{name: column[keep] for name, column in batch.items()}}
ds = headrace.range({ROWS}, override_num_blocks=40).map_batches(wreck_all).map_batches(big)
try:
    sum(len(b["k"]) for b in ds.map_batches(odd).sort("k").iter_batches(batch_size=None))
except OSError as error:
    print(told(error), flush=True)
    del error
del ds
next_pipeline()
"""
    out, err = Script(text, tmp_path).finish()
    assert "a block that was spilled to" in out, out + err
    assert "a function or a file is not the same each time" in out
    assert "next" in out


def test_a_user_s_own_blocks_cannot_be_made_again(tmp_path: Path) -> None:
    text = """
headrace.init(object_store_memory=16 << 20, num_cpus=2)
ds = headrace.range_tensor(4000, shape=(1_000,), override_num_blocks=40).materialize()
assert _core.store_stats()["spilled_bytes"] > 0
for path in glob.glob(os.environ["TMPDIR"] + "/headrace-spill-*/*.arrow"):
    os.unlink(path)
try:
    ds.map_batches(lambda batch: {"s": batch["data"].sum(axis=1)}).sort("s").take_all()
except OSError as error:
    print(told(error), flush=True)
    del error
del ds
next_pipeline()
"""
    out, err = Script(text, tmp_path).finish()
    assert "a block that was spilled to" in out, out + err
    assert "existed before the run and cannot be made again" in out
    assert "next" in out
