"""Sources and sinks written in Python."""

import pyarrow as pa
from corpus import error_of, files_under, rows, sub


def _metadata(ray_data, n):
    return sub(ray_data, "block").BlockMetadata(
        num_rows=n, size_bytes=8 * n, input_files=None, exec_stats=None
    )


def _counting(ray_data, n, tasks):
    class Counting(ray_data.Datasource):
        def estimate_inmemory_data_size(self):
            return 8 * n

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            size = n // tasks

            def make(i):
                return lambda: [pa.table({"v": list(range(i * size, (i + 1) * size))})]

            return [ray_data.ReadTask(make(i), _metadata(ray_data, size)) for i in range(tasks)]

    return Counting()


def case_read(ray_data, tmp_path):
    ds = ray_data.read_datasource(_counting(ray_data, 12, 3))
    return {"count": ds.count(), "rows": rows(ds), "columns": ds.columns()}


def case_read_then_map(ray_data, tmp_path):
    ds = ray_data.read_datasource(_counting(ray_data, 12, 3))
    return ds.map(lambda row: {"v": row["v"] * 2}).sum("v")


def case_read_limit(ray_data, tmp_path):
    ds = ray_data.read_datasource(_counting(ray_data, 12, 3)).limit(5)
    return {"count": ds.count(), "n": len(ds.take_all())}


def case_read_arguments(ray_data, tmp_path):
    class Words(ray_data.Datasource):
        def __init__(self, words):
            self.words = words

        def estimate_inmemory_data_size(self):
            return None

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            words = self.words
            metadata = _metadata(ray_data, len(words))
            return [ray_data.ReadTask(lambda: [pa.table({"word": words})], metadata)]

    return rows(ray_data.read_datasource(Words(["x", "y"])))


def case_read_pandas_blocks(ray_data, tmp_path):
    import pandas as pd

    class Frames(ray_data.Datasource):
        def estimate_inmemory_data_size(self):
            return None

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            def read():
                yield pd.DataFrame({"v": [1, 2]})
                yield pd.DataFrame({"v": [3]})

            return [ray_data.ReadTask(read, _metadata(ray_data, 3))]

    return rows(ray_data.read_datasource(Frames()))


def case_read_raises(ray_data, tmp_path):
    class Broken(ray_data.Datasource):
        def estimate_inmemory_data_size(self):
            return None

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            def read():
                raise ValueError("source is down")

            return [ray_data.ReadTask(read, _metadata(ray_data, 1))]

    return error_of(lambda: ray_data.read_datasource(Broken()).take_all(), "source is down")


def case_read_override_num_blocks(ray_data, tmp_path):
    class Parallel(ray_data.Datasource):
        def estimate_inmemory_data_size(self):
            return None

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            def make(i):
                return lambda: [pa.table({"task": [i], "of": [parallelism]})]

            return [ray_data.ReadTask(make(i), _metadata(ray_data, 1)) for i in range(parallelism)]

    return rows(ray_data.read_datasource(Parallel(), override_num_blocks=3))


def case_sink(ray_data, tmp_path):
    out = tmp_path / "out"

    class Sink(ray_data.Datasink):
        def on_write_start(self, schema=None):
            out.mkdir()

        def write(self, blocks, ctx):
            n = sum(block.num_rows for block in blocks)
            (out / f"{ctx.task_idx}.txt").write_text(str(n))
            return n

        def on_write_complete(self, write_result):
            (out / "total").write_text(f"{write_result.num_rows} {sum(write_result.write_returns)}")

    ray_data.range(10, override_num_blocks=2).write_datasink(Sink())
    parts = sorted(int(path.read_text()) for path in out.glob("*.txt"))
    return {"parts": sum(parts), "total": (out / "total").read_text()}


def case_sink_failure(ray_data, tmp_path):
    marker = tmp_path / "failed"

    class Sink(ray_data.Datasink):
        def write(self, blocks, ctx):
            raise ValueError("disk on fire")

        def on_write_failed(self, error):
            marker.write_text("yes")

    found = error_of(lambda: ray_data.range(4).write_datasink(Sink()), "disk on fire")
    return {"error": found, "told": marker.exists()}


def case_row_based_sink(ray_data, tmp_path):
    base = sub(ray_data, "datasource").RowBasedFileDatasink

    class Notes(base):
        def __init__(self, path):
            super().__init__(path, file_format="txt")

        def write_row_to_file(self, row, file):
            file.write(f"note {row['id']}".encode())

    out = tmp_path / "out"
    ray_data.range(3).write_datasink(Notes(str(out)))
    texts = sorted(path.read_text() for path in out.iterdir())
    return {"files": files_under(out), "texts": texts}


def case_block_based_sink(ray_data, tmp_path):
    base = sub(ray_data, "datasource").BlockBasedFileDatasink

    class Counts(base):
        def __init__(self, path):
            super().__init__(path, file_format="cnt")

        def write_block_to_file(self, block, file):
            file.write(str(block.num_rows()).encode())

    out = tmp_path / "out"
    ray_data.range(6, override_num_blocks=2).write_datasink(Counts(str(out)))
    return {"files": files_under(out), "counts": sorted(p.read_text() for p in out.iterdir())}


def case_block_accessor(ray_data, tmp_path):
    accessor = sub(ray_data, "block").BlockAccessor
    block = accessor.for_block(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}))
    return {
        "rows": block.num_rows(),
        "names": block.schema().names,
        "batch": block.to_batch_format("numpy"),
        "pandas": block.to_pandas(),
        "slice": block.slice(1, 3),
        "iter": [dict(row) for row in block.iter_rows(public_row_format=True)],
    }


def case_file_based_datasource(ray_data, tmp_path):
    base = sub(ray_data, "datasource").FileBasedDatasource

    class Lengths(base):
        def _read_stream(self, f, path):
            yield pa.table({"length": [len(f.readall())]})

    (tmp_path / "a.bin").write_bytes(b"12345")
    (tmp_path / "b.bin").write_bytes(b"123")
    return rows(ray_data.read_datasource(Lengths([str(tmp_path)], file_extensions=["bin"])))
