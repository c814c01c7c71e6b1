"""The nightly run without its database: measure and solve a million accounts, shard by shard.

Run with `python -m benchmarks.million [ACCOUNTS] [--processes N] [--shard N]`.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.books import LOTS, SECURITIES, draw_book, measure_size
from benchmarks.table import Goal, Line, print_head, print_line, print_load, show, spend
from rebalancer.engine.answering import answer_households
from rebalancer.engine.centers import build_centers
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.formulate import formulate
from rebalancer.engine.kernel.solve import solve_discrete
from rebalancer.engine.outcome import Case
from rebalancer.engine.route import choose_mode
from rebalancer.engine.segments import build_segments
from rebalancer.engine.separable import solve_separably
from rebalancer.engine.targets import resolve_targets

BPS = 1e4
SHARD = 5_000  # as the nightly tasks have them: their columns stay in the cache
MILLION = 1_000_000
MINUTE_OF_TWO = 120.0  # a minute of two processors
MEASURING = ("targets", "drift", "triggers")
SOLVING = ("modes", "segments", "centers", "formulate", "solve")


@dataclass
class Tally:
    """What some shards took and what came out."""

    worker: int = 0
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    certificates: list[np.ndarray] = field(default_factory=list)
    bytes_each: float = 0.0
    due: int = 0
    trades: int = 0
    traded: int = 0
    infeasible: int = 0

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Count what is done inside to a stage."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall[stage] += time.perf_counter() - wall
        self.processor[stage] += time.process_time() - processor

    def add(self, other: "Tally") -> None:
        """Count another's shards too."""
        for stage in other.wall:
            self.wall[stage] += other.wall[stage]
            self.processor[stage] += other.processor[stage]
        self.certificates += other.certificates
        self.bytes_each = other.bytes_each
        for name in ("due", "trades", "traded", "infeasible"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def run_shard(
    count: int,
    seed: int,
    threads: int = 1,
    *,
    is_netted: bool = False,
    harvests_losses: bool = False,
) -> Tally:
    """Draw one shard, then time each stage of looking at it and of solving every account.

    With `is_netted` gains are set against each other over every household's tax return.
    """
    tally = Tally(worker=os.getpid())
    book = draw_book(count, seed=seed, harvests_losses=harvests_losses)
    tally.bytes_each = measure_size(book)
    book = replace(book)  # without what drawing has worked out
    with tally.timing("targets"):
        targets = resolve_targets(book)
    with tally.timing("drift"):
        drift = measure_drift(book, targets)
    with tally.timing("triggers"):
        usable = np.setdiff1d(np.arange(count), sorted(targets.blocked))
        tally.due = int((drift.is_breached | drift.is_cash_short)[usable].sum())
    case = Case(book, targets, drift)
    with tally.timing("modes"):
        modes = [choose_mode(book, case.drift, int(a), is_flow=False) for a in usable]
    with tally.timing("segments"):
        segments = build_segments(book, usable)
    with tally.timing("centers"):
        centers = build_centers(book, targets, drift, usable, modes)
    with tally.timing("formulate"):
        formulation = formulate(book, targets, centers, segments, usable, modes)
    problem = formulation.to_solve
    if is_netted:
        with tally.timing("solve, netted"):
            separable = solve_separably(book, formulation)
        tally.trades = int((separable.trade != 0).sum())
        return tally
    with tally.timing("solve"):
        solution = solve_discrete(problem, threads=threads)
    traded = solution.trade != 0
    tally.trades = int(traded.sum())
    tally.traded = int(np.maximum.reduceat(traded, problem.position_offsets[:-1]).sum())
    short = solution.cash < problem.cash_min - 1e-6
    tally.infeasible = int((short & (_measure_most_cash(problem) >= problem.cash_min)).sum())
    proved = np.isfinite(solution.bound)
    tally.certificates.append(
        ((solution.objective - solution.bound) / problem.value * BPS)[proved].astype(np.float32)
    )
    return tally


def _measure_most_cash(problem: object) -> np.ndarray:
    """Return the cash of each account with all sold that may be."""
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    sums = np.bincount(position, problem.amount, len(problem.held))
    raised = np.maximum(sums * (1 - problem.sell_cost) - problem.ticket_cash, 0)
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    return problem.cash + np.bincount(account, raised, problem.account_count)


def run(accounts: int, *, processes: int, shard: int) -> tuple[float, Tally]:
    """Run all shards; return the seconds of the clock of all but drawing, of the slowest worker."""
    shard = min(shard, -(-accounts // processes))
    sizes = [min(shard, accounts - start) for start in range(0, accounts, shard)]
    if processes == 1:
        run_shard(2_000, 0)  # the first call reads the compiled code
        tallies = [run_shard(n, k + 1, threads=2) for k, n in enumerate(sizes)]
    else:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(run_shard, [2_000] * processes * 4, range(processes * 4)))
            tallies = list(pool.map(run_shard, sizes, range(1, len(sizes) + 1)))
    total, busy = Tally(), defaultdict(float)
    for tally in tallies:
        total.add(tally)
        busy[tally.worker] += sum(tally.wall.values())
    return max(busy.values()), total


def report(accounts: int, *, processes: int, shard: int = SHARD) -> None:
    """Run all shards and print what they took and what came out."""
    wall, tally = run(accounts, processes=processes, shard=shard)
    measuring = sum(tally.processor[stage] for stage in MEASURING)
    solving = sum(tally.processor[stage] for stage in SOLVING)
    used = measuring + solving
    certificate = np.concatenate(tally.certificates)
    spread = "each shard on two threads" if processes == 1 else f"{processes} shards at once"
    print_head(
        f"A Book of {accounts:,} accounts x {SECURITIES} securities x {LOTS} lots, "
        f"shards of {shard:,}, {spread}"
    )
    share = accounts / MILLION
    print_line(
        Line(
            "targets, drift, triggers",
            accounts,
            measuring / accounts,
            notes=(
                f"{show(measuring)} processor seconds; due {tally.due / accounts:.0%}; "
                f"the Book takes {tally.bytes_each:,.0f} bytes an account",
            ),
        )
    )
    print_line(
        Line(
            "formulated and solved in whole steps",
            accounts,
            solving / accounts,
            gap=(float(certificate.mean()), float(certificate.max())),
            goals=(
                Goal("all of it, for a million", used / share, MINUTE_OF_TWO, "processor s"),
                Goal("certificate, mean", float(certificate.mean()), 0.01, "bp"),
                Goal("infeasible", tally.infeasible, 0),
            ),
            notes=(
                f"{wall:.1f} s of the clock, {used:.1f} processor seconds in all; "
                f"{tally.trades:,} trades in {tally.traded:,} accounts",
                f"certificate p99 {np.percentile(certificate, 99):.3f}, "
                f"p99.9 {np.percentile(certificate, 99.9):.3f}, max {certificate.max():.3f} bp; "
                f"{int((certificate > 1).sum()):,} above 1 bp; no bound for "
                f"{accounts - len(certificate):,}",
                "processor us an account: "
                + ", ".join(
                    f"{stage} {spent / accounts * 1e6:.1f}"
                    for stage, spent in tally.processor.items()
                ),
            ),
        )
    )


def report_road(some: int, explained: int) -> None:
    """Print what the Book above leaves out: netting, harvesting, and all that a proposal shows."""
    run_shard(2_000, 0, is_netted=True)
    tally = run_shard(some, 1, is_netted=True)
    seconds = tally.processor["solve, netted"] / some
    note = "gains set against losses over each household's tax return; solving alone"
    print_line(Line("solved, netted", some, seconds, notes=(note,)))
    tally = run_shard(some, 1, harvests_losses=True)
    note = f"of it segments {tally.processor['segments'] / some * 1e6:.1f} us"
    seconds = sum(tally.processor[stage] for stage in SOLVING) / some
    print_line(Line("formulated and solved, losses harvested", some, seconds, notes=(note,)))
    book = draw_book(explained)
    targets = resolve_targets(book)
    case = Case(book, targets, measure_drift(book, targets))
    modes = {a: choose_mode(book, case.drift, a, is_flow=False) for a in range(explained)}
    answer_households(case, {0: modes[0]})
    seconds, answers = spend(lambda: answer_households(case, modes))
    trades = sum(len(plan.trades) for one in answers.values() for plan in one.plans.values())
    note = f"exact lots through the gate, certificate, alternatives, {trades:,} trades with reasons"
    print_line(Line("the whole road", explained, seconds / explained, notes=(note,)))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("accounts", nargs="?", type=int, default=MILLION)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--shard", type=int, default=SHARD, help="accounts at a time")
    arguments = parser.parse_args()
    print_load()
    report(arguments.accounts, processes=arguments.processes, shard=arguments.shard)
    print_load()


if __name__ == "__main__":
    main()
