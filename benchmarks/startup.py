"""What the first call takes: compiling into an empty folder, and starting with what is compiled."""

import os
import subprocess
import sys
import tempfile

from benchmarks.table import show

SCRIPT = """
import time
start = time.perf_counter()
from benchmarks.books import draw_book
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.outcome import Case
from rebalancer.engine.route import choose_mode, solve_households
from rebalancer.engine.targets import resolve_targets
loaded = time.perf_counter()
book = draw_book(20)
targets = resolve_targets(book)
case = Case(book, targets, measure_drift(book, targets))
modes = {a: choose_mode(book, case.drift, a, is_flow=False) for a in range(20)}
solve_households(case, modes)
print(loaded - start, time.perf_counter() - loaded)
"""


def measure_start() -> list[str]:
    """Return in lines what importing and a first Book of 20 accounts take, compiled or not."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nothing compiled yet", "compiled, read from disk"):
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            loading, first = map(float, done.stdout.split())
            lines.append(f"{name:50}import {show(loading)} s, first 20 accounts {show(first)} s")
    return lines
