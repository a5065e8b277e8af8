"""Where tasks run on a Ray cluster, and what a run does when the cluster grows."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
import ray_cluster
from ray import cloudpickle
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

import headrace
from headrace._internal.ray_backend import places, watch

pytestmark = pytest.mark.timeout(300)

# Ray's workers cannot import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ROWS = 120


def note_node(batch: dict[str, Any]) -> dict[str, Any]:
    node = ray.get_runtime_context().get_node_id()
    time.sleep(0.02)  # So that no node does all of it before others begin.
    return {**batch, "node": [node] * len(batch["id"])}


class NoteNode:
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return note_node(batch)


def dataset() -> headrace.Dataset:
    return headrace.range(ROWS, override_num_blocks=12)


def nodes_of(ds: headrace.Dataset) -> set[str]:
    rows = ds.take_all()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    return {row["node"] for row in rows}


@pytest.fixture
def zone() -> Iterator[str]:
    """The id of a node that alone has the label zone=b."""
    node = ray_cluster.add_node(labels={"zone": "b"})
    ray_cluster.cluster().wait_for_nodes()
    yield node.node_id
    ray_cluster.cluster().remove_node(node)


@pytest.fixture
def group() -> Iterator[tuple[Any, set[str]]]:
    """A placement group of two cpus, and the ids of its two nodes, which alone have `grouped`."""
    nodes = [ray_cluster.add_node(resources={"grouped": 1}) for _ in range(2)]
    ray_cluster.cluster().wait_for_nodes()
    made = placement_group([{"CPU": 1, "grouped": 1}] * 2)
    ray.get(made.ready(), timeout=60)
    yield made, {node.node_id for node in nodes}
    remove_placement_group(made)
    for node in nodes:
        ray_cluster.cluster().remove_node(node)


# ---- Operators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [note_node, NoteNode])
def test_a_label_selector_is_obeyed(function: Any, zone: str) -> None:
    concurrency = 1 if function is NoteNode else None
    ds = dataset().map_batches(function, label_selector={"zone": "b"}, concurrency=concurrency)
    assert nodes_of(ds) == {zone}
    assert zone not in nodes_of(dataset().map_batches(note_node, label_selector={"zone": "!b"}))


def test_the_label_selector_of_a_run_is_obeyed(zone: str, settings: Any) -> None:
    settings.execution_options.label_selector = {"zone": "in(a,b)"}
    assert nodes_of(dataset().random_shuffle(seed=1).map_batches(note_node)) == {zone}


def test_a_node_can_be_chosen(zone: str) -> None:
    here = NodeAffinitySchedulingStrategy(zone, soft=False)
    assert nodes_of(dataset().map_batches(note_node, scheduling_strategy=here)) == {zone}
    ds = dataset().map_batches(note_node, ray_remote_args={"scheduling_strategy": here})
    assert nodes_of(ds) == {zone}


def test_an_operator_may_have_an_environment_of_its_own() -> None:
    def read(row: dict[str, Any]) -> dict[str, Any]:
        return {"value": os.environ.get("HEADRACE_TEST_WORD")}

    ds = dataset().map(read, runtime_env={"env_vars": {"HEADRACE_TEST_WORD": "sluice"}})
    assert {row["value"] for row in ds.take_all()} == {"sluice"}


def test_what_no_node_is_is_refused() -> None:
    with pytest.raises(Exception, match=r"no node of .* label_selector=\{'zone': 'nowhere'\}"):
        dataset().map_batches(note_node, label_selector={"zone": "nowhere"}).take_all()
    gone = NodeAffinitySchedulingStrategy("ab" * 28, soft=False)
    with pytest.raises(Exception, match=r"no node of .*NodeAffinitySchedulingStrategy"):
        dataset().map_batches(note_node, scheduling_strategy=gone).take_all()


def test_forms_of_a_label_selector() -> None:
    wishes = {"a": True, "!a": False, "in(a, b)": True, "!in(a,b)": False, "b": False, "!b": True}
    assert {wish: places.matches("a", wish) for wish in wishes} == wishes
    assert places.matches(None, "!a")
    assert not places.matches(None, "in(a)")


# ---- Placement groups --------------------------------------------------------------------------


def test_a_run_keeps_to_the_placement_group_that_it_is_given(
    group: tuple[Any, set[str]], settings: Any
) -> None:
    settings.scheduling_strategy = PlacementGroupSchedulingStrategy(group[0])
    assert nodes_of(dataset().sort("id").map_batches(note_node)) <= group[1]
    # A node's resources are not in the group: a bundle is all that a task may have.
    with pytest.raises(Exception, match=r"no bundle of .* CPU 2 \(the most is 1\)"):
        dataset().map_batches(note_node, num_cpus=2).take_all()


@ray.remote(num_cpus=1)
def run_inside() -> tuple[set[str], float]:
    """Runs a pipeline as a trial of a tuner would: from a task or actor in a placement group."""
    import headrace
    from headrace._internal.runtime import asked_of_cluster

    headrace.init(backend="ray", ignore_reinit_error=True)
    asked = asked_of_cluster(headrace.DataContext.get_current())
    try:
        return nodes_of(dataset().map_batches(note_node)), headrace._core.capacity(asked).cpu
    finally:
        headrace.shutdown()


def inside(group: Any) -> Any:
    return PlacementGroupSchedulingStrategy(
        group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
    )


def test_a_job_inside_a_placement_group_uses_only_it(group: tuple[Any, set[str]]) -> None:
    reference = run_inside.options(scheduling_strategy=inside(group[0])).remote()
    nodes, cpus = ray.get(reference, timeout=120)
    assert nodes <= group[1]
    assert cpus == 1  # The driver itself has the other.


def test_a_placement_group_without_room_is_refused() -> None:
    small = placement_group([{"CPU": 1}])
    ray.get(small.ready(), timeout=60)
    try:
        with pytest.raises(Exception, match="not enough CPU"):
            ray.get(run_inside.options(scheduling_strategy=inside(small)).remote(), timeout=120)
    finally:
        remove_placement_group(small)


# ---- Growth ------------------------------------------------------------------------------------


@pytest.fixture
def grow() -> Iterator[Callable[..., None]]:
    nodes = []

    def add(**options: Any) -> None:
        nodes.append(ray_cluster.add_node(**options))

    yield add
    for node in nodes:
        ray_cluster.cluster().remove_node(node)


def in_background(work: Callable[[], set[str]]) -> concurrent.futures.Future[set[str]]:
    """Nodes can be added by the main thread alone, so the run is another one's."""
    result: concurrent.futures.Future[set[str]] = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def test_a_run_uses_a_node_that_comes_in_mid_run(
    grow: Callable[..., None], tmp_path: pathlib.Path, settings: Any
) -> None:
    settings.target_max_block_size = 1 << 20  # So that credit does not hold first tasks back.
    old = {node["NodeID"] for node in places.live_nodes()}

    def wait_for_new_node(batch: dict[str, Any]) -> dict[str, Any]:
        """Keeps its cpu until a task runs on a node that was not there at first."""
        node = ray.get_runtime_context().get_node_id()
        (tmp_path / f"task-{os.urandom(8).hex()}").touch()
        if node not in old:
            (tmp_path / "new").touch()
        while not (tmp_path / "new").exists():
            time.sleep(0.02)
        return {**batch, "node": [node] * len(batch["id"])}

    nodes = in_background(lambda: nodes_of(dataset().map_batches(wait_for_new_node)))
    while len(list(tmp_path.glob("task-*"))) < ray_cluster.NODES:
        assert not nodes.done(), nodes.result()
        time.sleep(0.02)
    grow()
    assert len(nodes.result() - old) == 1


def test_the_autoscaler_is_asked_for_what_is_missing(
    grow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No node has what the operator asks for, but one of a kind that can be started has."""
    requests: list[list[dict[str, float]]] = []
    asked, withdrawn = threading.Event(), threading.Event()

    def request(bundles: list[dict[str, float]]) -> None:
        requests.append(bundles)
        (asked if bundles else withdrawn).set()

    monkeypatch.setattr(watch, "request_resources", request)
    monkeypatch.setattr(places, "most_by_autoscaler", lambda: {"CPU": 8, "late": 1})
    ds = headrace.range(ROWS, override_num_blocks=1).map_batches(note_node, resources={"late": 1})
    nodes = in_background(lambda: nodes_of(ds))
    assert asked.wait(60)
    grow(resources={"late": 1})
    assert len(nodes.result()) == 1
    # One task waited, and each of the nodes is to stay.
    assert [bundle for bundle in requests[0] if "late" in bundle] == [{"CPU": 1, "late": 1}]
    assert len(requests[0]) >= ray_cluster.NODES + 1
    assert withdrawn.wait(60)
