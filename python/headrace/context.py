"""Settings: `DataContext`, the process-wide defaults that a dataset takes along.

The names and defaults are those of ray.data. A field whose comment says "accepted" has no effect
here: the engine has no such mechanism, or does the thing always.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from headrace._internal.execution_options import ExecutionOptions, ExecutionResources
from headrace._internal.policy import BackpressurePolicy

if TYPE_CHECKING:
    from headrace._internal.dead_letters import DeadLetters

__all__ = [
    "AutoscalingConfig",
    "DataContext",
    "DatasetContext",
    "DeltaConfig",
    "ExecutionOptions",
    "ExecutionResources",
    "IcebergConfig",
    "LanceConfig",
    "ShuffleStrategy",
]

DEFAULT_TARGET_MAX_BLOCK_SIZE = 128 * 1024 * 1024
DEFAULT_SHUFFLE_TARGET_MAX_BLOCK_SIZE = 1024 * 1024 * 1024
DEFAULT_TARGET_MIN_BLOCK_SIZE = 1024 * 1024
MAX_SAFE_BLOCK_SIZE_FACTOR = 1.5
DEFAULT_STREAMING_READ_BUFFER_SIZE = 32 * 1024 * 1024
DEFAULT_ENABLE_PANDAS_BLOCK = True
DEFAULT_READ_OP_MIN_NUM_BLOCKS = 200
DEFAULT_MIN_PARALLELISM = 200
DEFAULT_ENABLE_TENSOR_EXTENSION_CASTING = True
DEFAULT_AUTO_LOG_STATS = False
DEFAULT_ENABLE_PROGRESS_BARS = True
DEFAULT_MAX_ERRORED_BLOCKS = 0
DEFAULT_OP_RESOURCE_RESERVATION_RATIO = 0.5
DEFAULT_ENABLE_OP_RESOURCE_RESERVATION = True
DEFAULT_WAIT_FOR_MIN_ACTORS_S = -1
DEFAULT_USE_PUSH_BASED_SHUFFLE = False
DEFAULT_SCHEDULING_STRATEGY = "SPREAD"
DEFAULT_SHUFFLE_COMPRESSION = "zstd"
LEGACY_DEFAULT_BATCH_SIZE = 1024
WARN_PREFIX = "⚠️ "
OK_PREFIX = "✔️ "
DEFAULT_RETRIED_IO_ERRORS = (
    "AWS Error INTERNAL_FAILURE",
    "AWS Error NETWORK_CONNECTION",
    "AWS Error SLOW_DOWN",
    "AWS Error UNKNOWN (HTTP status 503)",
    "AWS Error SERVICE_UNAVAILABLE",
)
DEFAULT_WRITE_FILE_RETRY_ON_ERRORS = DEFAULT_RETRIED_IO_ERRORS[:4]


# A context is copied for each dataset: what cannot change is shared.
_IMMUTABLE = (bool, int, float, str, bytes, tuple, Enum, type(None))


class ShuffleStrategy(str, Enum):
    """How an exchange moves rows. All names are accepted; the engine has one exchange."""

    SORT_SHUFFLE_PULL_BASED = "sort_shuffle_pull_based"
    SORT_SHUFFLE_PUSH_BASED = "sort_shuffle_push_based"
    HASH_SHUFFLE = "hash_shuffle"
    GPU_SHUFFLE = "gpu_shuffle"
    SHUFFLE_V2 = "shuffle_v2"


DEFAULT_SHUFFLE_STRATEGY = ShuffleStrategy.SHUFFLE_V2


@dataclass
class AutoscalingConfig:
    """When an actor pool grows or shrinks, as shares of its slots in use."""

    actor_pool_util_upscaling_threshold: float = 1.75
    actor_pool_util_downscaling_threshold: float = 0.5
    actor_pool_max_upscaling_delta: int | None = None


@dataclass
class IcebergConfig:
    """Retries of Iceberg catalogs and files."""

    write_file_max_attempts: int = 10
    write_file_retry_max_backoff_s: int = 32
    catalog_max_attempts: int = 5
    catalog_retry_max_backoff_s: int = 16
    catalog_retried_errors: list[str] = field(default_factory=lambda: ["429", "503", "502", "500"])
    read_file_tasks_sequentially: bool = True


@dataclass
class DeltaConfig:
    """Retries of Delta commits."""

    commit_max_attempts: int = 5
    commit_retry_max_backoff_s: int = 16
    commit_retried_errors: list[str] = field(default_factory=lambda: ["429", "503", "502", "500"])
    credential_refresh_enabled: bool = True


@dataclass
class LanceConfig:
    """Retries of Lance fragments."""

    read_fragments_errors_to_retry: list[str] = field(default_factory=lambda: ["LanceError(IO)"])
    read_fragments_max_attempts: int = 10
    read_fragments_retry_max_backoff_s: int = 32
    write_fragments_errors_to_retry: list[str] = field(default_factory=lambda: ["LanceError(IO)"])
    write_fragments_max_attempts: int = 10
    write_fragments_retry_max_backoff_s: int = 32


def _env_int(name: str, default: int) -> int:
    value = os.environ.get(f"HEADRACE_{name}")
    return default if value is None else int(value)


def _env_flag(name: str, default: bool) -> bool:
    value = os.environ.get(f"HEADRACE_{name}")
    return default if value is None else value.lower() in ("1", "true", "yes", "on")


@dataclass
class DataContext:
    """Settings of datasets. A dataset takes a copy of the current context when it is made.

    Sizes are bytes, times seconds. Environment variables set the defaults of the marked fields:
    HEADRACE_TARGET_MAX_BLOCK_SIZE, HEADRACE_TARGET_MIN_BLOCK_SIZE,
    HEADRACE_READ_OP_MIN_NUM_BLOCKS, HEADRACE_MAX_ERRORED_BLOCKS, HEADRACE_ENABLE_PROGRESS_BARS,
    HEADRACE_INLINE, HEADRACE_EVENT_LOG, HEADRACE_BACKEND.
    """

    # ---- Blocks
    #: Blocks over 1.5 × this are split between rows; None: never (environment).
    target_max_block_size: int | None = field(
        default_factory=lambda: _env_int("TARGET_MAX_BLOCK_SIZE", DEFAULT_TARGET_MAX_BLOCK_SIZE)
    )
    #: Smaller outputs of one task are joined (environment).
    target_min_block_size: int = field(
        default_factory=lambda: _env_int("TARGET_MIN_BLOCK_SIZE", DEFAULT_TARGET_MIN_BLOCK_SIZE)
    )
    streaming_read_buffer_size: int = DEFAULT_STREAMING_READ_BUFFER_SIZE
    enable_pandas_block: bool = True  # Accepted: blocks are always Arrow.
    actor_prefetcher_enabled: bool = False
    autoscaling_config: AutoscalingConfig = field(default_factory=AutoscalingConfig)

    # ---- Exchange
    use_push_based_shuffle: bool = False
    _shuffle_strategy: ShuffleStrategy = DEFAULT_SHUFFLE_STRATEGY
    pipeline_push_based_shuffle_reduce_tasks: bool = True
    default_hash_shuffle_parallelism: int = 200
    shuffle_compression: str = DEFAULT_SHUFFLE_COMPRESSION
    hash_shuffle_reduce_batch_size: int = 16
    hash_shuffle_reduce_get_timeout_s: float = 1800.0
    shuffle_input_batch_bytes: int = 1024 * 1024 * 1024
    max_hash_shuffle_aggregators: int | None = None
    min_hash_shuffle_aggregator_wait_time_in_s: int = 300
    hash_shuffle_aggregator_health_warning_interval_s: int = 30
    max_hash_shuffle_finalization_batch_size: int | None = None
    join_operator_actor_num_cpus_override: float | None = None
    hash_shuffle_operator_actor_num_cpus_override: float | None = None
    hash_aggregate_operator_actor_num_cpus_override: float | None = None
    use_disk_based_hash_shuffle: bool = False
    gpu_shuffle_num_actors: int | None = None
    gpu_shuffle_rmm_pool_size: int | str | None = None
    gpu_shuffle_spill_memory_limit: int | str | None = "auto"
    gpu_shuffle_setup_timeout_s: float = 120.0

    # ---- Scheduling
    scheduling_strategy: Any = DEFAULT_SCHEDULING_STRATEGY
    scheduling_strategy_large_args: Any = "DEFAULT"
    large_args_threshold: int = 50 * 1024 * 1024
    use_polars: bool = False
    use_polars_sort: bool = False
    use_legacy_dataset_ids: bool = False
    decoding_size_estimation: bool = True
    min_parallelism: int = DEFAULT_MIN_PARALLELISM
    #: The least number of blocks that a large read is cut into (environment).
    read_op_min_num_blocks: int = field(
        default_factory=lambda: _env_int("READ_OP_MIN_NUM_BLOCKS", DEFAULT_READ_OP_MIN_NUM_BLOCKS)
    )
    use_datasource_v2: bool = True

    # ---- Types
    enable_tensor_extension_casting: bool = True
    arrow_fixed_shape_tensor_format: Any = "v2"
    use_arrow_tensor_v2: bool = True
    enable_fallback_to_arrow_object_ext_type: bool | None = None
    enforce_schemas: bool = False
    pandas_block_ignore_metadata: bool = False
    enable_arrow_backed_pandas_conversion: bool = True
    batch_to_block_arrow_format: bool = True

    # ---- Telling
    enable_auto_log_stats: bool = False
    verbose_stats_logs: bool = False
    accurate_map_phase_timing: bool = False
    per_stage_map_timing: bool = False
    trace_allocations: bool = False
    #: Limits, exclusions and order of a run.
    execution_options: ExecutionOptions = field(default_factory=ExecutionOptions)
    use_ray_tqdm: bool = True
    #: Bars while a run lasts, where the output is a terminal (environment).
    enable_progress_bars: bool = field(
        default_factory=lambda: _env_flag("ENABLE_PROGRESS_BARS", DEFAULT_ENABLE_PROGRESS_BARS)
    )
    #: One bar per operator below the total.
    enable_operator_progress_bars: bool = True
    enable_progress_bar_name_truncation: bool = True
    enable_rich_progress_bars: bool = False
    enable_get_object_locations_for_metrics: bool = False
    print_on_execution_start: bool = True
    enable_per_node_metrics: bool = False
    enable_stats_summary_collection: bool = False
    memory_usage_poll_interval_s: float | None = 1
    dataset_logger_id: str | None = None
    issue_detectors_config: Any = None
    warn_on_driver_memory_usage_bytes: int = 2 * 1024 * 1024 * 1024

    # ---- Faults
    write_file_retry_on_errors: Any = DEFAULT_WRITE_FILE_RETRY_ON_ERRORS
    #: Errors after which a class is called again on the same rows: True: any; at most
    #: `max_task_attempts` calls.
    actor_task_retry_on_errors: bool | list[type[BaseException]] = False
    actor_init_retry_on_errors: bool = False
    actor_init_max_retries: int = 3
    max_consecutive_actor_init_deaths: int = 0
    #: Errors after which a function of map, map_batches, flat_map or filter is called again on the
    #: same rows: True: any; parts of their text, or regular expressions.
    retried_map_errors: bool | list[str] = False
    #: How often it is called again; 0: never.
    max_map_retries: int = 0
    #: Tasks that may fail by user error before the run does; -1: any number (environment).
    max_errored_blocks: int = field(
        default_factory=lambda: _env_int("MAX_ERRORED_BLOCKS", DEFAULT_MAX_ERRORED_BLOCKS)
    )
    #: How long the ranks of a streaming split wait for one that nobody iterates; -1: for ever.
    execution_no_progress_timeout_s: float = 1800
    log_internal_stack_trace: bool = False
    #: Raise the user's own exception instead of one that carries the operator's context.
    raise_original_map_exception: bool = False
    retried_io_errors: list[str] = field(default_factory=lambda: list(DEFAULT_RETRIED_IO_ERRORS))
    lance_config: LanceConfig = field(default_factory=LanceConfig)
    iceberg_config: IcebergConfig = field(default_factory=IcebergConfig)
    delta_config: DeltaConfig = field(default_factory=DeltaConfig)

    # ---- Memory
    op_resource_reservation_enabled: bool = True
    #: Share of the budget that is divided over the operators; the rest is shared.
    op_resource_reservation_ratio: float = DEFAULT_OP_RESOURCE_RESERVATION_RATIO
    output_backpressure_guard_release_interval_s: float | None = None
    s3_try_create_dir: bool = False
    wait_for_min_actors_s: int = DEFAULT_WAIT_FOR_MIN_ACTORS_S
    #: Tasks running at and sent ahead to one actor; None: 2.
    max_tasks_in_flight_per_actor: int | None = None
    override_object_store_memory_limit_fraction: float | None = None
    isolate_read_workers: bool = False
    downstream_capacity_backpressure_ratio: float | None = 2.0
    enable_dynamic_output_queue_size_backpressure: bool = False
    enable_lineage_reconstruction_resource_accounting: bool = True
    _checkpoint_config: Any = None
    custom_execution_callback_classes: list[type] = field(default_factory=list)
    default_map_logical_memory_enabled: bool = False
    _enable_ray_data_reconstruction: bool | None = None
    object_store_reservation_overshoot_ratio: float | None = None
    object_store_memory_pressure_fraction: float | None = None

    # ---- Headrace's own
    #: Where the process's engine runs, if `headrace.init` does not say: "local" or "ray". A process
    #: has one backend, from its first use to `headrace.shutdown` (environment).
    backend: str | None = field(default_factory=lambda: os.environ.get("HEADRACE_BACKEND") or None)
    #: Times that a task runs whose worker was lost.
    max_task_attempts: int = 4
    #: What becomes of rows on which a function of map, map_batches, flat_map or filter fails:
    #: "raise", "skip" or a `DeadLetters`; see `Dataset.map`.
    on_error: DeadLetters | str = "raise"
    #: Seconds that one rank of a streaming split waits for another before a warning names it.
    streaming_split_warn_after_s: float = 30
    #: Runs everything in the calling thread, so that a debugger stops in the user's function
    #: (environment).
    inline_mode: bool = field(default_factory=lambda: _env_flag("INLINE", False))
    #: Records the events of each run for `headrace replay` and `headrace trace`, the first one of
    #: the process in this file, "run.log", and the next in "run.2.log", "run.3.log", ...; "{pid}"
    #: in the name is the process's number. "": does not (environment).
    event_log_path: str = field(default_factory=lambda: os.environ.get("HEADRACE_EVENT_LOG", ""))
    #: What may hold work back beside the engine itself. Copies of the settings share them, pickled
    #: ones have none.
    backpressure_policies: list[BackpressurePolicy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._kv_configs: dict[str, Any] = {}
        self._execution_idx = 0  # Of the next execution of the dataset that has this context.

    @staticmethod
    def get_current() -> DataContext:
        """Returns the context of this thread if `current()` set one, else the process's."""
        local = getattr(_thread_context, "value", None)
        if local is not None:
            return local
        global _process_context
        with _context_lock:
            if _process_context is None:
                _process_context = DataContext()
            return _process_context

    @staticmethod
    @contextmanager
    def current(context: DataContext) -> Iterator[DataContext]:
        """Makes `context` the current one of this thread within a `with` block."""
        before = getattr(_thread_context, "value", None)
        _thread_context.value = context
        try:
            yield context
        finally:
            _thread_context.value = before

    @staticmethod
    def _set_current(context: DataContext) -> None:
        global _process_context
        with _context_lock:
            _process_context = context

    @property
    def shuffle_strategy(self) -> ShuffleStrategy:
        if self.use_push_based_shuffle:
            return ShuffleStrategy.SORT_SHUFFLE_PUSH_BASED
        return self._shuffle_strategy

    @shuffle_strategy.setter
    def shuffle_strategy(self, value: ShuffleStrategy) -> None:
        self._shuffle_strategy = ShuffleStrategy(value)

    @property
    def checkpoint_config(self) -> Any:
        """A `headrace.checkpoint.CheckpointConfig`: writes leave out rows that were written."""
        return self._checkpoint_config

    @checkpoint_config.setter
    def checkpoint_config(self, value: Any) -> None:
        self._checkpoint_config = value

    @property
    def execution_callback_classes(self) -> list[type]:
        return list(self.custom_execution_callback_classes)

    def get_config(self, key: str, default: Any = None) -> Any:
        """Returns a free setting, by name."""
        return self._kv_configs.get(key, default)

    def set_config(self, key: str, value: Any) -> None:
        """Sets a free setting: it travels with the dataset's context."""
        self._kv_configs[key] = value

    def remove_config(self, key: str) -> None:
        """Removes a free setting. Unknown keys are ignored."""
        self._kv_configs.pop(key, None)

    def copy(self) -> DataContext:
        """Returns a deep copy."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if not isinstance(value, _IMMUTABLE):
                setattr(made, name, copy.deepcopy(value))
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> DataContext:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        # Policies are of this process's runs, and may hold what cannot travel.
        return {**vars(self), "backpressure_policies": []}

    def set_dataset_logger_id(self, dataset_id: str) -> None:
        self.dataset_logger_id = dataset_id


DatasetContext = DataContext

_context_lock = threading.Lock()
_process_context: DataContext | None = None
_thread_context = threading.local()
