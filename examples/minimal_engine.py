"""The smallest engine: operators that say when they would run, and a policy that says if they may.

Four blocks go through multiply-by-2 and add-10 within 3 cpus and 3000 bytes. The engine asks both
before each task; it moves the blocks, runs the tasks and keeps the accounts."""

import numpy as np

import headrace as data


class Operator:
    """One stage. Each of its tasks takes a cpu and makes a block of 592 bytes."""

    def __init__(self, function, max_concurrency):
        self.function, self.max_concurrency, self.task_bytes = function, max_concurrency, 592

    def dispatch_task(self, block):
        return {"data": self.function(block["data"])}

    def should_dispatch(self, load):
        return load.input_blocks > 0 and load.tasks_running < self.max_concurrency

    def current_resource_usage(self, load):
        return load.tasks_running * load.num_cpus, load.held_bytes


class StaticPolicy(data.BackpressurePolicy):
    def __init__(self, operators, cpus=3, max_bytes=3000):
        self.operators, self.cpus, self.max_bytes = operators, cpus, max_bytes

    def usage(self, loads):  # Operator 0 of the plan is its input.
        each = [op.current_resource_usage(loads[i]) for i, op in enumerate(self.operators, 1)]
        return map(sum, zip(*each, strict=True))

    def can_dispatch(self, stage, loads):
        """May the stage start a task, and leave room for a block of each stage after it?"""
        cpus, used_bytes = self.usage(loads)
        needed = sum(op.task_bytes for op in self.operators[stage - 1 :])
        return cpus + 1 <= self.cpus and used_bytes + needed <= self.max_bytes

    def may_start(self, op, view):
        asked = self.operators[op.index - 1]
        return asked.should_dispatch(op) and self.can_dispatch(op.index, view.operators)

    def credit_bytes(self, op, offered, view):
        _, used_bytes = self.usage(view.operators)
        return min(offered, self.operators[op.index - 1].task_bytes, self.max_bytes - used_bytes)


def build(policies=(StaticPolicy,)):
    stages = [Operator(lambda x: x * 2, 4), Operator(lambda x: x + 10, 2)]
    data.DataContext.get_current().backpressure_policies = [make(stages) for make in policies]
    ds: data.Dataset = data.from_numpy([np.arange(74 * i, 74 * (i + 1)) for i in range(4)])
    for op in stages:  # Their different caps keep the engine from making one stage of them.
        ds = ds.map_batches(op.dispatch_task, batch_size=None, concurrency=op.max_concurrency)
    return ds


if __name__ == "__main__":
    print(np.sort(build().to_pandas()["data"].to_numpy()))
