"""Splits whose shares are read at once, by a thread each."""

import threading

from corpus import fails, unordered


def _at_once(shards, function):
    results = [None] * len(shards)

    def call(rank):
        results[rank] = function(shards[rank])

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(len(shards))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _ids(shard):
    return [row["id"] for row in shard.iter_rows()]


def _rows(shard):
    return len(_ids(shard))


def _in_order(ds):
    ds.context.execution_options.preserve_order = True
    return ds


def case_equal_counts(ray_data, tmp_path):
    def counts(rows, blocks, n):
        ds = ray_data.range(rows, override_num_blocks=blocks)
        return _at_once(ds.streaming_split(n, equal=True), _rows)

    return [counts(10, 3, 2), counts(10, 3, 3), counts(7, 1, 3), counts(2, 1, 4)]


def case_whole_blocks_in_turn(ray_data, tmp_path):
    ds = _in_order(ray_data.range(10, override_num_blocks=10))
    return _at_once(ds.streaming_split(2), _ids)


def case_blocks_to_the_fewest_rows(ray_data, tmp_path):
    import pandas as pd

    sizes = [5, 1, 1, 1, 4, 2]
    frames = [pd.DataFrame({"id": [10 * i] * size}) for i, size in enumerate(sizes)]
    ds = _in_order(ray_data.from_pandas(frames))
    return _at_once(ds.streaming_split(3), _ids)


def case_all_rows_in_each_epoch(ray_data, tmp_path):
    shards = ray_data.range(9, override_num_blocks=4).streaming_split(3)
    epochs = [_at_once(shards, _ids) for _ in range(3)]
    return [sorted(row for share in epoch for row in share) for epoch in epochs]


def case_one_rank(ray_data, tmp_path):
    (shard,) = ray_data.range(6, override_num_blocks=2).streaming_split(1)
    return unordered(shard.iter_rows())


def case_no_rows(ray_data, tmp_path):
    shards = ray_data.range(0).streaming_split(2)
    return [_at_once(shards, _rows), _at_once(shards, lambda s: s.materialize().count())]


def case_batches(ray_data, tmp_path):
    shards = ray_data.range(20, override_num_blocks=4).streaming_split(2, equal=True)
    return _at_once(shards, lambda s: [len(b["id"]) for b in s.iter_batches(batch_size=4)])


def case_one_leaves_early(ray_data, tmp_path):
    shards = _in_order(ray_data.range(20, override_num_blocks=10)).streaming_split(2)

    def read(shard):
        if shard is shards[0]:
            return next(iter(shard.iter_rows()))["id"]
        return _ids(shard)

    return [_at_once(shards, read), _at_once(shards, _rows)]


def case_shuffles_differ(ray_data, tmp_path):
    drawn = ray_data.range(500, override_num_blocks=2).random_shuffle()
    fixed = _in_order(ray_data.range(500, override_num_blocks=2)).random_shuffle(seed=3)
    both = [ds.streaming_split(2, equal=True) for ds in (drawn, fixed)]
    return [_at_once(shards, _ids) == _at_once(shards, _ids) for shards in both]


def case_facts(ray_data, tmp_path):
    shards = ray_data.range(4).streaming_split(2, locality_hints=["a", "b"])
    return [shards[0].world_size(), len(shards), shards[1].schema().names]


def case_a_function_that_raises_raises_in_all(ray_data, tmp_path):
    def fail(row):
        raise ValueError("no good")

    shards = ray_data.range(8, override_num_blocks=2).map(fail).streaming_split(2)
    return _at_once(shards, lambda shard: fails(lambda: _ids(shard)))


def case_is_not_iterable(ray_data, tmp_path):
    return fails(lambda: iter(ray_data.range(4).streaming_split(2)[0]))
