"""The Book: a firm's accounts, lots, targets and prices as columns, for one account or a million.

Owned quantities are kept exact, as integers in the smallest unit (1e-8 shares, cents, 1e-6 of a
price); the float views that the engine decides on are derived from them. Lots and locks are in
account order with offsets: those of account `a` are `lot_offsets[a]:lot_offsets[a + 1]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rebalancer.domain.policy import PolicyTerms

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARE_UNITS, CENTS, PRICE_UNITS, WEIGHT_UNITS = 10**8, 10**2, 10**6, 10**8
NO_BUY, NO_SELL, EXCLUDED = 1, 2, 4
EPOCH = date(1970, 1, 1)


def to_units(number: Decimal, units: int) -> int:
    """Return `number` as an exact count of 1/`units`.

    :raises ValueError: when it has more places than that, or is not finite.
    """
    scaled = number * units
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{number} has more places than 1/{units} can hold")
    return int(scaled)


def from_units(count: int, units: int) -> Decimal:
    """Return the exact number that `count` of 1/`units` stands for."""
    return Decimal(int(count)) / units


def to_day(day: date) -> int:
    """Return a date as days since 1970-01-01."""
    return (day - EPOCH).days


@dataclass(frozen=True, slots=True)
class SecurityRow:
    """One security of the firm's list, with its price if a usable one is known."""

    security_id: int
    symbol: str
    class_name: str
    price: Decimal | None
    share_step: Decimal
    half_spread_bps: Decimal
    class_rank: int = 0  # order in lists and charts
    is_buyable: bool = True
    is_unclassified: bool = False
    substitutes: tuple[int, ...] = ()  # security ids, best first
    themes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A published model version: target weights by security id, and of cash."""

    version_id: int
    name: str
    cash_weight: Decimal
    weights: tuple[tuple[int, Decimal], ...]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account as it stands. `need_amount` is the cash to have ready within the horizon."""

    account_id: int
    cash: Decimal
    books_version: int
    model_version_id: int | None
    policy_id: int | None
    is_taxable: bool
    short_term_rate: Decimal
    long_term_rate: Decimal
    need_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class LotRow:
    """One open lot."""

    account_id: int
    lot_id: int
    security_id: int
    quantity: Decimal
    cost: Decimal
    acquired_date: date


@dataclass(frozen=True, slots=True)
class LockRow:
    """A security that an account must not buy, not sell, or not hold at all."""

    account_id: int
    security_id: int
    code: int


@dataclass(frozen=True)
class Book:
    """Columns of accounts, lots and locks against shared tables of securities, models, policies."""

    price_date: date
    securities: tuple[SecurityRow, ...]
    class_names: tuple[str, ...]
    models: tuple[ModelRow, ...]
    policies: tuple[PolicyTerms, ...]
    class_index: Ints  # [securities]
    price_units: Ints  # [securities]; 0 where no usable price is known
    step_units: Ints  # [securities]
    half_spread: Floats  # [securities], fraction of price
    account_ids: Ints  # [accounts]
    cash_cents: Ints
    need_cents: Ints
    books_version: Ints
    model_index: Ints  # -1: follows no published model
    policy_index: Ints  # -1: follows no policy
    is_taxable: Bools
    short_rate: Floats
    long_rate: Floats
    lot_offsets: Ints  # [accounts + 1]
    lot_ids: Ints
    lot_security: Ints  # index into securities
    lot_units: Ints
    lot_cost_cents: Ints
    lot_day: Ints
    lock_offsets: Ints  # [accounts + 1]
    lock_security: Ints
    lock_code: Ints

    @property
    def account_count(self) -> int:
        """Return how many accounts the Book holds."""
        return len(self.account_ids)

    @cached_property
    def prices(self) -> Floats:
        """Return prices by security; NaN where none is usable."""
        return np.where(self.price_units > 0, self.price_units / PRICE_UNITS, np.nan)

    @cached_property
    def lot_account(self) -> Ints:
        """Return the account index of each lot."""
        return np.repeat(np.arange(self.account_count), np.diff(self.lot_offsets))

    @cached_property
    def held_units(self) -> Ints:
        """Return shares held by account and security, exact."""
        held = np.zeros((self.account_count, len(self.securities)), np.int64)
        np.add.at(held, (self.lot_account, self.lot_security), self.lot_units)
        return held

    @cached_property
    def held_values(self) -> Floats:
        """Return the market value held by account and security; NaN where a price is missing."""
        held = self.held_units
        return np.where(held > 0, held / SHARE_UNITS * self.prices, 0.0)

    @cached_property
    def cash(self) -> Floats:
        """Return cash by account."""
        return self.cash_cents / CENTS

    @cached_property
    def values(self) -> Floats:
        """Return the value of each account, cash included; NaN where a price is missing."""
        values: Floats = self.held_values.sum(axis=1) + self.cash
        return values

    @cached_property
    def class_matrix(self) -> Floats:
        """Return the 0/1 matrix [securities, classes] of which class a security is in."""
        matrix = np.zeros((len(self.securities), len(self.class_names)))
        matrix[np.arange(len(self.securities)), self.class_index] = 1.0
        return matrix

    @cached_property
    def index_of_security(self) -> dict[int, int]:
        """Return the row of each security id."""
        return {row.security_id: index for index, row in enumerate(self.securities)}

    def locks_of(self, account: int) -> dict[int, int]:
        """Return the lock codes of one account, by security index."""
        span = slice(self.lock_offsets[account], self.lock_offsets[account + 1])
        locks: dict[int, int] = {}
        for security, code in zip(self.lock_security[span], self.lock_code[span], strict=True):
            locks[int(security)] = locks.get(int(security), 0) | int(code)
        return locks


def _offsets(account_index: Sequence[int], account_count: int) -> Ints:
    counts = np.bincount(np.asarray(account_index, np.int64), minlength=account_count)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def build_book(
    *,
    price_date: date,
    securities: Sequence[SecurityRow],
    models: Sequence[ModelRow],
    policies: Sequence[PolicyTerms],
    accounts: Sequence[AccountRow],
    lots: Sequence[LotRow],
    locks: Sequence[LockRow] = (),
) -> Book:
    """Return the Book of these rows; the order in which rows come never matters.

    :raises KeyError: when a row names an account, security, model or policy that is not given.
    :raises ValueError: when a number has more places than its column holds.
    """
    securities = sorted(securities, key=lambda row: row.symbol)
    accounts = sorted(accounts, key=lambda row: row.account_id)
    models = sorted(models, key=lambda row: row.version_id)
    policies = sorted(policies, key=lambda row: row.policy_id)
    ranks = {row.class_name: row.class_rank for row in securities}
    class_names = tuple(sorted(ranks, key=lambda name: (ranks[name], name)))
    at_class = {name: index for index, name in enumerate(class_names)}
    at_security = {row.security_id: index for index, row in enumerate(securities)}
    at_account = {row.account_id: index for index, row in enumerate(accounts)}
    at_model: dict[int | None, int] = {row.version_id: i for i, row in enumerate(models)}
    at_policy: dict[int | None, int] = {row.policy_id: i for i, row in enumerate(policies)}
    at_model[None] = at_policy[None] = -1
    lots = sorted(lots, key=lambda row: (row.account_id, row.lot_id))
    locks = sorted(locks, key=lambda row: (row.account_id, row.security_id, row.code))

    def ints(values: Sequence[int]) -> Ints:
        return np.asarray(values, np.int64).reshape(len(values))

    return Book(
        price_date=price_date,
        securities=tuple(securities),
        class_names=class_names,
        models=tuple(models),
        policies=tuple(policies),
        class_index=ints([at_class[row.class_name] for row in securities]),
        price_units=ints([to_units(row.price or Decimal(0), PRICE_UNITS) for row in securities]),
        step_units=ints([to_units(row.share_step, SHARE_UNITS) for row in securities]),
        half_spread=np.array([float(row.half_spread_bps) / 1e4 for row in securities]),
        account_ids=ints([row.account_id for row in accounts]),
        cash_cents=ints([to_units(row.cash, CENTS) for row in accounts]),
        need_cents=ints([to_units(row.need_amount, CENTS) for row in accounts]),
        books_version=ints([row.books_version for row in accounts]),
        model_index=ints([at_model[row.model_version_id] for row in accounts]),
        policy_index=ints([at_policy[row.policy_id] for row in accounts]),
        is_taxable=np.array([row.is_taxable for row in accounts], np.bool_),
        short_rate=np.array([float(row.short_term_rate) for row in accounts]),
        long_rate=np.array([float(row.long_term_rate) for row in accounts]),
        lot_offsets=_offsets([at_account[row.account_id] for row in lots], len(accounts)),
        lot_ids=ints([row.lot_id for row in lots]),
        lot_security=ints([at_security[row.security_id] for row in lots]),
        lot_units=ints([to_units(row.quantity, SHARE_UNITS) for row in lots]),
        lot_cost_cents=ints([to_units(row.cost, CENTS) for row in lots]),
        lot_day=ints([to_day(row.acquired_date) for row in lots]),
        lock_offsets=_offsets([at_account[row.account_id] for row in locks], len(accounts)),
        lock_security=ints([at_security[row.security_id] for row in locks]),
        lock_code=ints([row.code for row in locks]),
    )
