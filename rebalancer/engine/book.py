"""The Book: a firm's accounts, lots, targets and prices as columns, for one account or a million.

Owned quantities are kept exact, as integers in the smallest unit (1e-8 shares, cents, 1e-6 of a
price); the float views that the engine decides on are derived from them. Lots and locks are in
account order with offsets: those of account `a` are `lot_offsets[a]:lot_offsets[a + 1]`. Accounts
of one household lie next to each other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property

import numpy as np

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from portfolios.domain.money import split_by_ratio
from portfolios.domain.tax import get_regime
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.columns import (
    CENTS,
    PRICE_UNITS,
    SHARE_UNITS,
    Bools,
    Floats,
    Ints,
    sum_in_order,
    to_day,
    to_units,
)
from rebalancer.engine.wash import Washes, find_washes

# What a lock forbids. WASHED is a NO_BUY of the tax law's: buying would undo a loss just realised.
NO_BUY, NO_SELL, EXCLUDED, WASHED = 1, 2, 4, 8


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
    # In accounts where gains are not taxed; none: the same ones.
    sheltered_substitutes: tuple[int, ...] = ()
    identical_group: str = ""  # substantially identical securities share it; empty: its symbol
    sector: str = ""
    issuer: str = ""
    daily_volume: Decimal | None = None  # shares
    volatility: Decimal | None = None  # of returns, per year
    qualified_yield: Decimal = Decimal(0)  # per year, taxed as long-term gains are
    ordinary_yield: Decimal = Decimal(0)  # per year, taxed as short-term gains are
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
    household_id: int
    cash: Decimal
    books_version: int
    model_version_id: int | None
    policy_id: int | None
    tax_status: TaxStatus
    need_amount: Decimal = Decimal(0)
    is_frozen: bool = False  # counts for its household, but trades nothing now


@dataclass(frozen=True, slots=True)
class LotRow:
    """One open lot; cost and date as tax law sees them, wash sales included."""

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


@dataclass(frozen=True, slots=True)
class RecentTradeRow:
    """A trade of a household of the past weeks whose shares are in no lot of the Book."""

    household_id: int
    security_id: int
    side: Side
    trade_date: date
    is_taxable: bool
    gain: Decimal = Decimal(0)  # of a sale; negative: a loss


@dataclass(frozen=True)
class Book:
    """Columns of accounts, lots and locks against shared tables of securities, models, policies."""

    price_date: date
    securities: tuple[SecurityRow, ...]
    class_names: tuple[str, ...]
    models: tuple[ModelRow, ...]
    policies: tuple[PolicyTerms, ...]
    households: tuple[HouseholdTerms, ...]
    recent_trades: tuple[RecentTradeRow, ...]
    covariance: Floats | None  # [securities, securities], of returns per year
    class_index: Ints  # [securities]
    price_units: Ints  # [securities]; 0 where no usable price is known
    step_units: Ints  # [securities]
    half_spread: Floats  # [securities], fraction of price
    household_offsets: Ints  # [households + 1], into accounts
    account_ids: Ints  # [accounts]
    cash_cents: Ints
    need_cents: Ints
    books_version: Ints
    model_index: Ints  # -1: follows no published model
    policy_index: Ints  # -1: follows no policy
    is_taxable: Bools
    is_tax_free: Bools
    is_frozen: Bools
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
    def household_index(self) -> Ints:
        """Return the household of each account."""
        return np.repeat(np.arange(len(self.households)), np.diff(self.household_offsets))

    @cached_property
    def group_index(self) -> Ints:
        """Return, by security, a number that substantially identical securities share."""
        names = [row.identical_group or row.symbol for row in self.securities]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return np.array([numbers[name] for name in names], np.int64)

    @cached_property
    def washes(self) -> Washes:
        """Return what the wash-sale windows forbid at the price date."""
        return find_washes(self)

    def tax_terms(self, account: int) -> HouseholdTerms:
        """Return the tax return that an account belongs to."""
        return self.households[self.household_index[account]]

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
        values: Floats = sum_in_order(self.held_values) + self.cash
        return values

    def sum_classes(self, values: Floats) -> Floats:
        """Return sums by class of a column, or rows, by security: [..., classes]."""
        members = [np.flatnonzero(self.class_index == c) for c in range(len(self.class_names))]
        return np.stack([sum_in_order(values[..., of]) for of in members], axis=-1)

    @cached_property
    def index_of_security(self) -> dict[int, int]:
        """Return the row of each security id."""
        return {row.security_id: index for index, row in enumerate(self.securities)}

    def substitutes_of(self, account: int, security: int) -> tuple[int, ...]:
        """Return the ids of what may stand in for a security in this account, best first."""
        row = self.securities[security]
        is_sheltered = not self.is_taxable[account] and row.sheltered_substitutes
        return row.sheltered_substitutes if is_sheltered else row.substitutes

    def locks_of(self, account: int) -> dict[int, int]:
        """Return the lock codes of one account, by security index, wash-sale windows included."""
        span = slice(self.lock_offsets[account], self.lock_offsets[account + 1])
        locks: dict[int, int] = {}
        for security, code in zip(self.lock_security[span], self.lock_code[span], strict=True):
            locks[int(security)] = locks.get(int(security), 0) | int(code)
        for group in self.washes.blocked_until.get(int(self.household_index[account]), ()):
            for security in map(int, np.flatnonzero(self.group_index == group)):
                locks[security] = locks.get(security, 0) | WASHED
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
    households: Sequence[HouseholdTerms],
    accounts: Sequence[AccountRow],
    lots: Sequence[LotRow],
    locks: Sequence[LockRow] = (),
    recent_trades: Sequence[RecentTradeRow] = (),
    covariance: Mapping[tuple[int, int], float] | None = None,
) -> Book:
    """Return the Book of these rows; the order in which rows come never matters.

    `covariance` is by pairs of security ids; a pair that is missing is taken as zero.

    :raises KeyError: when a row names a household, account, security, model or policy that is not
        given.
    :raises ValueError: when a number has more places than its column holds.
    """
    securities = sorted(securities, key=lambda row: row.symbol)
    accounts = sorted(accounts, key=lambda row: (row.household_id, row.account_id))
    at_home = {row.household_id for row in accounts}
    households = sorted(
        (row for row in households if row.household_id in at_home),
        key=lambda row: row.household_id,
    )
    at_household = {row.household_id: index for index, row in enumerate(households)}
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
    lots = _pool_costs(households, accounts, lots)
    lots = sorted(lots, key=lambda row: (at_account[row.account_id], row.lot_id))
    locks = sorted(locks, key=lambda row: (at_account[row.account_id], row.security_id, row.code))

    def ints(values: Sequence[int]) -> Ints:
        return np.asarray(values, np.int64).reshape(len(values))

    return Book(
        price_date=price_date,
        securities=tuple(securities),
        class_names=class_names,
        models=tuple(models),
        policies=tuple(policies),
        households=tuple(households),
        recent_trades=tuple(
            sorted(
                (row for row in recent_trades if row.household_id in at_home),
                key=lambda row: (
                    row.household_id,
                    row.trade_date,
                    row.security_id,
                    row.side,
                    row.gain,
                    row.is_taxable,
                ),
            )
        ),
        covariance=_covariance_matrix(covariance, at_security),
        class_index=ints([at_class[row.class_name] for row in securities]),
        price_units=ints([to_units(row.price or Decimal(0), PRICE_UNITS) for row in securities]),
        step_units=ints([to_units(row.share_step, SHARE_UNITS) for row in securities]),
        half_spread=np.array([float(row.half_spread_bps) / 1e4 for row in securities]),
        household_offsets=_offsets(
            [at_household[row.household_id] for row in accounts], len(households)
        ),
        account_ids=ints([row.account_id for row in accounts]),
        cash_cents=ints([to_units(row.cash, CENTS) for row in accounts]),
        need_cents=ints([to_units(row.need_amount, CENTS) for row in accounts]),
        books_version=ints([row.books_version for row in accounts]),
        model_index=ints([at_model[row.model_version_id] for row in accounts]),
        policy_index=ints([at_policy[row.policy_id] for row in accounts]),
        is_taxable=np.array([row.tax_status is TaxStatus.TAXABLE for row in accounts], np.bool_),
        is_tax_free=np.array([row.tax_status is TaxStatus.TAX_FREE for row in accounts], np.bool_),
        is_frozen=np.array([row.is_frozen for row in accounts], np.bool_),
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


def _pool_costs(
    households: Sequence[HouseholdTerms], accounts: Sequence[AccountRow], lots: Sequence[LotRow]
) -> list[LotRow]:
    """Give taxable lots their share of the pool's cost, where the law pools (section 104)."""
    pooling = {row.household_id for row in households if get_regime(row.regime).is_ordered}
    home = {
        row.account_id: row.household_id
        for row in accounts
        if row.household_id in pooling and row.tax_status is TaxStatus.TAXABLE
    }
    pools: dict[tuple[int, int], list[LotRow]] = defaultdict(list)
    pooled = []
    for row in lots:
        if row.account_id in home:
            pools[home[row.account_id], row.security_id].append(row)
        else:
            pooled.append(row)
    for members in pools.values():
        members.sort(key=lambda row: (row.account_id, row.lot_id))
        total = sum((row.cost for row in members), Decimal(0))
        parts = split_by_ratio(total, [row.quantity for row in members])
        pooled += [replace(row, cost=part) for row, part in zip(members, parts, strict=True)]
    return pooled


def _covariance_matrix(
    covariance: Mapping[tuple[int, int], float] | None, at_security: Mapping[int, int]
) -> Floats | None:
    if covariance is None:
        return None
    matrix = np.zeros((len(at_security), len(at_security)))
    for (one, other), value in covariance.items():
        if one in at_security and other in at_security:
            matrix[at_security[one], at_security[other]] = value
            matrix[at_security[other], at_security[one]] = value
    return matrix
