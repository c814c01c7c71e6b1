"""The table that `make bench` prints: our time beside the peer's, targets beside figures."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

Answer = TypeVar("Answer")
WIDTHS = (50, 11, 11, 11, 10, 22)


@dataclass(frozen=True)
class Goal:
    """A figure with what it should reach: at least or at most `limit`."""

    name: str
    figure: float
    limit: float
    unit: str = ""
    is_least: bool = False  # the figure should be at least the limit

    @property
    def is_met(self) -> bool:
        """Return whether the figure is on the right side."""
        return self.figure >= self.limit if self.is_least else self.figure <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.is_least else "<="
        verdict = "met" if self.is_met else "NOT MET"
        unit = f" {self.unit}" if self.unit else ""
        limit = f"{self.limit:,.10g}"
        return f"{self.name} {show(self.figure)}{unit} (target {sign} {limit}: {verdict})"


@dataclass(frozen=True)
class Line:
    """One comparison on the same cases. Seconds are of processor time, for one case."""

    name: str
    cases: int
    ours: float | None = None
    peer: float | None = None
    gap: tuple[float, float] | None = None  # ours less the peer's, bp of value: mean, worst
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = field(default=())


def show(number: float) -> str:
    """Return a number with three digits that count."""
    if number == 0 or 1e-3 <= abs(number) < 1e4:
        return f"{number:.3g}" if abs(number) < 100 else f"{number:,.0f}"
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:.1e}"


def show_seconds(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return "-"
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{show(seconds * factor)} {unit}"
    return f"{show(seconds)} s"


def print_head(title: str) -> None:
    """Print the title of some lines and what their columns mean."""
    print(f"\n{title}")
    names = ("", "cases", "ours", "peer", "ratio", "gap bp: mean / worst")
    print("  " + "".join(n.ljust(w) for n, w in zip(names, WIDTHS, strict=True)).rstrip())


def print_line(line: Line) -> None:
    """Print one comparison, and below it what was aimed at and what else there is to know."""
    ratio = "-"
    if line.ours and line.peer:
        ratio = f"{show(line.peer / line.ours)}x"
    gap = "-" if line.gap is None else f"{show(line.gap[0])} / {show(line.gap[1])}"
    cells = (
        line.name,
        f"{line.cases:,}",
        show_seconds(line.ours),
        show_seconds(line.peer),
        ratio,
        gap,
    )
    print("  " + "".join(c.ljust(w) for c, w in zip(cells, WIDTHS, strict=True)).rstrip())
    for goal in line.goals:
        print(f"      {goal}")
    for note in line.notes:
        print(f"      {note}")


def print_load() -> None:
    """Print how busy the machine is, which decides what the times are worth."""
    one, five, _ = os.getloadavg()
    print(f"load average {one:.1f} (1 min), {five:.1f} (5 min); {os.cpu_count()} processors")


@contextmanager
def hushing() -> Iterator[None]:
    """Keep what SCIP's library says about its own tolerances out of the table."""
    sys.stdout.flush()
    kept, nowhere = (os.dup(1), os.dup(2)), os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        for stream, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


def spend(work: Callable[[], Answer], *, times: int = 1) -> tuple[float, Answer]:
    """Return the least processor seconds that `work` takes over some runs, and its answer."""
    least = float("inf")
    for _ in range(times):
        start = time.process_time()
        answer = work()
        least = min(least, time.process_time() - start)
    return least, answer
