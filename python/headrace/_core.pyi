"""The C++ engine as the Python package sees it. Private: import nothing from here in user code.

Arrow objects cross without a copy. Errors raise what users expect: `FileNotFoundError`,
`ValueError`, `KeyError`, or the user's own exception. Long calls release the GIL and answer Ctrl-C.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

__version__: str

OptionValue = None | bool | int | float | str | list[str]

class Expr:
    """An expression over the columns of a block; immutable."""

    @staticmethod
    def column(name: str) -> Expr: ...
    @staticmethod
    def literal(value: pa.Scalar) -> Expr: ...
    @staticmethod
    def call(
        function: str, arguments: Sequence[Expr], options_type: str = "", options: bytes = b""
    ) -> Expr: ...
    @staticmethod
    def cast(input: Expr, type: pa.DataType, safe: bool = True) -> Expr: ...
    @staticmethod
    def is_in(input: Expr, values: pa.Array) -> Expr: ...
    @staticmethod
    def case(branches: Sequence[tuple[Expr, Expr]], otherwise: Expr | None) -> Expr: ...
    def equals(self, other: Expr) -> bool: ...
    def columns(self) -> list[str]: ...
    def evaluate(self, table: pa.Table) -> pa.ChunkedArray: ...
    def __str__(self) -> str: ...

class Function:
    """A Python function of the user as the plan knows it (FunctionSpec).

    `payload` is cloudpickle of, by kind:
    - "map_batches", "map_rows", "flat_map_rows", "filter_rows": a tuple
      `(fn, fn_args, fn_kwargs, constructor_args, constructor_kwargs)`; `fn` is the user's class if
      `is_class`. Each call is `fn(batch_or_row, *fn_args, **fn_kwargs)`.
    - "read": a callable `read(unit_payload: bytes) -> Iterator[pa.Table]`.
    - "write": a callable `write(tables: Iterator[pa.Table], position: tuple[int, ...] | None) ->
      object`, called once a task; the position of the task's input where it is known. The result
      block is `{result: binary}`, the pickled return value.

    The package converts by `headrace._internal.convert`: `table_to_batch(table, batch_format,
    zero_copy_batch)`, `batch_to_table(batch)` (dict of columns, DataFrame, pa.Table, RecordBatch)
    and `rows_to_table(rows)` (dicts; other items become the column "item").
    """

    def __init__(
        self,
        *,
        kind: str,  # "map_batches", "map_rows", "flat_map_rows", "filter_rows", "read", "write"
        name: str,
        payload: bytes,  # what `runtime.resolve` in the worker gets to unpickle
        is_class: bool = False,
        batch_rows: int = 0,
        batch_format: str = "numpy",
        zero_copy_batch: bool = True,
        on_error: bytes = b"",  # pickled: see _internal/dead_letters.py
        drops_rows: bool = False,  # by `on_error`: the planner must not count on its rows
    ) -> None: ...
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def batch_rows(self) -> int: ...
    @property
    def batch_format(self) -> str: ...
    @property
    def zero_copy_batch(self) -> bool: ...
    @property
    def on_error(self) -> bytes: ...
    @property
    def is_class(self) -> bool: ...

class Resources:
    """Amounts: cpus, gpus (fractions allowed), heap bytes, named resources."""

    def __init__(
        self,
        cpu: float = 0,
        gpu: float = 0,
        memory: int = 0,
        custom: dict[str, float] | None = None,
    ) -> None: ...
    cpu: float
    gpu: float
    memory: int
    custom: dict[str, float]

class Placement:
    """Where an operator's tasks run. Unset: one cpu a task; tasks, or one actor for a class."""

    def __init__(
        self,
        cost: Resources | None = None,
        max_tasks: int | None = None,
        actors: tuple[int, int, int] | None = None,  # (min, max, initial)
        max_tasks_in_flight: int = 2,
        where: bytes = b"",  # for the bridge to a cluster
    ) -> None: ...

class Source:
    """Something to read (ReadSource)."""

    @property
    def format(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def schema(self) -> pa.Schema | None: ...
    @property
    def paths(self) -> list[str]: ...
    def file_states(self) -> list[tuple[str, int, int]]:
        """(path, bytes, time of the last change in ns) of each file; -1: unknown."""
    @property
    def num_units(self) -> int: ...
    def shuffled(self, seed: int) -> Source:
        """The same source with its units in an order drawn from `seed` (shuffle="files")."""

def file_source(
    format: str,
    paths: Sequence[str],
    *,
    filesystem: pa.fs.FileSystem | None = None,
    options: dict[str, OptionValue] = ...,
    file_extensions: Sequence[str] | None = None,
    ignore_missing_paths: bool = False,
    include_paths: bool = False,
    partitioning_base: str | None = None,
    partition_schema: pa.Schema | None = None,
    schema: pa.Schema | None = None,
) -> Source:
    """Lists files now; a missing path raises FileNotFoundError. See data/read/source.h."""

def range_source(rows: int, tensor_shape: Sequence[int] = (), units: int = -1) -> Source:
    """`units`: pieces that can be read on their own; -1: enough for any parallelism."""

def python_source(
    name: str,
    function: Function,  # kind "read"
    units: Sequence[
        tuple[bytes, int, int, list[str]]
    ],  # per ReadTask: (pickled task, num_rows or -1, num_bytes or -1, input files)
    schema: pa.Schema | None = None,
) -> Source: ...

class BlockRef:
    """A counted reference to a block in the object store; the last one frees it."""

    def get(self) -> pa.Table: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...
    @property
    def schema(self) -> pa.Schema: ...
    @property
    def input_files(self) -> list[str]: ...
    @property
    def position(self) -> tuple[int, ...]: ...

def put(table: pa.Table) -> BlockRef: ...

class WriteTarget:
    def __init__(
        self,
        *,
        format: str,  # "parquet", "csv", "json", "numpy", "arrow", "python"
        name: str,
        directory: str = "",
        run_id: str = "",  # first part of the files' names
        temporary: str = "",  # last part of the name of the temporary directory
        filesystem: pa.fs.FileSystem | None = None,
        options: dict[str, OptionValue] = ...,
        function: Function | None = None,  # kind "write", for format "python"
    ) -> None: ...

class Plan:
    """A node of a logical plan; immutable."""

    @staticmethod
    def read(
        source: Source,
        *,
        columns: Sequence[str] | None = None,
        filter: Expr | None = None,
        parallelism: int = -1,
        placement: Placement | None = None,
    ) -> Plan: ...
    @staticmethod
    def input_data(blocks: Sequence[BlockRef], name: str = "InputData") -> Plan: ...
    @staticmethod
    def union(plans: Sequence[Plan]) -> Plan: ...
    @staticmethod
    def mix(plans: Sequence[Plan], weights: Sequence[float], stop_on_shortest: bool) -> Plan: ...
    def map(
        self, function: Function, placement: Placement | None = None, min_bundle_rows: int = -1
    ) -> Plan: ...
    def filter(self, predicate: Expr, placement: Placement | None = None) -> Plan: ...
    def project(
        self,
        *,
        keep_rest: bool,
        drop: Sequence[str] = (),
        rename: Sequence[tuple[str, str]] = (),
        exprs: Sequence[tuple[str, Expr]] = (),
        label: str = "Project",
        placement: Placement | None = None,
    ) -> Plan: ...
    def limit(self, rows: int) -> Plan: ...
    def repartition(
        self,
        *,
        blocks: int = -1,
        rows_per_block: int = -1,
        keys: Sequence[str] = (),
        shuffle: bool = False,
        seed: int = 0,
        sort: bool = False,
    ) -> Plan:
        """Of this and the other verbs: a seed of 0 is drawn anew by each run."""
    def random_shuffle(
        self, seed: int, blocks: int = -1, placement: Placement | None = None
    ) -> Plan: ...
    def randomize_blocks(self, seed: int) -> Plan: ...
    def sort(
        self,
        keys: Sequence[tuple[str, bool, bool]],  # (column, descending, nulls first)
        boundaries: Sequence[bytes] = (),  # as from `sort_boundaries`
    ) -> Plan: ...
    def aggregate(
        self,
        keys: Sequence[str],
        # (kind, column, name, ignore nulls, parameter); kinds: "count", "sum", "min", "max",
        # "mean", "std", "abs_max", "quantile", "unique", "list", "count_distinct",
        # "missing_share", "zero_share", "first"
        aggregates: Sequence[tuple[str, str, str, bool, float]],
        partitions: int = -1,
    ) -> Plan: ...
    def group(self, keys: Sequence[str], partitions: int = -1) -> Plan:
        """Blocks of whole groups, sorted by the keys."""
    def join(
        self,
        right: Plan,
        kind: str,  # "inner", "left_outer", ..., "right_anti"
        left_keys: Sequence[str],
        right_keys: Sequence[str],
        left_suffix: str = "",
        right_suffix: str = "",
        partitions: int = -1,
    ) -> Plan: ...
    @staticmethod
    def zip(plans: Sequence[Plan]) -> Plan: ...
    def write(
        self, target: WriteTarget, placement: Placement | None = None, min_bundle_rows: int = 0
    ) -> Plan: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str:
        """ "read", "input_data", "map", "filter", "project", "limit", "union", "mix", "write",
        "repartition", "random_shuffle", "randomize_blocks", "sort", "aggregate", "group", "join",
        "zip"."""
    @property
    def inputs(self) -> list[Plan]: ...
    def blocks(self) -> list[BlockRef] | None:
        """The blocks of an input_data plan, else None."""
    def source(self) -> Source | None:
        """The source of a read plan, else None."""
    def infer_schema(self) -> pa.Schema | None: ...
    def infer_row_count(self) -> int | None: ...
    def validate(self) -> None: ...
    def explain(self, options: ExecutionOptions) -> list[tuple[str, str]]:
        """(title, text) of the four stages: "Logical Plan", "Logical Plan (Optimized)",
        "Physical Plan", "Physical Plan (Optimized)"."""
    def with_inputs(self, inputs: Sequence[Plan]) -> Plan:
        """This node over others."""
    @property
    def takes_whole_blocks(self) -> bool:
        """True for a map whose function gets blocks as they are."""
    def describe_outputs(self, options: ExecutionOptions) -> list[tuple[str, bytes]]:
        """What shapes each operator's output, by its name; see control/plan/pieces.h."""
    def plan_pieces(self, options: ExecutionOptions) -> list[list[int]]:
        """The positions of the plan's pieces. ValueError if it has none."""
    @property
    def payloads(self) -> list[tuple[str, bytes]]:
        """The pickled functions of this node, and of its source's units, by name."""
    @property
    def on_error(self) -> bytes:
        """That of this node's function; b"" if there is none."""
    def execute(
        self, options: ExecutionOptions, done_pieces: Sequence[Sequence[int]] | None = None
    ) -> Execution:
        """Starts a run. With `done_pieces` it reports its pieces and leaves these out."""

class ExecutionOptions:
    """Every attribute has the default of control/plan/physical_plan.h."""

    def __init__(self) -> None: ...
    resource_limits: Resources | None
    exclude_resources: Resources
    object_store_bytes: int
    memory_limit_bytes: int
    reservation_ratio: float
    preserve_order: bool
    target_min_block_bytes: int
    target_max_block_bytes: int
    read_op_min_num_blocks: int
    max_errored_blocks: int
    max_task_attempts: int
    event_log_path: str
    seed: int  # of random numbers that each run draws anew
    run_name: str  # of temporary files that functions write
    cluster: bytes  # what the run asks of a cluster, for its bridge
    inline_mode: bool  # everything in the calling thread

class OperatorState:
    """As in control/schedule/scheduler.h, all attributes read-only."""

    def __getattr__(self, name: str) -> Any: ...

class Execution:
    """One run of a plan. Dropping it early stops the run and returns all memory."""

    def next(self, prefetch: int = 1) -> BlockRef | None:
        """Waits for the next block; None at the end. Raises what failed."""
    def poll(self, timeout_seconds: float, prefetch: int = 1) -> tuple[BlockRef | None, bool]:
        """(block or None, ended)."""
    def take_letters(self) -> list[tuple[list[int], bytes]]:
        """What Batches.note_errors was given by tasks that have ended well, since the last call:
        (the piece of the task, letter). All of the pieces that take_ended_pieces gave before."""
    def take_ended_pieces(self) -> list[list[int]]:
        """Positions of pieces that have ended since the last call, all of whose blocks were
        taken."""
    def stop(self) -> None: ...
    def snapshot(self) -> list[OperatorState]: ...
    def statistics(self) -> str: ...  # the text of Dataset.stats()
    @property
    def elapsed_seconds(self) -> float: ...
    @property
    def peak_charged_bytes(self) -> int: ...

class Batch:
    """What a worker-side function gets: rows, and where they came from."""

    @property
    def table(self) -> pa.Table: ...
    @property
    def files(self) -> list[str]: ...
    @property
    def first_row(self) -> int: ...
    @property
    def end_row(self) -> int:
        """One after the last row that these may come from; -1: unknown."""
    @property
    def rows_of_file(self) -> bool:
        """True if `first_row` counts rows of the file."""
    @property
    def origin(self) -> str:
        """The same in words, for error messages; "" if nothing is known."""
    @property
    def payload(self) -> bytes | None:
        """Of a read unit; None for rows."""

class Batches:
    """The input of a worker-side function: an iterator that the engine feeds."""

    task_number: int  # of the operator's tasks; the same when the task runs again
    position: str  # of the task, such as "3.0"
    run_name: str  # see ExecutionOptions
    def note_errors(self, rows: int, letter_rows: int = 0, letter: bytes | None = None) -> None:
        """Counts rows that the function left out; `letter` tells of those kept elsewhere, see
        Execution.take_letters."""
    def __iter__(self) -> Batches: ...
    def __next__(self) -> Batch: ...

class InputFailed(BaseException):
    """Raised through a worker-side function whose input failed; let it pass."""

def run_worker(fd: int, runtime: Any) -> int:
    """The worker's loop. `runtime` is headrace._internal.worker.Runtime:
    `resolve(function: Function) -> Callable[[Iterator[Batch]], Iterator[pa.Table]]`,
    `unpickle_filesystem(data: bytes) -> pa.fs.FileSystem`,
    `describe_failure(error: BaseException, function: Function, batch: Batch | None) -> dict`
    with keys message, context, traceback (str) and exception (bytes)."""

BRIDGE_VERSION: int

class RemoteProgram:
    """A task program that came over a bridge."""

    @property
    def name(self) -> str: ...

class RemoteWorker:
    """A process that runs tasks for one driver, which numbers its functions. `runtime` is as for
    `run_worker`."""

    def __init__(self, runtime: Any) -> None: ...
    def load(self, program: bytes) -> RemoteProgram: ...
    def start_actor(self, program: RemoteProgram) -> bytes:
        """Makes the instances of the program's classes; returns the failure, b"" if none."""

class RemoteTask:
    """One task over its input blocks. `order` is what the driver's half gave to Job.submit."""

    def __init__(
        self, worker: RemoteWorker, program: RemoteProgram, order: bytes, inputs: list[pa.Table]
    ) -> None: ...
    def next(self) -> tuple[pa.Table | None, int, bytes]:
        """The next output, the bytes of its rows and its info; or None, 0 and the report."""

def configure(
    *,
    cpus: float = 0,
    gpus: float = 0,
    memory: int = 0,
    custom: dict[str, float] | None = None,
    object_store_bytes: int = 0,
    spill_directory: str = "",
    template_command: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> None:
    """Sets what the process's runtime is made of. Raises RuntimeError once it exists."""

def warm_up() -> None:
    """Starts the worker template now, without waiting for it. Nothing on a cluster."""

def backend() -> str:
    """The backend of the current session: "local" or "ray"; "" if there is no session yet."""

def set_worker_setup(payload: bytes) -> None: ...
def set_inline_runtime(runtime: Any) -> None:
    """The Runtime that serves functions in inline mode."""

def capacity(cluster: bytes = b"") -> Resources: ...
def object_store_bytes(cluster: bytes = b"") -> int: ...
def store_stats() -> dict[str, int]: ...
def worker_pids() -> list[int]: ...
def shutdown() -> None:
    """Ends workers and frees the store; for atexit and tests. The next use starts anew."""

def forget_session() -> None:
    """Leaves the runtime to the parent of a forked process; called at every fork."""

class RowIterator:
    """Rows one by one; `row` counts those given out."""

    @property
    def row(self) -> int: ...
    def __iter__(self) -> RowIterator: ...
    def __next__(self) -> dict[str, Any]: ...

def rows_of(table: pa.Table) -> RowIterator:
    """Rows as dictionaries of Python scalars, numpy arrays for tensors, and the user's objects."""

def columns_of(rows: list[Any]) -> dict[Any, pa.Array | list[Any]] | int:
    """Columns of dictionaries, in order of first appearance; a missing key is null. A column is an
    array if its values are all bool, int (64 bits), float, str or bytes, or None; else the list of
    its values. An int is the index of the first row that is no dict."""

class ArrayMemory:
    """Memory of Arrow, by the buffer protocol."""

    @property
    def buffer(self) -> pa.Buffer: ...

def allocate_shared(num_bytes: int) -> ArrayMemory:
    """Writable memory, not initialized; a block that lies there goes to other processes without a
    copy. MemoryError where there is no more."""

def numpy_views(table: pa.Table) -> dict[str, np.ndarray | pa.ChunkedArray]:
    """Columns of plain numbers in one chunk, not empty and without nulls, as read-only views; the
    others as they are."""

def table_of_numbers(batch: dict[Any, Any]) -> pa.Table | None:
    """A table that shares the memory of the arrays; None unless all are one-dimensional arrays of
    plain numbers, contiguous, of one length and not empty."""

def array_of(values: list[Any]) -> pa.Array | None:
    """One such column; None if no plain type fits."""

def group_starts(table: pa.Table, keys: Sequence[str]) -> list[int]:
    """The first row, and each row that differs from the one before it in a key. Null equals null,
    nan equals nan. KeyError for a column that is not there."""

def sort_boundaries(values: pa.Array, descending: bool) -> list[bytes]:
    """Ascending values of the first sort key as the `boundaries` of `Plan.sort`, of which each
    block has the rows from one value on to below the next."""

def variable_shape_tensor(value_type: pa.DataType, ndim: int) -> pa.BaseExtensionType:
    """Arrow's canonical variable-shape tensor type."""

def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """One table after the other, their schemas unified; TypeError where that cannot be. ValueError
    for no tables."""

def split_by_partition(table: pa.Table, columns: Sequence[str]) -> dict[str, pa.Table]:
    """The rows by the values of `columns`, which leave the table, under their directories, such as
    "k=1/s=a%20b"; null is "__HIVE_DEFAULT_PARTITION__". KeyError for a column that is not there,
    ValueError if no other is left."""

def commit_write(
    filesystem: pa.fs.FileSystem | None,
    directory: str,
    temporary: str,
    results_table: pa.Table,
    mode: str,  # "append", "overwrite", ...: SaveMode.value
) -> None:
    """Moves the files of a finished write (the rows of WriteStep's result blocks) to their final
    names, by way of a list that outlives this process; "overwrite" removes what stood there
    before, afterwards."""

def finish_commit(filesystem: pa.fs.FileSystem | None, directory: str, temporary: str) -> bool:
    """Ends the commit that another process began under this name; False if none did."""

def abort_write(filesystem: pa.fs.FileSystem | None, directory: str, temporary: str) -> None:
    """Removes the temporary files of a write that failed. Idempotent."""

def recover_writes(filesystem: pa.fs.FileSystem | None, directory: str) -> bool:
    """Ends the commits of processes that died, and removes their temporary files."""

def list_committed(
    filesystem: pa.fs.FileSystem | None, directory: str, recursive: bool
) -> list[tuple[str, str, int, bool]]:
    """What is in a directory, in order of path, without what a write that is being committed hides:
    (path, path to read it at, bytes, whether it is a directory)."""

def owner_tag() -> str:
    """A name of this process that no other one has."""

class RecordLog:
    """A file of records that survives the death of its writer; data/read/record_log.h."""

    @staticmethod
    def create(path: str, records: Sequence[Sequence[str]]) -> RecordLog: ...
    @staticmethod
    def open(path: str) -> tuple[RecordLog, list[list[str]]]:
        """The log to go on with, and its records. ValueError for what is none."""
    def append(self, records: Sequence[Sequence[str]]) -> None:
        """Returns when they outlive this process."""
    def sync(self) -> None:
        """Returns when they are on the disk."""

def add_rule(name: str, rewrite: Callable[[Plan], Plan]) -> None:
    """Adds a logical rule after the default ones, for all later executions."""

def remove_rule(name: str) -> bool: ...

class OperatorLoad:
    """What a policy sees of one operator, read-only; see headrace.BackpressurePolicy."""

    index: int
    name: str
    num_cpus: float
    num_gpus: float
    memory: int
    tasks_running: int
    tasks_parked: int
    tasks_done: int
    input_blocks: int
    queued_bytes: int
    held_bytes: int
    expected_block_bytes: int

class AccountView:
    """What a policy sees of the run, read-only."""

    operators: list[OperatorLoad]
    budget_bytes: int
    charged_bytes: int

def set_policies(
    options: ExecutionOptions,
    policies: Sequence[tuple[str, Callable[..., bool] | None, Callable[..., int] | None]],
) -> None:
    """Sets what may hold work back: (name, may_start, credit_bytes); None: says yes to all."""

class Replayed:
    """A recorded run, replayed; read-only."""

    text: str  # Over time, in slices, and in total.
    difference: str  # Where the replay did something else; "": nowhere.
    cut: str  # Why the log ends before its run; "": it does not.
    events: int
    operators: int
    elapsed_seconds: float

def replay_log(log: bytes, slices: int = 20) -> Replayed:
    """Runs the scheduler over a log. Raises ValueError if it is none, or damaged."""

def trace_log(log: bytes) -> bytes:
    """Returns the JSON of the run's trace. Raises ValueError as above, or where the replay does
    something else."""
