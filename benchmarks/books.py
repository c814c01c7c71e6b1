"""Random Books, their columns drawn at once: drifted accounts with lots of all ages."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Schedule, Trigger
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import Book, ModelRow, SecurityRow, build_book
from rebalancer.engine.columns import CENTS, PRICE_UNITS, SHARE_UNITS, to_day

TODAY = date(2026, 11, 20)
SECURITIES, LOTS, FLOW = 12, 4, 0.04
WHOLE, FRACTION = 100_000_000, 10_000  # share units: one share, a ten-thousandth


def draw_policies(*, harvests_losses: bool) -> list[PolicyTerms]:
    """Return two policies, the second with tickets: 5/25 bands around each security."""
    terms: dict[str, Any] = {
        "trigger": Trigger.THRESHOLD,
        "schedule": Schedule.DAILY,
        "cron_line": "",
        "band_level": BandLevel.SECURITY,
        "band_measure": BandMeasure.NARROWER,
        "absolute_band": Decimal("0.05"),
        "relative_band": Decimal("0.25"),
        "band_floor": Decimal("0.005"),
        "destination": Destination.TARGET,
        "min_trade_amount": Decimal(50),
        "cash_floor_amount": Decimal(0),
        "need_horizon_days": 30,
        "approval_hours_max": 48,
        "price_tolerance": Decimal("0.02"),
        "willingness": Decimal("0.025"),
        "harvests_losses": harvests_losses,
    }
    return [
        PolicyTerms(policy_id=1, **terms),
        PolicyTerms(policy_id=2, **{**terms, "commission_fixed": Decimal(1)}),
    ]


def draw_market(dice: np.random.Generator) -> tuple[list[SecurityRow], list[ModelRow]]:
    """Return twelve securities, half traded whole, and one model of all of them."""
    prices = np.exp(dice.normal(np.log(90), 0.8, SECURITIES)).clip(5, 900).round(2)
    spreads = dice.uniform(2, 12, SECURITIES).round(2)
    weights = (dice.dirichlet(np.full(SECURITIES, 8.0)) * 0.99).round(6)
    weights[0] += 0.99 - weights.sum()
    securities = [
        SecurityRow(
            security_id=i + 1,
            symbol=f"S{i + 1:02d}",
            class_name=f"Class {i // 3 + 1}",
            price=Decimal(f"{prices[i]:.2f}"),
            share_step=Decimal(1) if i % 2 else Decimal("0.0001"),
            half_spread_bps=Decimal(f"{spreads[i]:.2f}"),
        )
        for i in range(SECURITIES)
    ]
    wanted = tuple((i + 1, Decimal(f"{weights[i]:.6f}")) for i in range(SECURITIES))
    return securities, [ModelRow(1, "Twelve", Decimal("0.01"), wanted)]


def draw_book(account_count: int, *, seed: int = 7, harvests_losses: bool = False) -> Book:
    """Return a Book of households of one account: 12 securities of 4 lots, log-normal in value.

    Two of five accounts have had money come or go, seven of ten are taxed, a quarter pay tickets.
    """
    dice = np.random.default_rng(seed)
    securities, models = draw_market(np.random.default_rng(1))
    policies = draw_policies(harvests_losses=harvests_losses)
    empty = build_book(
        price_date=TODAY,
        securities=securities,
        models=models,
        policies=policies,
        households=[],
        accounts=[],
        lots=[],
    )
    prices = empty.price_units / PRICE_UNITS
    weights = np.array([float(weight) for _, weight in models[0].weights])
    shape = (account_count, SECURITIES)
    value = np.clip(np.exp(dice.normal(np.log(60e3), 1.1, account_count)), 3e3, 5e6)
    held = value[:, None] * weights * np.exp(dice.normal(0, 0.18, shape))
    held *= dice.random(shape) > 0.08
    held *= (0.985 * value / held.sum(axis=1))[:, None]
    flow = dice.choice([0, 0, 0, FLOW, -FLOW], account_count)
    flow = flow * dice.uniform(0.2, 1.5, account_count)
    lots = _draw_lots(dice, empty, held / prices)
    is_taxable = dice.random(account_count) < 0.7
    return replace(
        empty,
        **{
            "households": tuple(_draw_households(account_count)),
            "household_offsets": np.arange(account_count + 1),
            "account_ids": np.arange(1, account_count + 1),
            "cash_cents": np.rint(np.maximum(value * (0.015 + flow), 0) * CENTS).astype(np.int64),
            "need_cents": np.rint(np.where(flow < 0, -flow * value, 0) * CENTS).astype(np.int64),
            "books_version": np.ones(account_count, np.int64),
            "model_index": np.zeros(account_count, np.int64),
            "policy_index": (dice.random(account_count) < 0.25).astype(np.int64),
            "is_taxable": is_taxable,
            "is_tax_free": ~is_taxable & (dice.random(account_count) < 0.5),
            "is_frozen": np.zeros(account_count, np.bool_),
            "lock_offsets": np.zeros(account_count + 1, np.int64),
            **lots,
        },
    )


def _draw_households(count: int) -> list[HouseholdTerms]:
    short, long = Decimal("0.35"), Decimal("0.15")
    return [HouseholdTerms(number, short, long) for number in range(1, count + 1)]


def _draw_lots(dice: np.random.Generator, empty: Book, shares: np.ndarray) -> dict[str, Any]:
    """Return the columns of four lots for each holding, in steps of its security."""
    count = len(shares)
    step = np.maximum(empty.step_units, FRACTION)
    part = dice.gamma(1.5, 1.0, (count, SECURITIES, LOTS))
    part /= part.sum(axis=2, keepdims=True)
    units = np.rint(shares[:, :, None] * part * SHARE_UNITS / step[:, None]) * step[:, None]
    prices = empty.price_units / PRICE_UNITS
    gain = np.clip(dice.normal(0.15, 0.3, units.shape), -0.6, 0.9)
    cost = units / SHARE_UNITS * prices[:, None] * (1 - gain)
    day = to_day(TODAY - timedelta(days=40)) - dice.integers(0, 1_000, units.shape)
    held = units > 0
    account, security, _ = np.nonzero(held)
    number = np.bincount(account, minlength=count)
    return {
        "lot_offsets": np.concatenate([[0], np.cumsum(number)]).astype(np.int64),
        "lot_ids": np.arange(1, len(account) + 1),
        "lot_security": security.astype(np.int64),
        "lot_units": units[held].astype(np.int64),
        "lot_cost_cents": np.rint(cost[held] * CENTS).astype(np.int64),
        "lot_day": day[held].astype(np.int64),
    }


def measure_size(book: Book) -> float:
    """Return the bytes that the Book's columns take for one account."""
    columns = [column for column in vars(book).values() if isinstance(column, np.ndarray)]
    return sum(column.nbytes for column in columns) / book.account_count
