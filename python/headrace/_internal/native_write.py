"""A write of files by the engine's own writers, with or without a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.dead_letters import RunLetters
from headrace._internal.run import Run
from headrace._internal.savemode import SaveMode
from headrace._internal.write_directory import WriteDirectory

if TYPE_CHECKING:
    from headrace._internal.checkpoint import Checkpoint
    from headrace._internal.id_checkpoint import IdNotes
    from headrace.context import DataContext

logger = logging.getLogger(__name__)


def refuse_checkpoint(checkpoint: str | None) -> None:
    """Raises ValueError if a checkpoint is asked of a writer in Python."""
    if checkpoint is not None:
        raise ValueError(
            "checkpoint is not supported with a filename_provider, arrow_open_stream_args, or "
            "options that only Python's writers know"
        )


@dataclasses.dataclass
class NativeWrite:
    """What to write where; arguments as in `dataset_write.py`."""

    format: str
    name: str
    path: str
    filesystem: Any
    options: dict[str, Any]
    min_rows_per_file: int | None
    mode: SaveMode
    try_create_dir: bool

    def __post_init__(self) -> None:
        self._directory = WriteDirectory(self.path, self.filesystem)
        if self.min_rows_per_file is not None:
            self.options = {**self.options, "min_rows_per_file": self.min_rows_per_file}

    def run(
        self,
        plan: _core.Plan,
        placement: _core.Placement,
        context: DataContext,
        title: str,
        on_stats: Callable[..., None],
        notes: IdNotes | None = None,
    ) -> None:
        """Runs `plan` and writes what it yields, all or nothing; with the ids that it notes."""
        directory = self._directory
        if not directory.prepare(self.mode, self.try_create_dir):
            return
        run_id = directory.temporary.partition("-")[0]
        plan = self._over(plan, placement, run_id, directory.temporary)
        run = Run(plan, context, title, on_stats, keeps_letters=True)
        try:
            with run:
                tables = [block.get() for block in run.blocks()]
            # In one list with the files, so that both stand or neither.
            letters = run.letters.take_for(directory.filesystem)
            if notes is not None:
                files = [path for table in tables for path in table["path"].to_pylist()]
                tables.append(notes.take_for(files))
            directory.commit(pa.concat_tables([*tables, letters]), self.mode)
        except BaseException:
            directory.abort()
            run.letters.remove()
            raise
        if notes is not None:
            notes.commit()
        run.letters.commit()
        if notes is not None:
            notes.end()

    @property
    def directory(self) -> WriteDirectory:
        """Where the files go."""
        return self._directory

    def resume(
        self,
        path: str,
        plan: _core.Plan,
        placement: _core.Placement,
        context: DataContext,
        title: str,
        on_stats: Callable[..., None],
    ) -> None:
        """Begins a write with the checkpoint at `path`, or goes on with the one that was begun."""
        from headrace._internal.checkpoint import Checkpoint

        settings = {
            "path": self._directory.path,
            "mode": self.mode.value,
            "options": json.dumps(self.options, sort_keys=True),
        }
        where = self._directory
        letters = RunLetters(plan).targets
        with Checkpoint(path, where.path, where.filesystem, settings, letters) as checkpoint:
            if not checkpoint.started and not where.prepare(self.mode, self.try_create_dir):
                return

            def write(over: _core.Plan, run_id: str, temporary: str) -> _core.Plan:
                return self._over(over, placement, run_id, temporary)

            checkpoint.begin(plan, write, context)
            if checkpoint.done:
                logger.warning(
                    "Nothing to write: by the checkpoint %s, all of %s is written.",
                    checkpoint.path,
                    where.path,
                )
                return
            left, resume = checkpoint.go_on(plan, write, context)
            name = checkpoint.attempt
            with Run(left, context, title, on_stats, resume, True, name) as run:
                self._collect(run, checkpoint)
            checkpoint.commit(self.mode.value)

    @staticmethod
    def _collect(run: Run, checkpoint: Checkpoint) -> None:
        # One record on the disk for all that has ended meanwhile.
        for wave in run.waves():
            for block in wave:
                checkpoint.add(block.position, block.get())
            ended = run.take_ended_pieces()
            for piece, file in run.take_letters():
                checkpoint.add_letters(piece, file)
            checkpoint.end(ended)

    def _over(
        self, plan: _core.Plan, placement: _core.Placement, run_id: str, temporary: str
    ) -> _core.Plan:
        target = _core.WriteTarget(
            format=self.format,
            name=self.name,
            directory=self._directory.path,
            run_id=run_id,
            temporary=temporary,
            filesystem=self._directory.core_filesystem,
            options=self.options,
        )
        return plan.write(target, placement, self.min_rows_per_file or 0)
