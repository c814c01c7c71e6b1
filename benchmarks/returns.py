"""Tax returns, limits and partners: netting beside SCIP, limits and switches beside Clarabel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import clarabel
import numpy as np

from benchmarks.table import Goal, Line, hushing, spend
from rebalancer.engine.kernel.solve import solve_convex, solve_discrete
from rebalancer.engine.netting.budgets import (
    Limits,
    measure_gains,
    measure_turnover,
    no_limits,
    solve_within,
    weigh_plan,
)
from rebalancer.engine.netting.plan import sum_accounts
from rebalancer.engine.netting.solve import solve_netted
from rebalancer.engine.problem import Problem
from tests.rebalancer.engine import reference_convex
from tests.rebalancer.engine.random_households import draw_households, gather_years
from tests.rebalancer.engine.reference import (
    measure_netted,
    pour,
    solve_with_clarabel,
    solve_with_scip,
)

BPS = 1e4
LOSS_MAX = 0.0005  # below a round trip's cost: then the problem is convex, and Clarabel's exact


def compare_netting(*, cases: int = 30, seconds_max: float = 6.0) -> Iterator[Line]:
    """Compare plans under a tax return with gains so far and carries; SCIP knows its regimes."""
    kinds: tuple[tuple[str, bool, dict[str, Any]], ...] = (
        ("fractions, one account", False, {"loss_max": LOSS_MAX, "positions": 8}),
        ("fractions, partners, 1-2 accounts", False, {"has_partners": True, "accounts_max": 2}),
        ("whole shares and tickets", True, {"loss_max": LOSS_MAX, "whole_share": 0.5, "ticket": 1}),
    )
    for name, is_whole, kind in kinds:
        problem, years = draw_households(31, cases, **kind)
        year = gather_years(years)
        solve = solve_discrete if is_whole else solve_convex
        relaxed = solve_convex if is_whole else None
        ours, (_, report) = spend(
            lambda p=problem, y=year, s=solve, r=relaxed: solve_netted(p, y, s, relaxed=r), times=2
        )
        fixed = solve(problem).trade
        with hushing():
            seconds, rows = spend(
                lambda p=problem, y=years, r=report, f=fixed: [
                    _measure_household(p, y, r, f, h, seconds_max) for h in range(cases)
                ]
            )
        gap, at_fixed_rates, unproved = np.array(rows).T
        yield Line(
            f"SCIP, {name}",
            cases,
            ours / cases,
            seconds / cases,
            (gap.mean(), gap.max()),
            goals=(Goal("above SCIP's best, mean", gap.mean(), 0.01, "bp"),),
            notes=(
                f"{report.solves.mean():.1f} solves each (at most {report.solves.max()}); fixed "
                f"rates would lose {at_fixed_rates.mean():.2f} bp; "
                f"SCIP proved {np.mean(unproved < 0.01):.0%} to 0.01 bp",
            ),
        )


def _measure_household(
    problem: Problem, years: Any, report: Any, fixed: np.ndarray, household: int, seconds: float
) -> tuple[float, float, float]:
    """Return, in bp: ours above SCIP's best, fixed rates above it, it above its own bound."""
    accounts = list(range(*problem.household_offsets[household : household + 2]))
    answer = solve_with_scip(problem, accounts, tax=years[household], seconds=seconds)
    assert answer is not None
    unit = problem.value[accounts].sum() / BPS
    sold = pour(problem, fixed, problem.tau(), accounts)
    at_fixed = measure_netted(problem, accounts, fixed, sold, years[household])
    best = answer.objective
    return (
        (report.objective[household] - best) / unit,
        (at_fixed - best) / unit,
        (best - answer.bound) / unit,
    )


@dataclass
class Clock:
    """Seconds that the peer's solver took, without what stating the problem took."""

    seconds: float = 0.0


@contextmanager
def timing_clarabel() -> Iterator[Clock]:
    """Let the references' Clarabel tell how long it solved."""
    clock = Clock()

    class Solver:
        def __init__(self, *arguments: Any) -> None:
            self.arguments = arguments

        def solve(self) -> Any:
            seconds, solution = spend(lambda: clarabel.DefaultSolver(*self.arguments).solve())
            clock.seconds += seconds
            return solution

    class Module:
        DefaultSolver = Solver

        def __getattr__(self, name: str) -> Any:
            return getattr(clarabel, name)

    with patch.object(reference_convex, "clarabel", Module()):
        yield clock


def compare_limits(*, cases: int = 120) -> Iterator[Line]:
    """Compare limits on gains and turnover, and switches to partners, with Clarabel at 1e-11."""
    kinds: tuple[tuple[str, Callable[[Problem], Limits], dict[str, Any]], ...] = (
        ("gains budget", _limit_gains, {"loss_max": LOSS_MAX, "accounts_max": 2}),
        ("turnover limit", _limit_turnover, {"loss_max": LOSS_MAX, "accounts_max": 2}),
        ("partner switches", no_limits, {"has_partners": True, "loss_max": 0.3}),
    )
    for name, limit, kind in kinds:
        problem, _ = draw_households(5, cases, positions=8, **kind)
        limits = limit(problem)
        ours, (plan, report) = spend(
            lambda p=problem, at=limits: solve_within(p, at, solve_convex, is_divisible=True),
            times=2,
        )
        weights = sum_accounts(problem, weigh_plan(problem, plan))
        gap, binding = (
            [],
            (report.gain_price > 0) | (sum_accounts(problem, report.turnover_price) > 0),
        )
        with timing_clarabel() as clock:
            for household in range(cases):
                accounts = list(range(*problem.household_offsets[household : household + 2]))
                answer = solve_with_clarabel(
                    problem,
                    accounts,
                    gains_limit=limits.gains_left()[household],
                    turnover_limits=[limits.turnover[a] for a in accounts],
                )
                value = problem.value[accounts].sum()
                gap.append((weights[household] - answer.objective) / value * BPS)
        switched = (problem.target == 0) & (plan.trade > 0) & (problem.held == 0)
        note = (
            f"{switched.sum() / cases:.1f} switches each"
            if limit is no_limits
            else f"binds for {binding.sum()} of {cases}"
        )
        yield Line(
            f"Clarabel, the solver alone: {name}",
            cases,
            ours / cases,
            clock.seconds / cases,
            (float(np.mean(gap)), max(gap)),
            goals=(Goal("away from the optimum, worst", float(np.abs(gap).max()), 1e-6, "bp"),),
            notes=(note,),
        )


def _limit_gains(problem: Problem) -> Limits:
    plan, _ = solve_within(problem, no_limits(problem), solve_convex, is_divisible=True)
    gains, dice = measure_gains(problem, plan.sold), np.random.default_rng(1)
    budget = np.where(gains > 0, gains * dice.random(len(gains)), np.inf)
    return replace(no_limits(problem), gains_budget=budget)


def _limit_turnover(problem: Problem) -> Limits:
    plan, _ = solve_within(problem, no_limits(problem), solve_convex, is_divisible=True)
    turnover = measure_turnover(problem, plan.trade)
    share = np.random.default_rng(2).uniform(0.2, 1.0, len(turnover))
    return replace(no_limits(problem), turnover=turnover * share)
