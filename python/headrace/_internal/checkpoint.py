"""The checkpoint of a write: which pieces of it are written, so that it can go on after a crash.

A piece is what comes of one task of a source, or of one block in memory; it is named by its
position, which is the same in every run of the plan. A checkpoint is a directory:

    manifest  what the write is: its source files, functions and options; then a record for each
              piece that is written, and for each stage, appended when its files are whole
    lock      held by the process that writes
    run-*     stands as long as the temporary files of the write, which name it, are of use
    stage-*/  the files of a stage; see stages.py

The files stay in temporary directories beside the final ones until all pieces are written. Dead
letters are files like the others, of the piece whose rows they are or of a stage.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pathlib
import posixpath
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal import paths as _paths
from headrace._internal.fingerprint import fingerprint, table_fingerprint
from headrace._internal.plan_building import make_options
from headrace._internal.run import Resume
from headrace._internal.stages import StageFile, Stages, stage_path
from headrace._internal.write_directory import WRITTEN_SCHEMA, WrittenFile, as_table, temporary_path

if TYPE_CHECKING:
    from headrace._internal.dead_letters import DeadLetters
    from headrace.context import DataContext

logger = logging.getLogger(__name__)

_Position = tuple[int, ...]
_Part = tuple[str, str, str]  # Kind, name, digest.
# Puts a write over a plan, given the first part of its file names and the name of its temporary
# directory.
_Write = Callable[[_core.Plan, str, str], _core.Plan]
# In a temporary directory: who may remove it; see data/consume/commit.h.
_OWNER_NAME = "/checkpoint"
_SHOWN_CHANGES = 5
_NOT_COMPARED = "cannot be compared"
_SECONDS_BETWEEN_SYNCS = 0.1

_held: set[str] = set()
_held_lock = threading.Lock()


class Checkpoint:
    """The checkpoint of one write, held within a `with` block.

    Args:
        path: a directory of the local file system; made if it is missing.
        directory: where the write puts its files.
        filesystem: a `pyarrow.fs` file system, of `directory`.
        settings: what is written and how, as strings by name.
        letters: where dead letters go: they are a part of what is written.

    Attributes:
        started: a run has begun before.
        done: a run has ended well before.

    Raises:
        RuntimeError: another process writes with it.
        ValueError: its manifest is damaged, or of another version; or dead letters go to another
            file system than the rest.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        directory: str,
        filesystem: Any,
        settings: dict[str, str],
        letters: Sequence[DeadLetters] = (),
    ) -> None:

        for target in letters:
            if not (_paths.is_local(filesystem) and _paths.is_local(target.filesystem)):
                raise ValueError(
                    "with a checkpoint, dead letters must go to the local file system, and the "
                    f"rest as well: {target.path}, {directory}"
                )

        if "://" in os.fspath(path):
            raise ValueError(f"checkpoint must be a local directory, not {os.fspath(path)!r}")
        self.path = os.path.realpath(os.fspath(path))
        if _paths.is_local(filesystem):
            output = os.path.realpath(directory)
            if self.path == output or self.path.startswith(output + os.sep):
                raise ValueError(f"checkpoint must not be in the output directory: {self.path}")
        self._directory = directory
        self._filesystem = filesystem
        self._core_filesystem = _paths.for_core(filesystem)
        self._settings = settings
        self._letters = letters
        self._lock: IO[str] | None = None
        self._log: _core.RecordLog | None = None
        self._parts: list[_Part] = []
        self._attempts: list[str] = []
        self._pieces: dict[_Position, list[WrittenFile]] = {}
        self._rest: list[WrittenFile] = []
        self._stages: dict[str, list[StageFile]] = {}
        self._stage_letters: dict[str, list[WrittenFile]] = {}
        self._waiting: dict[_Position, list[WrittenFile]] = {}
        self._letter_paths: set[str] = set()
        self._committing = False
        self._unsynced = False
        self._synced = 0.0
        self.run_id = uuid.uuid4().hex
        self.seed = 0
        self.done = False

    @property
    def started(self) -> bool:
        return self._log is not None

    def __enter__(self) -> Checkpoint:
        os.makedirs(self.path, exist_ok=True)
        names = os.listdir(self.path)
        if names and "lock" not in names:
            raise ValueError(f"{self.path} is no checkpoint, and not empty: it has {names[0]!r}")
        with _held_lock:
            if self.path in _held:
                raise RuntimeError(f"the checkpoint {self.path} is in use by this process")
            _held.add(self.path)
        try:
            self._lock = open(os.path.join(self.path, "lock"), "a")
            try:
                # A lock of the process, which its children do not inherit.
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RuntimeError(
                    f"the checkpoint {self.path} is in use by another process"
                ) from error
            self._read()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log = None
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
        with _held_lock:
            _held.discard(self.path)

    # ---- The manifest

    @property
    def _manifest(self) -> str:
        return os.path.join(self.path, "manifest")

    @property
    def _mark(self) -> str:
        """A file that stands as long as the run's temporary files are of use."""
        return os.path.join(self.path, f"run-{self.run_id}")

    def _read(self) -> None:
        if not os.path.exists(self._manifest):
            return
        self._log, records = _core.RecordLog.open(self._manifest)
        for kind, *fields in records:
            if kind == "write":
                self.run_id, self.seed = fields[0], int(fields[1])
            elif kind == "part":
                self._parts.append((fields[0], fields[1], fields[2]))
            elif kind == "attempt":
                self._attempts.append(fields[0])
            elif kind == "stage":
                sizes = map(int, fields[2::2])
                self._stages[fields[0]] = list(zip(fields[1::2], sizes, strict=True))
            elif kind == "stage letters":
                self._stage_letters[fields[0]] = self._parse_files(fields[1:])
            elif kind == "lost stages":
                self._forget_stages(fields)
            elif kind == "piece":
                self._pieces[_parse(fields[0])] = self._parse_files(fields[1:])
            elif kind == "committing":
                self._rest = self._parse_files(fields)
                self._committing = True
            elif kind == "done":
                self.done = True
            else:
                raise ValueError(f"'{self._manifest}' has a record of unknown kind '{kind}'")

    def _append(self, records: list[list[str]]) -> None:
        assert self._log is not None
        self._log.append(records)
        self._log.sync()
        self._synced = time.monotonic()

    def _file_fields(self, files: Iterable[WrittenFile]) -> list[str]:
        base = self._directory.rstrip("/") + "/"
        fields = []
        for path, temporary, rows, size in files:
            fields += [path.removeprefix(base), temporary.removeprefix(base), str(rows), str(size)]
        return fields

    def _parse_files(self, fields: list[str]) -> list[WrittenFile]:
        return [
            (
                posixpath.join(self._directory, fields[i]),
                posixpath.join(self._directory, fields[i + 1]),
                int(fields[i + 2]),
                int(fields[i + 3]),
            )
            for i in range(0, len(fields), 4)
        ]

    # ---- Beginning

    def begin(self, plan: _core.Plan, write: _Write, context: DataContext) -> None:
        """Begins a write of `plan`, or goes on with it: then `done` may be set.

        Raises:
            ValueError: the write differs from the one that was begun; says in what.
        """
        finished = self.started and not self.done and self._finish_commits()
        options = make_options(context)
        parts = [("setting", name, value) for name, value in sorted(self._settings.items())]
        # Names of runs and of temporary directories do not count.
        parts += [
            ("operator", name, hashlib.blake2b(data, digest_size=16).hexdigest())
            for name, data in write(plan, "", "").describe_outputs(options)
        ]
        parts += _describe_inputs(plan)
        before, now = self._parts, parts
        if finished:
            before, now = _without_files_below(self._directory, before, now)
        if self._log is None:
            self.seed = options.seed
            pathlib.Path(self._mark).touch()
            self._log = _core.RecordLog.create(
                self._manifest,
                [["write", self.run_id, str(self.seed)]]
                + [["part", kind, name, digest] for kind, name, digest in parts],
            )
        elif changes := _compare(before, now):
            more = f", and {len(changes) - _SHOWN_CHANGES} more" * (len(changes) > _SHOWN_CHANGES)
            raise ValueError(
                f"the checkpoint {self.path} is of another write: "
                f"{'; '.join(changes[:_SHOWN_CHANGES])}{more}. Use another directory, or remove "
                "this one to begin anew."
            )
        if not self.done:
            self._recover()

    def go_on(
        self, plan: _core.Plan, write: _Write, context: DataContext
    ) -> tuple[_core.Plan, Resume]:
        """Returns the plan to run, and what to leave out; runs what must be done before it.

        Raises ValueError if the plan cannot be resumed.
        """
        self._attempts.append(f"checkpoint-{self.run_id}-{len(self._attempts)}")
        self._append([["attempt", self.attempt]])
        for temporary in self._temporary_directories(self.attempt):
            self._filesystem.create_dir(temporary, recursive=True)
            with self._filesystem.open_output_stream(temporary + _OWNER_NAME) as file:
                file.write(_owner_lines(self._mark).encode())
        self._letter_paths = {file[0] for written in self._kept() for file in written}
        stages = self._stage_files()
        plan = write(stages.replace(plan, context), self.run_id, self.attempt)
        names = {tuple(piece) for piece in plan.plan_pieces(make_options(context))}
        self._names = names - self._pieces.keys()
        self._depths = sorted({len(piece) for piece in names})
        return plan, Resume(list(self._pieces), self.seed)

    def _stage_files(self) -> Stages:
        def record(name: str, files: list[StageFile], letters: list[WrittenFile]) -> None:
            letters = [self._with_own_path(letter) for letter in letters]
            self._stage_letters[name] = letters
            sizes = [text for file, size in files for text in (file, str(size))]
            self._append(
                [
                    ["stage letters", name, *self._file_fields(letters)],
                    ["stage", name, *sizes],
                ]
            )

        return Stages(self.path, self._stages, self.seed, self._attempts, record)

    def _finish_commits(self) -> bool:
        """Ends the commit that a run before began, if one did."""
        finished = [
            _core.finish_commit(self._core_filesystem, self._directory, attempt)
            for attempt in self._attempts
        ]
        if any(finished) or self._is_committed():
            self._finish()
        return self.done

    def _is_committed(self) -> bool:
        """True if all files have their names: then only the record of it is missing."""
        files = [file for written in self._kept() for file in written]
        if not self._committing or not files:
            return False
        states = self._states(files)
        return all(states.get(path) == size for path, _, _, size in files)

    def _kept(self) -> list[list[WrittenFile]]:
        """All files that are to be committed."""
        return [*self._pieces.values(), *self._stage_letters.values(), self._rest]

    def _recover(self) -> None:
        """Takes stock of what the runs before have left."""
        self._rest = []
        states = self._states(file for written in self._kept() for file in written)

        def stand(written: list[WrittenFile]) -> bool:
            return all(size in (states.get(p), states.get(t)) for p, t, _, size in written)

        self._pieces = {name: files for name, files in self._pieces.items() if stand(files)}
        if lost := self._lost_stages(stand):
            self._forget_stages(lost)
            self._append([["lost stages", *lost]])
        recorded = {file[1] for written in self._kept() for file in written}
        marks = [f"{temporary_path(self._directory, attempt)}/" for attempt in self._attempts]
        for path in states:
            temporary = any(path.startswith(mark) for mark in marks)
            if temporary and path not in recorded and not path.endswith(_OWNER_NAME):
                self._filesystem.delete_file(path)

    def _lost_stages(self, stand: Callable[[list[WrittenFile]], bool]) -> list[str]:
        """Returns stages whose files, or letters, are not as they were written. Those before a
        stage that is complete need no files any more, but letters."""
        complete: list[str] = []
        lost: list[str] = []
        for name in sorted(self._stages, key=len):  # The later ones first.
            if any(name.startswith(f"{later}.") for later in complete):
                continue
            letters = [
                letter
                for stage, written in self._stage_letters.items()
                if f"{stage}.".startswith(f"{name}.")
                for letter in written
            ]
            folder = stage_path(self.path, name)
            whole = all(_size(f"{folder}/{file}") == size for file, size in self._stages[name])
            (complete if whole and stand(letters) else lost).append(name)
        return lost

    def _forget_stages(self, names: list[str]) -> None:
        """They are done again. So are all pieces: a stage may come out in other blocks."""
        for name in names:
            del self._stages[name]
            self._stage_letters.pop(name, None)
        self._pieces = {}

    def _states(self, files: Iterable[WrittenFile]) -> dict[str, int]:
        """The sizes of all files below the directory, and of these, by path."""
        from pyarrow import fs

        selector = fs.FileSelector(self._directory, recursive=True, allow_not_found=True)
        base = self._directory.rstrip("/") + "/"
        more = [path for file in files for path in file[:2] if not path.startswith(base)]
        infos = self._filesystem.get_file_info(selector) + self._filesystem.get_file_info(more)
        return {info.path: info.size for info in infos if info.type == fs.FileType.File}

    @property
    def attempt(self) -> str:
        """The name of this run, behind ".headrace-" in those of its temporary directories."""
        return self._attempts[-1]

    def _temporary_directories(self, attempt: str) -> list[str]:
        """Of the files, and of the dead letters."""
        places = dict.fromkeys([self._directory, *(target.path for target in self._letters)])
        return [temporary_path(place, attempt) for place in places]

    # ---- Going on

    def add(self, position: _Position, table: pa.Table) -> None:
        """Takes the results of one write task."""
        columns = [table.column(name).to_pylist() for name in WRITTEN_SCHEMA.names]
        files = list(zip(*columns, strict=True))
        for depth in self._depths:
            if position[:depth] in self._names:
                self._waiting.setdefault(position[:depth], []).extend(files)
                return
        raise RuntimeError(f"results at {position} are of no piece that is to be done")

    def add_letters(self, piece: _Position, file: WrittenFile) -> None:
        """Takes dead letters of one piece."""
        self._waiting.setdefault(piece, []).append(self._with_own_path(file))

    def _with_own_path(self, letter: WrittenFile) -> WrittenFile:
        """Tasks of two branches, stages or runs may have equal positions, and so do their letters:
        returns one with a path that no other has."""
        first, temporary, rows, size = letter
        path, number = first, 0
        while path in self._letter_paths:
            number += 1
            path = f"{first.removesuffix('.parquet')}_{number}.parquet"
        self._letter_paths.add(path)
        return path, temporary, rows, size

    def end(self, pieces: Iterable[_Position]) -> None:
        """Records pieces all of whose results were added. On return that outlives this process;
        it is on the disk a little later, so that a disk that is slow does not hold up the next."""
        records = []
        for piece in pieces:
            files = self._waiting.pop(piece, [])
            self._pieces[piece] = files
            records.append(["piece", ".".join(map(str, piece)), *self._file_fields(files)])
        if records:
            assert self._log is not None
            self._log.append(records)
            self._unsynced = True
        if self._unsynced and time.monotonic() - self._synced >= _SECONDS_BETWEEN_SYNCS:
            self._append([])
            self._unsynced = False

    def commit(self, mode: str) -> None:
        """Gives all files their names. The rest, of pieces that lost rows to errors which were
        allowed, belongs to it too."""
        self._rest = [file for files in self._waiting.values() for file in files]
        self._append([["committing", *self._file_fields(self._rest)]])
        results = as_table(file for files in self._kept() for file in files)
        _core.commit_write(
            self._core_filesystem, self._directory, self._attempts[-1], results, mode
        )
        self._finish()

    def _finish(self) -> None:
        from pyarrow import fs

        for attempt in self._attempts:
            for path in self._temporary_directories(attempt):
                if self._filesystem.get_file_info(path).type != fs.FileType.NotFound:
                    self._filesystem.delete_dir(path)
        self._append([["done"]])
        self.done = True
        self._stage_files().remove()


def _owner_lines(mark: str) -> str:
    """What says that files are of use as long as `mark` stands; see data/consume/commit.h."""
    lines = [_core.owner_tag().rsplit("-", 2)[0], mark]
    for folder in pathlib.Path(mark).parents:
        state = folder.stat()
        lines.append(f"{state.st_dev}:{state.st_ino}")
    return "\n".join(lines) + "\n"


def _parse(position: str) -> _Position:
    return tuple(int(part) for part in position.split("."))


def _describe_inputs(plan: _core.Plan) -> Iterator[_Part]:
    """Yields what the plan reads and calls, and a digest of each: of inputs first."""
    nodes, waiting = [], [plan]  # Plans may be deeper than Python's stack.
    while waiting:
        nodes.append(waiting.pop())
        waiting.extend(nodes[-1].inputs)
    for node in reversed(nodes):
        source = node.source()
        if source is not None:
            for path, size, changed in source.file_states():
                yield "file", path, f"{size} bytes, changed at {changed}"
        for number, block in enumerate(node.blocks() or ()):
            yield "block in memory", str(number), table_fingerprint(block.get())
        for name, payload in node.payloads:
            yield "function", name, _pickle_fingerprint(payload)
            if node.on_error:
                yield "on_error of", name, _pickle_fingerprint(node.on_error)


def _pickle_fingerprint(pickled: bytes) -> str:
    import cloudpickle

    try:
        # What two copies differ in is of no value, such as a number of this process.
        one, other = (fingerprint(cloudpickle.loads(pickled)) for _ in range(2))
    except RecursionError:  # Nested too deep.
        return _NOT_COMPARED
    return one if one == other else _NOT_COMPARED


def _without_files_below(directory: str, *lists: list[_Part]) -> list[list[_Part]]:
    """Leaves out of parts what a write to the directory has changed if it read from there too: its
    files, and operators, which tell of the files that they read."""
    base = directory.rstrip("/") + "/"

    def is_below(part: _Part) -> bool:
        return part[0] == "file" and part[1].startswith(base)

    before, now = ([part for part in parts if is_below(part)] for parts in lists)
    return [
        [part for part in parts if not is_below(part) and (before == now or part[0] != "operator")]
        for parts in lists
    ]


def _size(path: str) -> int | None:
    """Returns a file's size; None if there is none."""
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return None


def _compare(before: list[_Part], now: list[_Part]) -> list[str]:
    """Says what differs, what the user knows first."""
    changes = []
    old, new = _by_name(before), _by_name(now)
    for key in dict.fromkeys([*old, *new]):
        kind, name = key
        if key not in new:
            changes.append((kind, f"{kind} '{name}' is not there any more"))
        elif key not in old:
            changes.append((kind, f"{kind} '{name}' is new"))
        elif old[key] != new[key]:
            told = (
                f" (it was {old[key][0]}, is {new[key][0]})" if kind in ("file", "setting") else ""
            )
            changes.append((kind, f"{kind} '{name}' has changed{told}"))
    # Of another set of files follows another reading.
    changes.sort(key=lambda change: change[0] == "operator")
    return [text for _, text in changes]


def _by_name(parts: list[_Part]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for kind, name, digest in parts:
        grouped.setdefault((kind, name), []).append(digest)
    return grouped
