"""A Ray cluster of three nodes with one CPU each, on this machine. Without Ray, no test runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

NODES = 3
OBJECT_STORE_BYTES = 120 * 1024 * 1024


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """The cluster, with this process connected to it through Headrace."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    import headrace

    made = Cluster()
    for _ in range(NODES):
        made.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False)
    made.wait_for_nodes()
    headrace.init(backend="ray", address=made.address, log_to_driver=False)
    yield made
    headrace.shutdown()
    made.shutdown()
