"""Small Books in a few words, and random ones for property tests. Knows no database."""

import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import strategies as st

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Mode, Schedule, Trigger
from rebalancer.domain.plan import Plan
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine import sizing
from rebalancer.engine.answer import Answer as EngineAnswer
from rebalancer.engine.answering import answer_households
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    SecurityRow,
    build_book,
)
from rebalancer.engine.centers import build_centers
from rebalancer.engine.columns import CENTS, EPOCH, SHARE_UNITS, Floats, from_units
from rebalancer.engine.drift import Drift, measure_drift
from rebalancer.engine.exact import measure_values_after
from rebalancer.engine.formulate import formulate
from rebalancer.engine.outcome import Case
from rebalancer.engine.route import choose_mode
from rebalancer.engine.segments import build_segments
from rebalancer.engine.sizing import LotPick
from rebalancer.engine.targets import Targets, resolve_targets

TODAY = date(2026, 11, 20)
D = Decimal


def policy(**terms) -> PolicyTerms:
    """Return policy terms: five points absolute by class, to target, unless told otherwise."""
    return PolicyTerms(
        **{
            "policy_id": 1,
            "trigger": Trigger.THRESHOLD,
            "schedule": Schedule.DAILY,
            "cron_line": "",
            "band_level": BandLevel.ASSET_CLASS,
            "band_measure": BandMeasure.ABSOLUTE,
            "absolute_band": D("0.05"),
            "relative_band": D("0.20"),
            "band_floor": D("0.01"),
            "destination": Destination.TARGET,
            "min_trade_amount": D("50"),
            "cash_floor_amount": D("0"),
            "need_horizon_days": 30,
            "approval_hours_max": 48,
            "price_tolerance": D("0.02"),
            **terms,
        }
    )


def security(
    security_id: int, symbol: str, class_name: str, price: str | None, **more
) -> SecurityRow:
    return SecurityRow(
        security_id=security_id,
        symbol=symbol,
        class_name=class_name,
        price=None if price is None else D(price),
        **{"share_step": D(1), "half_spread_bps": D(2), **more},
    )


def account(account_id: int = 1, cash: str = "0", *, is_taxable=True, **more) -> AccountRow:
    return AccountRow(
        **{
            "account_id": account_id,
            "household_id": account_id,
            "cash": D(cash),
            "books_version": 1,
            "model_version_id": 1,
            "policy_id": 1,
            "tax_status": TaxStatus.TAXABLE if is_taxable else TaxStatus.TAX_DEFERRED,
            **more,
        }
    )


def household(household_id: int = 1, **terms) -> HouseholdTerms:
    return HouseholdTerms(
        **{
            "household_id": household_id,
            "short_term_rate": D("0.35"),
            "long_term_rate": D("0.15"),
            **terms,
        }
    )


def households_of(accounts) -> list[HouseholdTerms]:
    return [household(number) for number in sorted({row.household_id for row in accounts})]


def lot(
    lot_id: int,
    security_id: int,
    quantity: str,
    cost: str,
    *,
    acquired=date(2020, 1, 2),
    account_id=1,
):
    return LotRow(account_id, lot_id, security_id, D(quantity), D(cost), acquired)


def model(cash_weight: str, *weights: tuple[int, str]) -> ModelRow:
    return ModelRow(1, "Model", D(cash_weight), tuple((i, D(w)) for i, w in weights))


def book(**parts) -> Book:
    accounts = parts.get("accounts", [account()])
    return build_book(
        **{
            "price_date": TODAY,
            "policies": [policy()],
            "accounts": accounts,
            "households": households_of(accounts),
            **parts,
        }
    )


FINE = {"share_step": D("0.00000001"), "half_spread_bps": D(0)}


def make_book(
    prices, weights, held, *, cash="0", cash_weight=None, classes=None, fine=True, **parts
):
    """Return a Book of one account: S1, S2, ... at `prices`, `held` in money, model `weights`."""
    terms = {"min_trade_amount": D(0), "band_level": BandLevel.SECURITY, **parts.pop("terms", {})}
    more = FINE if fine else {"share_step": D(1), "half_spread_bps": D(0)}
    securities = [
        security(n, f"S{n}", (classes or ["A"] * 9)[n - 1], price, **more)
        for n, price in enumerate(prices, start=1)
    ]
    lots = [
        lot(n, n, str(D(value) / D(price)), "1")
        for n, (value, price) in enumerate(zip(held, prices, strict=True), start=1)
        if D(value)
    ]
    used = sum((D(weight) for weight in weights), D(0))
    wanted = model(
        str(1 - used) if cash_weight is None else cash_weight,
        *((n, weight) for n, weight in enumerate(weights, start=1) if D(weight)),
    )
    return book(
        **{
            "securities": securities,
            "models": [wanted],
            "policies": [policy(**terms)],
            "accounts": [account(cash=cash, is_taxable=False)],
            "lots": lots,
            **parts,
        }
    )


def random_books(**parts: object) -> st.SearchStrategy[Book]:
    """Draw a firm of a few securities in up to four classes, and accounts in any state.

    Drawn from one seed, which is far quicker than from a tree of strategies and as easy to repeat.
    """
    return st.integers(0, 2**32 - 1).map(
        lambda seed: make_random_book(random.Random(seed), **parts)
    )


def _random_decimal(dice: random.Random, low: str, high: str, places: int) -> D:
    unit = D(1).scaleb(-places)
    return dice.randint(int(D(low) / unit), int(D(high) / unit)) * unit


def _random_security(dice: random.Random, number: int, count: int) -> SecurityRow:
    others = [other for other in range(1, count + 1) if other != number]
    return security(
        number,
        f"S{number}",
        f"class {dice.randint(1, 4)}",
        str(_random_decimal(dice, "0.50", dice.choice(["3", "90", "900"]), 2)),
        share_step=D(dice.choice(["1", "1", "0.001", "0.00000001", "10"])),
        half_spread_bps=D(dice.choice(["0", "1.5", "15"])),
        substitutes=tuple(dice.sample(others, dice.randint(0, min(2, len(others))))),
    )


def _random_model(dice: random.Random, count: int) -> ModelRow:
    points = [dice.choice([0, dice.randint(0, 20)]) for _ in range(count)]
    points[dice.randrange(count)] += 1
    cash_weight = D(dice.choice(["0", "0.01", "0.05"]))
    weights = [(D(p) * (1 - cash_weight) / sum(points)).quantize(D("0.00000001")) for p in points]
    weights[points.index(max(points))] += 1 - cash_weight - sum(weights)
    return ModelRow(
        1, "Model", cash_weight, tuple((i, w) for i, w in enumerate(weights, start=1) if w > 0)
    )


def _random_lots(dice: random.Random, account_id: int, count: int, first_id: int) -> list[LotRow]:
    return [
        lot(
            first_id + number,
            dice.randint(1, count),
            str(_random_decimal(dice, "0.00000001", dice.choice(["1", "400"]), 8)),
            str(_random_decimal(dice, "0", "90000", 2)),
            acquired=TODAY - timedelta(days=dice.randint(0, 1500)),
            account_id=account_id,
        )
        for number in range(dice.randint(0, 3 * count))
    ]


def make_random_book(
    dice: random.Random,
    *,
    with_locks: bool = True,
    is_smooth: bool = False,
    account_count: int = 2,
    **terms: object,
) -> Book:
    """Return the Book that these dice make: dust, huge lots, wishes and cash needs included.

    A smooth one has no spread, no steps that show, no smallest trade and no cash needs.
    """
    count = dice.randint(2, 7)
    securities = [_random_security(dice, number, count) for number in range(1, count + 1)]
    random_terms = {
        "band_level": dice.choice(list(BandLevel)),
        "band_measure": dice.choice(list(BandMeasure)),
        "destination": dice.choice(list(Destination)),
        "min_trade_amount": D(dice.choice(["0", "50", "500"])),
        "cash_floor_amount": D(dice.choice(["0", "100"])),
    }
    if is_smooth:
        securities = [
            replace(row, share_step=D("0.00000001"), half_spread_bps=D(0)) for row in securities
        ]
        random_terms |= {"min_trade_amount": D(0), "cash_floor_amount": D(0)}
    accounts, lots, locks = [], [], []
    for number in range(1, account_count + 1):
        accounts.append(
            account(
                number,
                str(_random_decimal(dice, "0", dice.choice(["0", "10", "50000"]), 2)),
                is_taxable=dice.random() < 0.5 and not is_smooth,
                need_amount=D(0) if is_smooth else D(dice.choice(["0", "0", "250.55", "20000"])),
            )
        )
        lots.extend(_random_lots(dice, number, count, len(lots) + 1))
        locks.extend(
            LockRow(number, security_id, dice.choice([NO_BUY, NO_SELL, EXCLUDED]))
            for security_id in range(1, count + 1)
            if with_locks and dice.random() < 0.1
        )
    return build_book(
        price_date=TODAY,
        securities=securities,
        models=[_random_model(dice, count)],
        policies=[policy(trigger=Trigger.CALENDAR, **{**random_terms, **terms})],
        households=households_of(accounts),
        accounts=accounts,
        lots=lots,
        locks=locks,
    )


def list_accounts(book: Book, *, is_taxable: bool = True) -> list[AccountRow]:
    """Return a Book's accounts as the rows it was built from, or all of them not taxed."""
    return [
        account(
            int(book.account_ids[i]),
            str(from_units(book.cash_cents[i], CENTS)),
            is_taxable=is_taxable and bool(book.is_taxable[i]),
            need_amount=from_units(book.need_cents[i], CENTS),
        )
        for i in range(book.account_count)
    ]


def list_lots(book: Book) -> list[LotRow]:
    """Return a Book's lots as the rows it was built from."""
    return [
        LotRow(
            account_id=int(book.account_ids[book.lot_account[i]]),
            lot_id=int(book.lot_ids[i]),
            security_id=book.securities[book.lot_security[i]].security_id,
            quantity=from_units(book.lot_units[i], SHARE_UNITS),
            cost=from_units(book.lot_cost_cents[i], CENTS),
            acquired_date=EPOCH + timedelta(days=int(book.lot_day[i])),
        )
        for i in range(len(book.lot_ids))
    ]


def list_locks(book: Book) -> list[LockRow]:
    """Return a Book's locks as the rows it was built from."""
    return [
        LockRow(int(book.account_ids[a]), book.securities[index].security_id, code)
        for a in range(book.account_count)
        for index, code in book.locks_of(a).items()
    ]


def rebuild(book: Book, **parts: object) -> Book:
    """Return the Book again from its rows, with some of them replaced."""
    return build_book(
        **{
            "price_date": book.price_date,
            "securities": book.securities,
            "models": book.models,
            "policies": book.policies,
            "households": book.households,
            "accounts": list_accounts(book),
            "lots": list_lots(book),
            "locks": list_locks(book),
            **parts,
        }
    )


def apply_plan(book: Book, account_index: int, plan: Plan) -> Book:
    """Return the Book of one account after its plan was executed as promised."""
    account_id = int(book.account_ids[account_index])
    used = {part.lot_id: part for trade in plan.trades for part in trade.lots}
    lots = []
    for row in list_lots(book):
        part = used.get(row.lot_id)
        if part is not None:
            row = replace(row, quantity=row.quantity - part.quantity, cost=row.cost - part.cost)
        if row.account_id == account_id and row.quantity > 0:
            lots.append(row)
    lots.extend(
        lot(
            10_000 + number,
            trade.security.security_id,
            str(trade.quantity),
            str(trade.amount),
            acquired=book.price_date,
            account_id=account_id,
        )
        for number, trade in enumerate(plan.trades)
        if trade.side is Side.BUY
    )
    [before] = [row for row in list_accounts(book) if row.account_id == account_id]
    return rebuild(
        book,
        accounts=[replace(before, cash=plan.cash_after)],
        lots=lots,
        locks=[row for row in list_locks(book) if row.account_id == account_id],
    )


@dataclass(frozen=True)
class Answer:
    """A solved account: the exact plan and everything it was made from."""

    book: Book
    account: int
    targets: Targets
    drift: Drift
    engine: EngineAnswer
    plan: Plan

    @property
    def short_by(self) -> Decimal:
        """Return the cash that could not be raised."""
        return self.engine.short_by[self.account]

    @property
    def notes(self) -> tuple[str, ...]:
        return self.engine.notes[self.account]

    @property
    def level(self) -> BandLevel:
        return self.book.policies[self.book.policy_index[self.account]].band_level

    @property
    def trades(self) -> dict[str, Decimal]:
        """Return signed quantities by symbol."""
        return {
            trade.security.symbol: trade.quantity * (1 if trade.side is Side.BUY else -1)
            for trade in self.plan.trades
        }

    @property
    def rounded(self) -> dict[str, int]:
        """Return signed quantities by symbol, to the nearest share."""
        return {symbol: int(round(units)) for symbol, units in self.trades.items()}

    def rows_after(self) -> Floats:
        """Return the weights after the plan at the policy's level, cash last."""
        values = measure_values_after(self.book, self.account, self.plan)
        cash = float(self.plan.cash_after)
        total = values.sum() + cash
        if self.level is BandLevel.ASSET_CLASS:
            values = self.book.sum_classes(values)
        return np.append(values, cash) / total

    def drift_after(self) -> float:
        """Return half the sum of distances from target after the plan."""
        wanted = self.drift.rows_of(self.level).targets[self.account]
        return float(np.abs(self.rows_after() - wanted).sum() / 2)


def solve(
    book: Book, account_index: int = 0, mode: Mode | None = None, *, is_flow: bool = False
) -> Answer:
    """Solve one account as a proposal would, through the exact gate."""
    targets = resolve_targets(book)
    drift = measure_drift(book, targets, is_flow=is_flow)
    assert account_index not in targets.blocked, targets.blocked
    mode = mode or choose_mode(book, drift, account_index, is_flow=is_flow)
    [answer] = answer_households(Case(book, targets, drift), {account_index: mode}).values()
    return Answer(book, account_index, targets, drift, answer, answer.plans[account_index])


def pick_lots(book: Book, account_index: int, security: int, units: int) -> tuple[LotPick, ...]:
    """Return the lots that a sale of so many units takes."""
    targets = resolve_targets(book)
    drift = measure_drift(book, targets)
    accounts = np.array([account_index])
    formulation = formulate(
        book,
        targets,
        build_centers(book, targets, drift, accounts, [Mode.FULL]),
        build_segments(book, accounts),
        accounts,
        [Mode.FULL],
    )
    [position] = np.flatnonzero(formulation.problem.security == security)
    return sizing.pick_lots(book, formulation, formulation.problem.tau(), position, units)


def open_accounts(book: Book) -> list[int]:
    """Return the accounts that are not blocked."""
    blocked = resolve_targets(book).blocked
    return [index for index in range(book.account_count) if index not in blocked]
