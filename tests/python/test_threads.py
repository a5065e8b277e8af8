"""Several threads of the user's process at once: nothing waits for Python's lock for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each runs in a process of its own: what it tests for is a hang.
PLANNING = """
import threading, time
from headrace import _core

_core.add_rule("same", lambda plan: (time.sleep(0.0005), plan)[1])
plan = _core.Plan.read(_core.range_source(10))
options = _core.ExecutionOptions()

def explain():
    for _ in range(50):
        plan.explain(options)

def run():
    for _ in range(50):
        execution = plan.execute(options)
        while execution.next() is not None:
            pass

threads = [threading.Thread(target=target) for target in (explain, run, explain)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

SNAPSHOTS = """
import threading
import numpy as np
import pyarrow as pa
from headrace import _core

options = _core.ExecutionOptions()
for _ in range(40):
    # The memory of these blocks is numpy's: to free it takes Python's lock.
    blocks = [_core.put(pa.table({"x": np.arange(1000)})) for _ in range(20)]
    execution = _core.Plan.input_data(blocks).limit(15_000).execute(options)
    del blocks
    ended = threading.Event()

    def consume():
        while execution.next() is not None:
            pass
        ended.set()

    thread = threading.Thread(target=consume)
    thread.start()
    while not ended.is_set():
        execution.snapshot()
    thread.join()
"""


@pytest.mark.parametrize("program", [PLANNING, SNAPSHOTS], ids=["planning", "snapshots"])
def test_no_thread_waits_for_ever(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
