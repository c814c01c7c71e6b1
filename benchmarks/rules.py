"""What simpler rules lose on the same accounts and objective; and `spread` beside SLSQP."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from benchmarks.table import Line, show, spend
from rebalancer.engine.kernel.solve import solve_convex, solve_discrete
from rebalancer.engine.problem import Problem
from rebalancer.engine.spread import spread
from rebalancer.engine.terms import measure_terms
from tests.rebalancer.engine.random_problems import draw_problem

BPS = 1e4
ABSOLUTE, RELATIVE = 0.05, 0.25
CENT = 0.01


def compare_rules(*, cases: int = 10_000) -> list[str]:
    """Return in lines what each rule costs above our plan; plans short of cash are left out."""
    with_losses = _list_losses(draw_problem(2, accounts=cases))
    gains_only = _list_losses(draw_problem(2, accounts=cases, has_losses=False))
    lines = [
        f"{'bp of value above ours: mean / median':50}{'a third of lots at a loss':28}"
        "no lot at a loss"
    ]
    for name, losses in with_losses.items():
        cells = [f"{show(np.mean(x))} / {show(np.median(x))}" for x in (losses, gains_only[name])]
        lines.append(f"{name:50}{cells[0]:28}{cells[1]}")
    return lines


def _list_losses(problem: Problem) -> dict[str, np.ndarray]:
    """Return by rule what it costs above our plan, bp of value, where it keeps the least cash."""
    best = solve_discrete(problem).objective
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    whole = _round(problem, _to_target(problem))
    weight = problem.held / problem.value[account]
    target = problem.target / problem.value[account]
    away = np.abs(weight - target) > np.minimum(ABSOLUTE, RELATIVE * target)
    breached = np.bincount(account, away, problem.account_count) > 0
    rules = {
        "do nothing": np.zeros_like(problem.held),
        "to target, arbitrary lots": whole,
        "to target, cheapest lots": whole,
        "to target only after a 5/25 breach": np.where(breached[account], whole, 0.0),
        "convex optimum, cut to whole steps": _round(problem, solve_convex(problem).trade),
    }
    losses = {}
    for name, trade in rules.items():
        order = problem.lot.astype(float) if "arbitrary" in name else None
        terms = measure_terms(problem, trade, half_spread=problem.buy_cost, order=order)
        enough = _measure_cash(problem, trade) >= problem.cash_min - CENT
        losses[name] = ((terms.total - best) / problem.value * BPS)[enough]
    return losses


def _to_target(problem: Problem) -> np.ndarray:
    """Return trades straight to the target weights of what the account is worth now."""
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    held = np.bincount(account, problem.held, problem.account_count)
    worth = (held + problem.cash) / problem.value
    trade = problem.target * worth[account] - problem.held
    return np.minimum(trade, problem.buy_max)


def _round(problem: Problem, trade: np.ndarray) -> np.ndarray:
    """Return the trades in whole steps, towards zero, without those that are too small.

    Where the cash does not reach, all that is bought is cut by the same share.
    """
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    sells = _keep_allowed(problem, np.minimum(trade, 0.0))
    buys = np.maximum(trade, 0.0)
    room = _measure_cash(problem, sells) - problem.cash_min
    price = buys * (1 + problem.buy_cost) + problem.ticket_cash * (buys > 0)
    spent = np.bincount(account, price, problem.account_count)
    share = np.clip(np.divide(room, spent, out=np.ones_like(room), where=spent > 0), 0.0, 1.0)
    return sells + _keep_allowed(problem, buys * share[account])


def _keep_allowed(problem: Problem, trade: np.ndarray) -> np.ndarray:
    is_exit = (trade < 0) & (trade <= -problem.held + 1e-9)
    steps = np.trunc(trade / problem.step + np.copysign(1e-9, trade)) * problem.step
    return np.where(is_exit | (np.abs(steps) >= problem.smallest), steps, 0.0)


def _measure_cash(problem: Problem, trade: np.ndarray) -> np.ndarray:
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    cost = np.where(trade > 0, 1 + problem.buy_cost, 1 - problem.sell_cost)
    flow = trade * cost + problem.ticket_cash * (trade != 0)
    return problem.cash - np.bincount(account, flow, problem.account_count)


# --- `spread`, which lays money upon rows --------------------------------------------------------


def compare_spread(*, cases: int = 200) -> Iterator[Line]:
    """Compare `spread` with scipy's SLSQP."""
    dice = np.random.default_rng(11)
    problems = []
    for _ in range(cases):
        center, slope = dice.uniform(0, 1, 12), dice.uniform(0.05, 1, 12)
        low, high = center - dice.uniform(0, 0.4, 12), center + dice.uniform(0, 0.4, 12)
        total = dice.uniform(low.sum(), high.sum())
        problems.append((total, center, slope, low, high))
    spread(*problems[0])
    ours, found = spend(lambda: [spread(*problem) for problem in problems], times=5)
    peer, others = spend(lambda: [_slsqp(*problem) for problem in problems])
    gap = [
        _cost(problem, one) - _cost(problem, other)
        for problem, one, other in zip(problems, found, others, strict=True)
    ]
    yield Line(
        "scipy's SLSQP, 12 rows; gap in its objective",
        cases,
        ours / cases,
        peer / cases,
        (float(np.mean(gap)), float(np.max(gap))),
    )


def _cost(problem: tuple, x: np.ndarray) -> float:
    _, center, slope, _, _ = problem
    return float(((x - center) ** 2 / slope).sum())


def _slsqp(
    total: float, center: np.ndarray, slope: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    answer = minimize(
        lambda x: ((x - center) ** 2 / slope).sum(),
        np.clip(center, low, high),
        jac=lambda x: 2 * (x - center) / slope,
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 300},
    )
    return answer.x
