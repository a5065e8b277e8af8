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
from typing import TYPE_CHECKING

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
        return self._replace(plan, "0", False, context)

    def remove(self, below: str = "") -> None:
        """Removes the files of stages, those before the stage `below` or all."""
        for name in os.listdir(self._path):
            stage = name.removeprefix("stage-")
            if stage != name and (not below or stage.startswith(below + ".")):
                shutil.rmtree(os.path.join(self._path, name))

    def _replace(
        self, plan: _core.Plan, name: str, whole_blocks: bool, context: DataContext
    ) -> _core.Plan:
        """`name` is the way to this node: the numbers of inputs."""
        takes_groups = plan.kind == "map" and _ends_in_groups(plan.inputs[0])
        ends_stage = takes_groups or plan.kind in _NEEDS_ALL
        if ends_stage and name in self._done:
            return self._read(name, plan.name, whole_blocks)
        inputs = [
            self._replace(below, f"{name}.{number}", plan.takes_whole_blocks, context)
            for number, below in enumerate(plan.inputs)
        ]
        plan = plan.with_inputs(inputs) if inputs else plan
        if not ends_stage:
            return plan
        self._write(name, plan, context)
        return self._read(name, plan.name, whole_blocks)

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
    if plan.kind == "group":
        return True
    return plan.kind in ("filter", "project") and _ends_in_groups(plan.inputs[0])
