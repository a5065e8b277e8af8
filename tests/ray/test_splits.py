"""Shards of one run are read by actors on all nodes at once, epoch after epoch."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import headrace
from headrace._internal.streaming_split import wire
from headrace.exceptions import StreamingSplitError

pytestmark = pytest.mark.timeout(300)

# Ray's workers cannot import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ROWS = 900
RANKS = 3
SECONDS = 120  # After which something hangs.


@ray.remote(num_cpus=0)
class Trainer:
    """Reads a shard. `elsewhere`: as if it were on another machine than the driver."""

    def __init__(self, shard: bytes, elsewhere: bool) -> None:
        if elsewhere:
            wire.machine = lambda: "another machine"
        self.shard = cloudpickle.loads(shard)

    def node(self) -> str:
        return ray.get_runtime_context().get_node_id()

    def epoch(self, batch_size: int = 32) -> list[int]:
        return [
            int(i) for batch in self.shard.iter_batches(batch_size=batch_size) for i in batch["id"]
        ]

    def schema(self) -> list[str]:
        return self.shard.schema().names

    def die_in_mid_epoch(self) -> None:
        for _ in self.shard.iter_batches(batch_size=10):
            os.kill(os.getpid(), signal.SIGKILL)


def trainers(ds: headrace.Dataset, elsewhere: bool) -> list[Any]:
    nodes = itertools.cycle([node["NodeID"] for node in ray.nodes() if node["Alive"]])
    return [
        Trainer.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(next(nodes), soft=False)
        ).remote(cloudpickle.dumps(shard), elsewhere)
        for shard in ds.streaming_split(RANKS, equal=True)
    ]


def dataset() -> headrace.Dataset:
    # Wide enough that blocks do not fit into one packet.
    return headrace.range(ROWS, override_num_blocks=9).map_batches(
        lambda batch: {**batch, "payload": [b"x" * 10_000] * len(batch["id"])}
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_actors_read_their_shards_epoch_after_epoch(elsewhere: bool) -> None:
    made = trainers(dataset(), elsewhere)
    nodes = ray.get([trainer.node.remote() for trainer in made], timeout=SECONDS)
    assert len(set(nodes)) == RANKS
    for _ in range(3):
        shards = ray.get([trainer.epoch.remote() for trainer in made], timeout=SECONDS)
        assert [len(shard) for shard in shards] == [ROWS // RANKS] * RANKS
        assert sorted(i for shard in shards for i in shard) == list(range(ROWS))
    assert ray.get(made[0].schema.remote(), timeout=SECONDS) == ["id", "payload"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_trainer_that_dies_is_named(elsewhere: bool) -> None:
    made = trainers(dataset(), elsewhere)
    ray.get([trainer.epoch.remote() for trainer in made], timeout=SECONDS)
    dying = made[1].die_in_mid_epoch.remote()
    others = [made[0].epoch.remote(), made[2].epoch.remote()]
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(dying, timeout=SECONDS)
    for other in others:
        with pytest.raises(StreamingSplitError, match="rank 1"):
            ray.get(other, timeout=SECONDS)


def test_a_users_error_reaches_all_trainers() -> None:
    def fail(batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("the reason")

    made = trainers(dataset().map_batches(fail), elsewhere=True)
    for reference in [trainer.epoch.remote() for trainer in made]:
        with pytest.raises(ValueError, match="the reason"):
            ray.get(reference, timeout=SECONDS)
