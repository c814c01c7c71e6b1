"""Seeded random households for the coupled path: a Problem of a few accounts and its Coupling.

Used by the tests of the coupled path and by its benchmark. Holdings drift from their targets, lots
carry gains and losses, and by default location costs, household targets by security and by class,
and wash sale windows over every security that holds a loss are present.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.coupled.solve import Coupling
from rebalancer.engine.problem import Problem

TAXABLE, DEFERRED, FREE = 0, 1, 2
KINDS = np.array([TAXABLE, DEFERRED, FREE, TAXABLE, DEFERRED])
LOCATION_COST = np.array([0.004, 0.001, -0.001])  # of a unit of money, by kind


@dataclass(frozen=True)
class HouseholdShape:
    """What a random household has; shares and amounts are fractions."""

    accounts: int = 5
    securities: int = 20
    lots: int = 5  # of every holding
    classes: int = 4
    own_penalty: float = 0.05  # drift of one account by itself
    row_penalty: float = 0.5  # drift of the household, by security and by class
    has_location: bool = True
    has_wash: bool = True
    has_lots: bool = True  # False: nothing is taxed
    whole_shares: float = 0.5  # share of securities traded whole
    ticket: float = 0.0
    smallest: float = 0.0  # smallest trade as a share of the account
    flow: float = 0.04  # standard deviation of a deposit or withdrawal, share of the account
    cap: float = 0.0  # > 0: caps by class at this much over its target
    turnover: float = np.inf  # share of each account that may be traded
    gains: float = np.inf  # net gain that may be realised, share of the household
    impact: float = 0.0


def build_household(
    random: np.random.Generator, shape: HouseholdShape | None = None
) -> tuple[Problem, Coupling]:
    """Return a random household of the given shape (the default one is the benchmark's)."""
    shape = shape or HouseholdShape()
    share = random.dirichlet(np.full(shape.securities, 3.0)) * 0.98
    problem = _build_problem(random, shape, share)
    return problem, _build_coupling(random, shape, problem, share)


def _build_problem(random: np.random.Generator, shape: HouseholdShape, share: Floats) -> Problem:
    accounts, count = shape.accounts, shape.accounts * shape.securities
    account = np.repeat(np.arange(accounts), shape.securities)
    is_taxable = (KINDS[np.arange(accounts) % len(KINDS)] == TAXABLE) & shape.has_lots
    value = np.exp(random.normal(np.log(90_000), 0.8, accounts))
    price = np.exp(random.normal(4.5, 0.7, shape.securities))
    is_whole = np.tile(random.random(shape.securities) < shape.whole_shares, accounts)
    step = np.where(is_whole, np.tile(price, accounts), np.tile(price * 1e-4, accounts))
    held = _draw_holdings(random, shape, share, value)
    # A security that is traded whole is held whole.
    held = np.where(is_whole, np.round(held / step) * step, held)
    flow = random.normal(0, shape.flow, accounts) * value if shape.flow else np.zeros(accounts)
    cash = 0.02 * value + flow
    value = np.maximum(np.bincount(account, held, accounts) + cash, 0.1 * value)
    half_spread = np.tile(random.uniform(0.0001, 0.001, shape.securities), accounts)
    offsets, amount, gain, is_long = _draw_lots(random, shape, held, is_taxable[account])
    of_segment = np.repeat(account, np.diff(offsets))
    rate = np.where(is_long, 0.15, 0.35) * is_taxable[of_segment]
    return Problem(
        household_offsets=np.array([0, accounts]),
        value=value,
        cash=cash,
        cash_min=0.002 * value,
        cash_target=0.02 * value,
        cash_penalty=np.full(accounts, 0.3),
        ticket_price=np.zeros(accounts),
        short_rate=np.where(is_taxable, 0.35, 0.0),
        long_rate=np.where(is_taxable, 0.15, 0.0),
        position_offsets=np.arange(accounts + 1) * shape.securities,
        group_offsets=np.zeros(accounts + 1, dtype=np.int64),
        group_target=np.zeros(0),
        group_penalty=np.zeros(0),
        security=np.tile(np.arange(shape.securities), accounts),
        group=np.full(count, -1),
        held=held,
        target=np.tile(share, accounts) * value[account],
        penalty=np.full(count, shape.own_penalty),
        buy_cost=half_spread,
        sell_cost=half_spread.copy(),
        ticket_cash=np.full(count, shape.ticket),
        impact=np.full(count, shape.impact),
        smallest=shape.smallest * value[account],
        step=step,
        buy_max=np.where(random.random(count) < 0.05, 0.0, np.inf),
        segment_offsets=offsets,
        lot=np.arange(len(amount)),
        amount=amount,
        gain=gain,
        is_long=is_long,
        waiting=0.5 * gain * rate,
    )


def _draw_holdings(
    random: np.random.Generator, shape: HouseholdShape, share: Floats, value: Floats
) -> Floats:
    """Return what each account holds: its targets after some drift, one in ten not held."""
    drift = np.exp(random.normal(0, 0.35, (shape.accounts, shape.securities)))
    held = share * drift * (random.random(drift.shape) > 0.1)
    held *= (0.98 * value / np.maximum(held.sum(axis=1), 1e-9))[:, None]
    return held.ravel()


def _draw_lots(
    random: np.random.Generator, shape: HouseholdShape, held: Floats, is_taxed: Bools
) -> tuple[Ints, Floats, Floats, Bools]:
    """Return segment offsets, amounts, gains and terms of the lots of every holding."""
    counts = np.where(held > 0, shape.lots, 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    position = np.repeat(np.arange(len(held)), counts)
    part = random.uniform(0.1, 1.0, len(position))
    amount = part / np.bincount(position, part, len(held))[position] * held[position]
    gain = np.clip(random.normal(0.18, 0.25, len(position)), -0.5, 0.8) * is_taxed[position]
    return offsets, amount, gain, random.random(len(position)) < 0.7


def _build_coupling(
    random: np.random.Generator, shape: HouseholdShape, problem: Problem, share: Floats
) -> Coupling:
    accounts, securities = shape.accounts, shape.securities
    position = np.arange(accounts * securities).reshape(accounts, securities)
    of_class = random.integers(0, shape.classes, securities)
    classes = [position[:, of_class == number].ravel() for number in range(shape.classes)]
    class_share = np.bincount(of_class, share, shape.classes)
    rows = [*position.T, *classes]
    household = float(problem.value.sum())
    location = LOCATION_COST[KINDS[np.arange(accounts) % len(KINDS)]][:, None]
    location = (
        location
        * random.uniform(0, 2, securities)
        * random.uniform(0.5, 1.5, accounts * securities).reshape(accounts, securities)
    )
    caps = classes if shape.cap else []
    return Coupling(
        holding_cost=location.ravel() * shape.has_location,
        row_offsets=_offsets(rows),
        row_position=_join(rows),
        row_target=np.concatenate([share, class_share]) * household,
        row_penalty=np.full(len(rows), shape.row_penalty),
        cap_offsets=_offsets(caps),
        cap_position=_join(caps),
        cap_max=class_share[: len(caps)] * (1 + shape.cap) * household,
        cap_labels=tuple(f"class {number}" for number in range(len(caps))),
        **_build_windows(shape, problem, position),
        turnover_max=shape.turnover * problem.value,
        gains_max=shape.gains * household,
    )


def _build_windows(shape: HouseholdShape, problem: Problem, position: Ints) -> dict[str, Any]:
    """Return the wash fields: a window over every security that somewhere holds a loss."""
    segment_lists, position_lists, labels = [], [], []
    for security in range(shape.securities if shape.has_wash else 0):
        owners = position[:, security]
        segments = _join([np.arange(*problem.segment_offsets[i : i + 2]) for i in owners])
        losses = segments[problem.gain[segments] < 0]
        if len(losses):
            segment_lists.append(losses)
            position_lists.append(owners)
            labels.append(f"security {security}")
    return {
        "wash_segment_offsets": _offsets(segment_lists),
        "wash_segment": _join(segment_lists),
        "wash_position_offsets": _offsets(position_lists),
        "wash_position": _join(position_lists),
        "wash_labels": tuple(labels),
    }


def _offsets(lists: list[Ints]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(part) for part in lists])]).astype(np.int64)


def _join(lists: list[Ints]) -> Ints:
    return np.concatenate([*lists, []]).astype(np.int64)


def without_wash(coupling: Coupling) -> Coupling:
    """Return the same household as if no wash sale rule existed."""
    none, zero = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    return replace(
        coupling,
        wash_segment_offsets=zero,
        wash_segment=none,
        wash_position_offsets=zero,
        wash_position=none,
        wash_labels=(),
    )
