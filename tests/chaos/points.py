"""Named points at which a process kills itself, patched in by the test: no flag in the product."""

import importlib
import os
import signal
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """Before or after a function of the product."""

    module: str
    name: str
    is_before: bool = True


_EXECUTION = "rebalancer.operations.execution"
POINTS = {
    "while an execution begins": Point(f"{_EXECUTION}.begin", "audit_proposals"),
    "before blocks are written": Point(f"{_EXECUTION}.blocks", "_write_blocks"),
    "before a claim": Point(f"{_EXECUTION}.sending", "_claim"),
    "after a claim's commit": Point(f"{_EXECUTION}.sending", "_send_batch"),
    "before the call": Point("rebalancer.brokers.paper.client", "PaperClient.submit"),
    "after the call, before its answer is on record": Point(
        "rebalancer.brokers.paper.client", "PaperClient.submit", is_before=False
    ),
    "while an answer is being recorded": Point(f"{_EXECUTION}.reports", "_save"),
    "before a sharing out": Point(f"{_EXECUTION}.allocation", "_find_changes"),
    "before lots are booked": Point("portfolios.operations.fills", "write_events"),
    "after lots are booked": Point("portfolios.operations.fills", "write_events", is_before=False),
    "before the audit entry": Point(f"{_EXECUTION}.allocation", "audit_blocks"),
    "before the broker is told": Point("rebalancer.brokers.paper.client", "PaperClient.allocate"),
    "after the broker was told": Point(
        "rebalancer.brokers.paper.client", "PaperClient.allocate", is_before=False
    ),
    "while a proposal is being completed": Point(f"{_EXECUTION}.completing", "audit_proposals"),
}


def install(name: str, hits: int) -> None:
    """Make this process die at the given hit of a point."""
    point = POINTS[name]
    holder: Any = importlib.import_module(point.module)
    *owners, last = point.name.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    original = getattr(holder, last)
    left = [hits]

    def die_in_time() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def call(*arguments: Any, **terms: Any) -> Any:
        if point.is_before:
            die_in_time()
        answer = original(*arguments, **terms)
        if not point.is_before:
            die_in_time()
        return answer

    setattr(holder, last, call)
