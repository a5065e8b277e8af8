"""The memory-limited pipeline of the streaming batch paper (arXiv 2501.12407, figure 9), live.

    python bench/figure9.py [--scale 0.1] [--simulator build/release/tests/sim_test] [GIGABYTES ...]

    load       160 tasks, each 500 rows of 1 MB in 5 s      8 cpu slots, shared with
    transform  0.5 s for each 100 MB, as many bytes out     these tasks
    infer      0.5 s for each 100 rows, little out          4 gpu slots

Slots sleep instead of computing, so that the figures are the scheduler's and not the machine's: a
machine with fewer cores runs it, too. Rows and limits are `scale` times those of the paper; times
are not scaled. The cpus have 1,200 s of work, so no run takes less than 150 s; the best is 153 s
with whole load tasks, as the last blocks still pass through the gpus. Each run is a process of its
own.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

MB = 1_000_000
LOADS, BLOCKS, ROWS = 160, 5, 100
CPUS, GPUS = 8, 4
LIMITS = (1, 2, 4, 6, 8, 10, 12, 14, 16)

# Seconds, by limit in GB: what we ask of ourselves, and what the paper shows for Ray Data.
BARS = {1: 291, 2: 185, 4: 160} | dict.fromkeys(LIMITS[3:], 155)
RAY_DATA = {6: 291, 8: 199, 10: 200, 12: 200, 14: 200, 16: 200}


def fill(started: float, seconds: float) -> None:
    """Sleeps until a piece of work that began at `started` has taken `seconds`."""
    time.sleep(max(0.0, started + seconds - time.monotonic()))


def loading(row_bytes: int) -> Any:
    """Returns the source: read tasks that yield blocks of 100 rows, one a second."""
    import numpy as np
    import pyarrow as pa

    from headrace.block import BlockMetadata
    from headrace.datasource import Datasource, ReadTask

    def load() -> Iterator[Any]:
        for _ in range(BLOCKS):
            started = time.monotonic()
            data = pa.py_buffer(np.ones(ROWS * row_bytes, dtype=np.uint8))
            rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(row_bytes), ROWS, [None, data])
            fill(started, 1.0)
            yield pa.table({"row": rows})

    class Source(Datasource):
        def get_name(self) -> str:
            return "Load"

        def estimate_inmemory_data_size(self) -> int:
            return LOADS * BLOCKS * ROWS * row_bytes

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            rows = BLOCKS * ROWS
            about = BlockMetadata(
                num_rows=rows, size_bytes=rows * row_bytes, exec_stats=None, input_files=None
            )
            return [ReadTask(load, about) for _ in range(LOADS)]

    return Source()


def transform(batch: Any) -> Any:
    import pyarrow as pa

    started = time.monotonic()
    moved = pa.concat_tables([batch.slice(1), batch.slice(0, 1)]).combine_chunks()
    fill(started, 0.5)
    return moved


class Infer:
    def __call__(self, batch: Any) -> Any:
        time.sleep(0.5)
        return {"rows": [batch.num_rows]}


def run_once(limit: int, row_bytes: int) -> dict[str, Any]:
    """Runs the pipeline in this process with `limit` bytes for blocks."""
    import headrace

    headrace.init(
        num_cpus=CPUS,
        object_store_memory=2 * limit,
        resources={"loader": CPUS, "accelerator": GPUS},
    )
    context = headrace.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = (
        128 * MB * row_bytes // MB
    )  # As large for the blocks as at full size.
    context.execution_options.resource_limits = headrace.ExecutionResources(
        object_store_memory=limit
    )
    # A resource of its own, as load and transform would else become one step. A batch is a block.
    dataset = headrace.read_datasource(
        loading(row_bytes), override_num_blocks=LOADS, ray_remote_args={"resources": {"loader": 1}}
    )
    dataset = dataset.map_batches(
        transform, batch_size=None, batch_format="pyarrow", zero_copy_batch=True
    )
    dataset = dataset.map_batches(
        Infer,
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        num_cpus=0,
        resources={"accelerator": 1},
        concurrency=GPUS,
    )
    started = time.monotonic()
    batches = [row["rows"] for row in dataset.iter_rows()]
    seconds = time.monotonic() - started
    assert sum(batches) == LOADS * BLOCKS * ROWS, sum(batches)
    return {"seconds": seconds, "stats": dataset.stats()}


def simulated(sim_test: str) -> dict[int, float]:
    """Seconds by gigabytes, as the simulator has them at full scale."""
    command = [sim_test, "--gtest_filter=Figure9.*"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return {int(g): float(s) for g, s in re.findall(r"^ ?(\d+) GB: ([\d.]+) s", output, re.M)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("gigabytes", nargs="*", type=int, default=LIMITS, help="limits; all")
    parser.add_argument("--scale", type=float, default=0.1, help="of rows and limits; 0.1")
    parser.add_argument("--simulator", help="sim_test, whose figures stand beside")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    row_bytes = int(arguments.scale * MB)
    if arguments.once:
        print(json.dumps(run_once(arguments.once, row_bytes)))
        return 0
    beside = simulated(arguments.simulator) if arguments.simulator else {}
    print("| limit, GB | live, s | simulated, s | bar, s | Ray Data (paper), s |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    missed = 0
    for gigabytes in arguments.gigabytes:
        limit = int(gigabytes * 1000 * MB * arguments.scale)
        command = [sys.executable, __file__, "--once", str(limit), "--scale", str(arguments.scale)]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        figures = json.loads(output.splitlines()[-1])
        print(
            f"| {gigabytes} | {figures['seconds']:.1f} | {beside.get(gigabytes, '–')} "
            f"| {BARS[gigabytes]} | {RAY_DATA.get(gigabytes, '–')} |",
            flush=True,
        )
        missed += figures["seconds"] > BARS[gigabytes]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
