"""How fast a Book is measured and solved, how near the plans come, and `spread` beside a peer."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from benchmarks.books import draw_book
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.exact import finish_plan, measure_after
from rebalancer.engine.solve import choose_move, solve_account
from rebalancer.engine.spread import spread
from rebalancer.engine.targets import resolve_targets

ACCOUNTS, SOLVED, SPREADS = 10_000, 1_000, 200


def measure(work: Callable[[], object], times: int = 3) -> float:
    """Return the least process seconds that `work` takes over some runs."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def run() -> None:
    """Print every figure."""
    start = time.process_time()
    book = draw_book(ACCOUNTS)
    print(f"Book of {ACCOUNTS:,} accounts x 12 securities x 4 lots")
    print(f"  built from rows     {time.process_time() - start:8.2f} s")
    columns = [value for value in vars(book).values() if isinstance(value, np.ndarray)]
    size = sum(column.nbytes for column in columns) / ACCOUNTS
    print(f"  kept in             {size:8.0f} bytes an account")

    def look() -> None:
        fresh = replace(book)  # without what an earlier look has worked out
        measure_drift(fresh, resolve_targets(fresh))

    seconds = measure(look)
    print(f"  targets and drift   {seconds / ACCOUNTS * 1e6:8.2f} us an account")
    targets = resolve_targets(book)
    drift = measure_drift(book, targets)

    def solve() -> list[object]:
        return [
            finish_plan(
                book,
                targets,
                solve_account(book, targets, drift, a, choose_move(book, drift, a, is_flow=False)),
            )
            for a in range(SOLVED)
        ]

    seconds = measure(solve, times=1)
    print(f"  solved and verified {seconds / SOLVED * 1e6:8.0f} us an account")
    plans = solve()
    distances = []
    for account, plan in enumerate(plans):
        weights, cash = measure_after(book, account, plan)  # type: ignore[arg-type]
        away = np.abs(weights - targets.weights[account]).sum() + abs(cash - targets.cash[account])
        distances.append(away / 2)
    before = drift.drift_total[:SOLVED].mean()
    print(
        f"  distance from target, mean: {before:.4%} before, {np.mean(distances):.4%} after "
        f"(whole shares, nothing below $50); worst {np.max(distances):.4%}"
    )
    compare_spread()


def compare_spread() -> None:
    """Print how `spread` does beside scipy's SLSQP on the same problems."""
    dice = np.random.default_rng(11)
    problems = []
    for _ in range(SPREADS):
        center, slope = dice.uniform(0, 1, 12), dice.uniform(0.05, 1, 12)
        low, high = center - dice.uniform(0, 0.4, 12), center + dice.uniform(0, 0.4, 12)
        total = dice.uniform(low.sum(), high.sum())
        problems.append(
            {"total": total, "center": center, "slope": slope, "low": low, "high": high}
        )
    ours = measure(lambda: [spread(**problem) for problem in problems])
    peers = measure(lambda: [_slsqp(**problem) for problem in problems], times=1)
    worse = max(
        _cost(problem, spread(**problem)) - _cost(problem, _slsqp(**problem))
        for problem in problems
    )
    print(f"spread, {SPREADS} problems of 12 places")
    print(
        f"  {peers / ours:8.0f} times as fast as scipy's SLSQP ({ours / SPREADS * 1e6:.0f} us each)"
    )
    print(f"  objective above the peer's by at most {worse:.1e}")


def _cost(problem: dict[str, np.ndarray], x: np.ndarray) -> float:
    return float(((x - problem["center"]) ** 2 / problem["slope"]).sum())


def _slsqp(
    *, total: float, center: np.ndarray, slope: np.ndarray, low: np.ndarray, high: np.ndarray
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
