"""Tells what every file under a directory really is, with a neural network.

    python examples/classify_files.py [--data DIR] [--output DIR] [--engine headrace|ray]

Reads all files, cuts from each the bytes that the network looks at, classifies them on a pool of
actors, writes the answers as Parquet, and prints a table of content types read back from there.
The network is the one of the `magika` package (3 MB, ONNX), run by onnxruntime.

With `--engine ray` (or PEER=ray in the environment) the same program runs through `ray.data`:
only the import differs.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

FILES_PER_BATCH = 64  # Larger batches cost the network more per file: they leave the caches.


def find_model() -> Path:
    """Returns the folder of magika's model, without importing magika."""
    from importlib.util import find_spec

    spec = find_spec("magika")
    if spec is None or spec.origin is None:
        raise SystemExit("this example needs the packages magika and onnxruntime")
    return sorted((Path(spec.origin).parent / "models").glob("standard_*"))[-1]


def load_config() -> dict[str, Any]:
    """Returns the model's own description: sizes, labels, thresholds."""
    return json.loads((find_model() / "config.min.json").read_text())


# ---- Cutting -----------------------------------------------------------------------------------


def cut_files(files: pa.Table, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Files → what the network looks at: the first and the last bytes, without outer white space.

    In: a table {bytes: binary, path: string}. Out: {path, size, label, tokens}; tokens is uint16
    [files, 2048], padded with 256. Files too short for the network get their label here, the
    others have the label "".
    """
    count = files.num_rows
    width = config["beg_size"] + config["end_size"]
    tokens = np.full((count, width), config["padding_token"], dtype=np.uint16)
    sizes = np.zeros(count, dtype=np.int64)
    labels = [""] * count
    values = (value for chunk in files["bytes"].chunks for value in chunk)
    for row, value in enumerate(values):
        view = memoryview(value.as_buffer())  # No copy, however large the file.
        sizes[row] = len(view)
        labels[row] = cut_file(view, tokens[row], config)
    return {
        "path": np.array(files["path"].to_pylist(), dtype=object),
        "size": sizes,
        "label": np.array(labels, dtype=object),
        "tokens": tokens,
    }


def cut_file(file: memoryview, tokens: np.ndarray, config: dict[str, Any]) -> str:
    """Fills `tokens` from `file`; returns its label if it is too short for the network, or ""."""
    if len(file) == 0:
        return "empty"
    block, shortest = config["block_size"], config["min_file_size_for_dl"]
    head = bytes(file[:block])
    begin = head.lstrip()[: config["beg_size"]]
    if len(file) < shortest or len(begin) < shortest:
        return label_of_few_bytes(head)
    end = bytes(file[-block:]).rstrip()[-config["end_size"] :]
    tokens[: len(begin)] = np.frombuffer(begin, dtype=np.uint8)
    tokens[len(tokens) - len(end) :] = np.frombuffer(end, dtype=np.uint8)
    return ""


def label_of_few_bytes(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "unknown"
    return "txt"


# ---- Classifying -------------------------------------------------------------------------------


class Classify:
    """The network; one instance per actor, one thread each."""

    def __init__(self) -> None:
        import onnxruntime

        model = find_model()
        config = load_config()
        kinds = json.loads((model.parent.parent / "config/content_types_kb.min.json").read_text())
        names: list[str] = config["target_labels_space"]
        default = config["medium_confidence_threshold"]
        shown = [config["overwrite_map"].get(name, name) for name in names]
        self.labels = np.array(shown, dtype=object)
        self.unsure = np.array(
            ["txt" if kinds[name]["is_text"] else "unknown" for name in shown], dtype=object
        )
        self.thresholds = np.array([config["thresholds"].get(name, default) for name in names])
        self.groups = {name: kind["group"] or "unknown" for name, kind in kinds.items()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(model / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        labels = np.array(batch["label"], dtype=object)
        scores = np.ones(len(labels), dtype=np.float32)
        asked = np.flatnonzero(labels == "")
        if len(asked) > 0:
            tokens = batch["tokens"][asked].astype(np.int32)
            (outputs,) = self.session.run(["target_label"], {"bytes": tokens})
            best = outputs.argmax(axis=1)
            scores[asked] = outputs[np.arange(len(best)), best]
            sure = scores[asked] >= self.thresholds[best]
            labels[asked] = np.where(sure, self.labels[best], self.unsure[best])
        return {
            "path": batch["path"],
            "size": batch["size"],
            "content_type": labels,
            "group": np.array([self.groups.get(label, "unknown") for label in labels]),
            "score": scores,
        }


# ---- The job -----------------------------------------------------------------------------------


def list_files(root: Path, without: tuple[str, ...] = ()) -> tuple[list[str], int]:
    """Returns the regular files under `root` that may be read, and how many others there are.

    Folders named in `without` are passed over.
    """
    files, others = [], 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders).difference(without))
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                readable = stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.R_OK)
            except OSError:  # A dangling link, or gone meanwhile.
                readable = False
            if readable:
                files.append(path)
            else:
                others += 1
    return files, others


def classify(data: Any, files: list[str], output: str) -> Any:
    """Runs the whole job through `data`, the module of the engine; returns the dataset."""
    workers = os.cpu_count() or 1
    ds = data.read_binary_files(files, include_paths=True)
    ds = ds.map_batches(
        cut_files,
        batch_format="pyarrow",
        batch_size=FILES_PER_BATCH,
        fn_kwargs={"config": load_config()},
    )
    # Half a cpu for each actor, so that as many actors as cores leave room for reading.
    ds = ds.map_batches(Classify, batch_size=FILES_PER_BATCH, concurrency=workers, num_cpus=0.5)
    ds.write_parquet(output)
    return ds


def report(data: Any, output: str) -> str:
    """Reads the written files back and returns the table of content types as text."""
    batches = data.read_parquet(output).iter_batches(batch_size=None, batch_format="pyarrow")
    table = pa.concat_tables(batch.select(["content_type", "group", "size"]) for batch in batches)
    kinds = table.group_by(["content_type", "group"]).aggregate(
        [("size", "count"), ("size", "sum")]
    )
    kinds = kinds.sort_by([("size_count", "descending"), ("content_type", "ascending")])
    lines = [f"{'content type':<20} {'group':<12} {'files':>8} {'bytes':>16}"]
    for row in kinds.to_pylist():
        lines.append(
            f"{row['content_type']:<20} {row['group']:<12}"
            f" {row['size_count']:>8,} {row['size_sum']:>16,}"
        )
    total = sum(row["size_sum"] for row in kinds.to_pylist())
    lines.append(f"{'all':<20} {'':<12} {table.num_rows:>8,} {total:>16,}")
    return "\n".join(lines)


def load_engine(name: str) -> Any:
    """Returns the module with the data API, ready for work."""
    if name == "ray":
        import ray
        from ray import data

        # The cluster's own start is not part of the job.
        ray.init(logging_level="ERROR", log_to_driver=False, include_dashboard=False)
        return data
    import headrace as data  # type: ignore[no-redef]

    return data


def default_data() -> Path:
    """Returns the standard library of this Python, wherever the virtual environment points."""
    return Path(sysconfig.get_paths(vars={"base": sys.base_prefix})["stdlib"]).resolve()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="directory to read; default: Python's library")
    parser.add_argument(
        "--output", help="directory for the Parquet files; default: a temporary one"
    )
    parser.add_argument("--engine", choices=["headrace", "ray"], default="headrace")
    parser.add_argument("--times", help="also write the line of times to this file")
    return parser.parse_args()


def run(arguments: argparse.Namespace, output: str) -> None:
    root = (arguments.data or default_data()).resolve()
    if not root.is_dir():
        raise SystemExit(f"no such directory: {root}")
    # By default Python itself, not what was installed into it.
    without = () if arguments.data else ("site-packages", "dist-packages")
    files, others = list_files(root, without)
    if not files:
        raise SystemExit(f"no file to read under {root}")
    skipped = f", {others:,} others left out" if others else ""
    print(f"{arguments.engine}: {len(files):,} files under {root}{skipped}", flush=True)

    data = load_engine(arguments.engine)
    start = time.perf_counter()
    ds = classify(data, files, output)
    classified = time.perf_counter()
    table = report(data, output)
    reported = time.perf_counter()

    print(ds.stats())
    print(table)
    line = (
        f"{arguments.engine}: {len(files):,} files classified in {classified - start:.1f} s"
        f" ({len(files) / (classified - start):,.0f} files/s),"
        f" read back in {reported - classified:.2f} s"
    )
    print(f"\n{line}")
    if arguments.times:
        Path(arguments.times).write_text(line + "\n")


def main() -> None:
    arguments = parse_arguments()
    if arguments.output:
        run(arguments, arguments.output)
        return
    with tempfile.TemporaryDirectory(prefix="classify-files-") as output:
        run(arguments, output)


if __name__ == "__main__":
    main()
