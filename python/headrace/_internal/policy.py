"""Back-pressure policies of the user: when an operator may start a task, and how much it may yield.

class OneAtATime(headrace.BackpressurePolicy):
    def may_start(self, op, view):
        return op.tasks_running == 0

headrace.DataContext.get_current().backpressure_policies.append(OneAtATime())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace import _core


class BackpressurePolicy:
    """A reason to hold work back. It may only say "not now" or "take less": what the budget and the
    machine allow is the engine's to say, and of several policies the strictest answer counts.

    The scheduler asks before it starts a task and before it grants a task room for more output, in
    its own thread, one question at a time: so answers must come soon, and must not wait for the
    data set that they are about. A task that may not start is asked about again whenever something
    happens in the run, never because time passes alone. Where nothing runs and nothing else could
    go on, one task starts whatever the policies say: no run stalls.

    `op` and the items of `view.operators`, one for each operator of the plan, sources first, have:

        index, name         the place in the plan; the name, as "ReadRange->Map(f)"
        num_cpus, num_gpus, memory      what one task, or one actor, takes; memory in bytes
        tasks_running, tasks_parked, tasks_done     parked: without room for its next block
        input_blocks        blocks that wait for a task of it
        queued_bytes        of its outputs, taken by no task and no consumer
        held_bytes          charged to it: its outputs, and the room granted to its tasks
        expected_block_bytes            of its next block

    `view` has budget_bytes, of blocks in memory, and charged_bytes, which are in use.

    One object serves all runs with it; an exception in a method fails the run. The policies stay in
    this process: they need not be picklable.
    """

    @property
    def name(self) -> str:
        """Shown in errors. Default: the name of the class."""
        return type(self).__name__

    def may_start(self, op: _core.OperatorLoad, view: _core.AccountView) -> bool:
        """Returns True if `op` may start one more task. Default: always."""
        return True

    def credit_bytes(self, op: _core.OperatorLoad, offered: int, view: _core.AccountView) -> int:
        """Returns how many of `offered` bytes a task of `op` may yield before it asks again; more
        than that counts as all, less than 1 as "not now". Default: all. A task passes what it was
        given by less than one block."""
        return offered

    def __deepcopy__(self, memo: dict[int, Any]) -> BackpressurePolicy:
        return self  # A dataset's copy of the settings has the same policies.


def policy_parts(policies: list[BackpressurePolicy]) -> list[tuple[str, Any, Any]]:
    """Returns name and methods of each, None for a method that is not overridden.

    Raises:
        TypeError: one is no BackpressurePolicy.
    """
    parts = []
    for policy in policies:
        if not isinstance(policy, BackpressurePolicy):
            raise TypeError(f"a back-pressure policy must be a BackpressurePolicy, not {policy!r}")
        methods = [
            getattr(policy, method)
            if getattr(type(policy), method) is not getattr(BackpressurePolicy, method)
            else None
            for method in ("may_start", "credit_bytes")
        ]
        parts.append((str(policy.name), methods[0], methods[1]))
    return parts
