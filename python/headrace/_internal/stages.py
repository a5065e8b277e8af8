"""What a checkpoint keeps of operators that need all of their input.

Such an operator (sort, shuffle, aggregate, join, limit, ...) cannot be done piece by piece. So a
write with a checkpoint runs the plan up to it, and keeps its output in the checkpoint's directory:
a stage. The plan goes on from those files, a piece for each, until the next such operator. A run
that is stopped goes on from the last stage that is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from headrace import _core
from headrace._internal.run import Resume, Run
from headrace._internal.write_directory import WrittenFile

if TYPE_CHECKING:
    from headrace.context import DataContext

_NEEDS_ALL = frozenset(
    {
        "aggregate",
        "join",
        "limit",
        "mix",
        "random_shuffle",
        "randomize_blocks",
        "repartition",
        "sort",
        "zip",
    }
)
# A file goes on in another one when it has so much; else each is a block.
_FILE_BYTES = 128 << 20

StageFile = tuple[str, int]  # Name, bytes.


def stage_path(checkpoint: str, name: str) -> str:
    """Returns the directory of a stage."""
    return os.path.join(checkpoint, f"stage-{name}")


class _Node(NamedTuple):
    """An operator of a plan.

    Attributes:
        name: the way to it: the numbers of inputs of stages, and where several inputs meet. It is
            part of a path, so it does not grow with each operator.
        whole_blocks: whether what takes its output needs the blocks as they are.
        num_inputs: 0 if its stage is complete.
    """

    plan: _core.Plan
    name: str
    whole_blocks: bool
    ends_stage: bool
    num_inputs: int


class Stages:
    """The stages of one checkpoint.

    Args:
        path: the checkpoint's directory.
        done: the files of the stages that are complete, in order, by the stage's name.
        seed: of the random numbers that each run draws anew.
        attempts: names of the runs, the last one of this.
        record: makes it durable that a stage is complete, with its dead letters.
    """

    def __init__(
        self,
        path: str,
        done: dict[str, list[StageFile]],
        seed: int,
        attempts: list[str],
        record: Callable[[str, list[StageFile], list[WrittenFile]], None],
    ) -> None:
        self._path = path
        self._done = done
        self._seed = seed
        self._attempts = attempts
        self._record = record

    def replace(self, plan: _core.Plan, context: DataContext) -> _core.Plan:
        """Returns `plan` over the files of its last stages; runs those that are not complete.

        Raises ValueError for a plan that leaves groups together to the end.
        """
        if _ends_in_groups(plan):
            raise ValueError("a plan that ends with whole groups in blocks cannot be resumed")
        nodes = self._nodes(plan)
        made: list[_core.Plan] = []
        while nodes:
            node = nodes.pop()
            first = len(made) - node.num_inputs
            made[first:], inputs = [], made[first:]
            below = node.plan.with_inputs(inputs) if inputs else node.plan
            if node.ends_stage:
                if node.name not in self._done:
                    self._write(node.name, below, context)
                below = self._read(node.name, node.plan.name, node.whole_blocks)
            made.append(below)
        return made.pop()

    def remove(self, below: str = "") -> None:
        """Removes the files of stages, those before the stage `below` or all."""
        for name in os.listdir(self._path):
            stage = name.removeprefix("stage-")
            if stage != name and (not below or stage.startswith(below + ".")):
                shutil.rmtree(os.path.join(self._path, name))

    def _nodes(self, plan: _core.Plan) -> list[_Node]:
        """Returns what the plan consists of down to stages that are complete: from the last on,
        inputs come first, in order. (Plans may be deeper than Python's stack.)"""
        nodes = []
        waiting = [(plan, "1", False)]
        while waiting:
            below, name, whole_blocks = waiting.pop()
            takes_groups = below.kind == "map" and _ends_in_groups(below.inputs[0])
            ends_stage = takes_groups or below.kind in _NEEDS_ALL
            inputs = [] if ends_stage and name in self._done else below.inputs
            nodes.append(_Node(below, name, whole_blocks, ends_stage, len(inputs)))
            parts = ends_stage or len(inputs) > 1
            waiting += [
                (node, f"{name}.{number}" if parts else name, below.takes_whole_blocks)
                for number, node in enumerate(inputs)
            ]
        return nodes

    def _write(self, name: str, plan: _core.Plan, context: DataContext) -> None:
        directory = stage_path(self._path, name)
        shutil.rmtree(directory, ignore_errors=True)
        target = _core.WriteTarget(
            format="arrow",
            name="Checkpoint",
            directory=directory,
            run_id="block",
            temporary="stage",
            options={"max_bytes_per_file": _FILE_BYTES},
        )
        with Run(
            plan.write(target),
            context,
            resume=Resume(None, self._seed),
            keeps_letters=True,
            name=self._attempts[-1],
        ) as run:
            found = [(block.position, block.get()) for block in run.blocks()]
            letters = [file for _, file in run.take_letters()]
        found.sort(key=lambda item: item[0])
        files: list[StageFile] = []
        if found:
            results = pa.concat_tables([table for _, table in found])
            _core.commit_write(None, directory, "stage", results, "append")
            names = map(os.path.basename, results.column("path").to_pylist())
            files = list(zip(names, results.column("num_bytes").to_pylist(), strict=True))
        self._record(name, files, letters)
        self._done[name] = files
        self.remove(below=name)

    def _read(self, name: str, shown: str, whole_blocks: bool) -> _core.Plan:
        """`shown`: the name of the operator that made it."""
        files = self._done[name]
        if whole_blocks and any(size >= _FILE_BYTES for _, size in files):
            raise ValueError(
                f"'{shown}' makes blocks of more than 128 MiB for a function that takes whole "
                "blocks: such a plan cannot be resumed. Ask for smaller blocks, or give the "
                "function a batch_size"
            )
        if not files:
            return _core.Plan.input_data([])
        folder = stage_path(self._path, name)
        source = _core.file_source("arrow", [os.path.join(folder, file) for file, _ in files])
        return _core.Plan.read(source, parallelism=source.num_units)


def _ends_in_groups(plan: _core.Plan) -> bool:
    """True if the plan yields blocks of whole groups, which the next map needs as they are."""
    while plan.kind in ("filter", "project"):
        plan = plan.inputs[0]
    return plan.kind == "group"
