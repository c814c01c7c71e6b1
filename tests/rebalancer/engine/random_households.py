"""Random households with a tax return: accounts, lots and a year with gains or losses so far."""

from dataclasses import replace

import numpy as np

from rebalancer.engine.netting.tax_return import TaxYear
from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.reference import HouseholdTax

CAP = 3000.0


def draw_account(
    rng, *, positions: int, is_taxable: bool, whole_share: float, ticket: float, loss_max: float
):
    """Return one account as a dict of columns."""
    value = float(np.exp(rng.normal(np.log(120e3), 1.0)).clip(5e3, 3e6))
    weights = rng.dirichlet(np.full(positions, 3.0)) * 0.99
    held = value * weights * np.exp(rng.normal(0, 0.25, positions))
    held *= value * 0.985 / held.sum()
    counts = rng.integers(1, 4, positions)
    gain = np.clip(rng.normal(0.12, 0.3, counts.sum()), -loss_max, 0.85) * is_taxable
    is_whole = rng.random(positions) < whole_share
    cost = rng.uniform(2e-4, 15e-4, positions)
    return {
        "value": value,
        "cash": value * 0.015 + value * rng.choice([0, 0, 0.03, -0.03]),
        "held": held,
        "target": value * weights,
        "penalty": rng.uniform(0.3, 1.0, positions),
        "cost": cost,
        "step": np.where(is_whole, np.minimum(rng.uniform(20, 400, positions), value / 50), 1e-6),
        "smallest": np.where(is_whole, max(25.0, 5e-4 * value), 0.0),
        "ticket": np.full(positions, ticket * (rng.random() < 0.25)),
        "counts": counts,
        "amount": np.concatenate(
            [h * rng.dirichlet(np.ones(n)) for h, n in zip(held, counts, strict=True)]
        ),
        "gain": gain,
        "is_long": rng.random(counts.sum()) < 0.6,
    }


def build_problem(accounts: list[dict], household_sizes: list[int], *, impact=0.0) -> Problem:
    """Return a Problem of drawn accounts, without groups."""

    def join(key):
        return np.concatenate([account[key] for account in accounts])

    def each(key):
        return np.array([account[key] for account in accounts], dtype=float)

    count, value = len(accounts), each("value")
    lengths = [len(account["held"]) for account in accounts]
    return Problem(
        household_offsets=np.concatenate([[0], np.cumsum(household_sizes)]).astype(np.int64),
        value=value,
        cash=each("cash"),
        cash_min=np.zeros(count),
        cash_target=0.01 * value,
        cash_penalty=np.full(count, 0.5),
        ticket_price=np.zeros(count),
        short_rate=np.full(count, 0.35),
        long_rate=np.full(count, 0.15),
        position_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        group_offsets=np.zeros(count + 1, dtype=np.int64),
        group_target=np.zeros(0),
        group_penalty=np.zeros(0),
        security=np.concatenate([np.arange(n) for n in lengths]),
        group=np.full(sum(lengths), -1),
        held=join("held"),
        target=join("target"),
        penalty=join("penalty"),
        buy_cost=join("cost"),
        sell_cost=join("cost"),
        ticket_cash=join("ticket"),
        impact=np.full(sum(lengths), impact),
        smallest=join("smallest"),
        step=join("step"),
        buy_max=np.full(sum(lengths), 1e12),
        segment_offsets=np.concatenate([[0], np.cumsum(join("counts"))]).astype(np.int64),
        lot=np.arange(len(join("amount"))),
        amount=join("amount"),
        gain=join("gain"),
        is_long=join("is_long"),
        waiting=np.zeros(len(join("amount"))),
    )


def add_partners(problem: Problem) -> Problem:
    """Return the problem in which what has a loss is only sold, and a partner bought for it.

    Both stand in one group that carries the target, so that selling at a loss and staying invested
    is one convex choice.
    """
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    has_loss = np.zeros(len(problem.held), dtype=bool)
    has_loss[position[problem.gain < 0]] = True
    copies = 1 + has_loss
    source = np.repeat(np.arange(len(problem.held)), copies)
    is_partner = np.append(False, source[1:] == source[:-1])
    columns = {
        name: getattr(problem, name)[source]
        for name in ["buy_cost", "sell_cost", "ticket_cash", "impact", "smallest", "step"]
    }
    tied = has_loss[source]
    groups = np.bincount(account[has_loss], minlength=problem.account_count)
    return replace(
        problem,
        position_offsets=np.append(0, np.cumsum(copies))[problem.position_offsets],
        group_offsets=np.append(0, np.cumsum(groups)),
        group_target=problem.target[has_loss],
        group_penalty=problem.penalty[has_loss],
        group=np.where(tied, (np.cumsum(has_loss) - 1)[source], -1),
        security=np.where(is_partner, 1000, 0) + problem.security[source],
        held=np.where(is_partner, 0.0, problem.held[source]),
        target=np.where(tied, 0.0, problem.target[source]),
        penalty=np.where(tied, 0.0, problem.penalty[source]),
        buy_max=np.where(tied & ~is_partner, 0.0, 1e12),
        segment_offsets=np.append(
            0, np.cumsum(np.where(is_partner, 0, np.diff(problem.segment_offsets)[source]))
        ),
        **columns,
    )


def draw_year(rng, value: float) -> tuple[float, float]:
    """Return the net short and long gains of the year so far, carries included, money."""
    kind = rng.integers(0, 4)
    size = rng.normal(0, 0.03, 2) * value + rng.normal(0, 2500, 2)
    if kind == 0:
        return float(abs(size[0])), float(abs(size[1]))
    if kind == 1:
        return float(-abs(size[0])), float(-abs(size[1]))
    return float(size[0]), float(size[1])


def draw_households(
    seed: int,
    count: int,
    *,
    accounts_max=1,
    positions=6,
    whole_share=0.0,
    ticket=0.0,
    impact=0.0,
    loss_max=0.9,
    has_partners=False,
    deduction_rate=0.35,
) -> tuple[Problem, list[HouseholdTax]]:
    """Return households of one to `accounts_max` accounts, and each one's return so far.

    With `loss_max` below a round trip's cost no loss pays to be sold and bought back: the
    households without whole shares and tickets are then convex. They are as well with partners.
    """
    rng = np.random.default_rng(seed)
    accounts, sizes, years = [], [], []
    for _ in range(count):
        size = int(rng.integers(1, accounts_max + 1))
        members = [
            draw_account(
                rng,
                positions=positions,
                is_taxable=not place or rng.random() < 0.5,
                whole_share=whole_share,
                ticket=ticket,
                loss_max=loss_max,
            )
            for place in range(size)
        ]
        short, long = draw_year(rng, sum(member["value"] for member in members))
        carried_rate = min(0.12, deduction_rate / 2)
        years.append(HouseholdTax(short, long, CAP, 0.35, 0.15, deduction_rate, carried_rate))
        accounts += members
        sizes.append(size)
    problem = build_problem(accounts, sizes, impact=impact)
    return add_partners(problem) if has_partners else problem, years


def gather_years(years: list[HouseholdTax]) -> TaxYear:
    """Return the households' returns as the engine's columns."""
    names = {
        "short": "short",
        "long": "long",
        "loss_cap": "cap",
        "short_rate": "short_rate",
        "long_rate": "long_rate",
        "deduction_rate": "deduction_rate",
        "carried_rate": "carried_rate",
    }
    return TaxYear(
        **{to: np.array([getattr(y, name) for y in years]) for to, name in names.items()}
    )
