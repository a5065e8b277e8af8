"""The head of the cluster dies: a clear error, and no hang."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(300)

# A cluster of its own, whose head is killed when the first rows are there.
SCRIPT = """
import os, sys, threading, time
import psutil, ray
from ray.cluster_utils import Cluster
import headrace

victims = sys.argv[1].split(",")
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
head = cluster.head_node.node_id

def kill_head():
    for process in psutil.Process().children(recursive=True):
        name = process.name()
        if name == "raylet" and head not in " ".join(process.cmdline()):
            continue
        if name in victims:
            process.kill()

def slow(batch):
    time.sleep(0.2)
    return batch

headrace.init(address=cluster.address, log_to_driver=False)
ds = headrace.range(10_000, override_num_blocks=1_000).map_batches(slow)
try:
    for count, batch in enumerate(ds.iter_batches(batch_size=10)):
        if count == 3:
            kill_head()
except Exception as error:
    print("raised", type(error).__name__, error, flush=True)
try:
    headrace.range(10).take_all()
except Exception as error:
    print("again", type(error).__name__, error, flush=True)
headrace.shutdown()
print("connected", ray.is_initialized(), flush=True)
for process in psutil.Process().children(recursive=True):
    process.kill()
os._exit(0)
"""


@pytest.mark.parametrize("victims", ["gcs_server", "gcs_server,raylet"])
def test_the_head_is_killed(victims: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS",)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, victims],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    lines = [line for line in done.stdout.splitlines() if line.split(" ")[0] in _WORDS]
    assert [line.split(" ")[0] for line in lines] == list(_WORDS), done.stdout + done.stderr
    assert "the head of the Ray cluster at" in lines[0]
    assert "is lost" in lines[0]
    assert "is lost" in lines[1]
    assert lines[2] == "connected False"


_WORDS = ("raised", "again", "connected")
