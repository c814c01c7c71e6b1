"""Spreads accounts over threads: the compiled loops hold no lock, so each takes its own range."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Accounts per range: so many that laying them out costs little, so few that they stay in cache.
RANGE = 2048


def count_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_ranges(
    work: Callable[[int, int], None], count: int, *, threads: int | None = None
) -> None:
    """Call `work(start, stop)` for ranges that cover `count` accounts, on so many threads."""
    ranges = [(start, min(start + RANGE, count)) for start in range(0, count, RANGE)]
    if threads is None:
        threads = count_processors()
    if threads <= 1 or len(ranges) <= 1:
        for start, stop in ranges:
            work(start, stop)
        return
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for done in [pool.submit(work, start, stop) for start, stop in ranges]:
            done.result()
