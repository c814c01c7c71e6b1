"""From the normal form of a case to a Book: numbers for names, and open orders as if filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from accounts.domain.roles import TaxStatus, WishKind
from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot, use_lots
from portfolios.domain.money import ZERO
from portfolios.domain.tax import get_regime
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.execution import measure_amount, measure_fill_price
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import (
    BandLevel,
    BandMeasure,
    CapKind,
    Destination,
    DriftMeasure,
    Schedule,
    Trigger,
)
from rebalancer.domain.policy import CapTerms, PolicyTerms, hash_json
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    RecentTradeRow,
    SecurityRow,
    build_book,
)
from rebalancer.engine.case.fields import POLICY, TAX
from rebalancer.engine.case.rows import CaseError, CaseRefused, Number, show
from rebalancer.engine.columns import CENTS, from_units

HOUSEHOLD_ID = 1
UNCLASSIFIED = "Unclassified"
LOCK_CODES = {
    WishKind.NEVER_BUY: NO_BUY,
    WishKind.NEVER_SELL: NO_SELL,
    WishKind.EXCLUDE: EXCLUDED,
}
# What a policy says beside how to trade: a stateless case has no day to wait for.
NOT_IN_CASES: Mapping[str, Any] = {
    "trigger": Trigger.THRESHOLD,
    "schedule": Schedule.DAILY,
    "cron_line": "",
    "approval_hours_max": 24,
    "price_tolerance": ZERO,
    "tracking_error_max": ZERO,
}
ENUMS = {
    "band_level": BandLevel,
    "band_measure": BandMeasure,
    "destination": Destination,
    "drift_measure": DriftMeasure,
    "lot_method": LotMethod,
}


@dataclass(frozen=True)
class NamedBook:
    """The Book of a case with the names that its answer speaks in."""

    book: Book
    account_ids: tuple[str, ...]  # by index of the Book
    lot_ids: Mapping[int, str]


def build_named_book(normal: Mapping[str, Any]) -> NamedBook:
    """Return the Book of a case in its normal form.

    :raises CaseRefused: when open buys cost more cash than there is.
    """
    rows = _Rows(normal)
    if any(account["open_orders"] for account in normal["accounts"]):
        rows.fill_orders(rows.build())
    return NamedBook(rows.build(), tuple(row["id"] for row in normal["accounts"]), rows.name_of_lot)


class _Rows:
    """The rows of a Book, and the changes that open orders make to them."""

    def __init__(self, normal: Mapping[str, Any]) -> None:
        self.normal = normal
        self.as_of = date.fromisoformat(normal["as_of"])
        self.number_of = {row["symbol"]: n for n, row in enumerate(normal["securities"], start=1)}
        self.account_number = {row["id"]: n for n, row in enumerate(normal["accounts"], start=1)}
        self.securities = [self._security(row) for row in normal["securities"]]
        self.row_of = {row.symbol: row for row in self.securities}
        self.models: dict[str, ModelRow] = {}
        self.policies: dict[str, PolicyTerms] = {}
        self.accounts = [self._account(row) for row in normal["accounts"]]
        self.household = _read_household(normal)
        self.locks = self._read_locks()
        self.trades = [self._trade(row) for row in normal["recent_trades"]]
        ids = [lot["id"] for row in normal["accounts"] for lot in row["lots"]]
        self.lot_number = {
            name: n for n, name in enumerate(sorted(ids, key=lambda i: (len(i), i)), start=1)
        }
        self.name_of_lot = {number: name for name, number in self.lot_number.items()}
        self.lots = [self._lot(row["id"], lot) for row in normal["accounts"] for lot in row["lots"]]

    def build(self) -> Book:
        return build_book(
            price_date=self.as_of,
            securities=self.securities,
            models=list(self.models.values()),
            policies=list(self.policies.values()),
            households=[self.household],
            accounts=self.accounts,
            lots=self.lots,
            locks=self.locks,
            recent_trades=self.trades,
            covariance=self._covariance(),
        )

    # --- Rows ------------------------------------------------------------------------------------

    def _security(self, row: Mapping[str, Any]) -> SecurityRow:
        price = self.normal["prices"].get(row["symbol"])
        symbols = row["substitutes"]
        return SecurityRow(
            security_id=self.number_of[row["symbol"]],
            symbol=row["symbol"],
            class_name=row["asset_class"] or UNCLASSIFIED,
            class_rank=row["class_rank"],
            price=None if price is None else Decimal(price),
            share_step=Decimal(row["share_step"]),
            half_spread_bps=Decimal(row["half_spread_bps"]),
            is_buyable=row["is_buyable"],
            is_unclassified=row["asset_class"] is None,
            substitutes=tuple(self.number_of[symbol] for symbol in symbols["taxable"]),
            sheltered_substitutes=tuple(self.number_of[symbol] for symbol in symbols["sheltered"]),
            identical_group=row["identical_group"],
            sector=row["sector"],
            issuer=row["issuer"],
            daily_volume=_optional(row["volume"]),
            volatility=_optional(row["volatility"]),
            qualified_yield=Decimal(row["qualified_yield"]),
            ordinary_yield=Decimal(row["ordinary_yield"]),
            themes=frozenset(row["themes"]),
        )

    def _account(self, row: Mapping[str, Any]) -> AccountRow:
        targets = row.get("targets", self.normal["targets"])
        shared = {k: v for k, v in self.normal["policy"].items() if k != "mode"}
        terms = row.get("policy", shared)
        policy = None if terms is None else self._policy(terms)
        horizon = 0 if policy is None else policy.need_horizon_days
        last = self.as_of + timedelta(days=horizon)
        return AccountRow(
            account_id=self.account_number[row["id"]],
            household_id=HOUSEHOLD_ID,
            cash=Decimal(row["cash"]),
            books_version=0,
            model_version_id=None if targets is None else self._model(targets).version_id,
            policy_id=None if policy is None else policy.policy_id,
            tax_status=TaxStatus(row["tax_status"]),
            need_amount=sum(
                (
                    Decimal(need["amount"])
                    for need in row["cash_needs"]
                    if date.fromisoformat(need["date"]) <= last
                ),
                ZERO,
            ),
            is_frozen=row["is_frozen"],
        )

    def _model(self, targets: Mapping[str, Any]) -> ModelRow:
        key = hash_json(targets)
        if key not in self.models:
            self.models[key] = ModelRow(
                len(self.models) + 1,
                "",
                Decimal(targets["cash"]),
                tuple((self.number_of[s], Decimal(w)) for s, w in targets["securities"].items()),
            )
        return self.models[key]

    def _policy(self, terms: Mapping[str, Any]) -> PolicyTerms:
        key = hash_json(terms)
        if key not in self.policies:
            values = {spec.name: terms[spec.name] for spec in POLICY}
            values |= {name: enum(terms[name]) for name, enum in ENUMS.items()}
            values |= read_numbers(terms, POLICY)
            caps = tuple(
                CapTerms(CapKind(cap["kind"]), cap["name"], Decimal(cap["max_weight"]))
                for cap in terms["caps"]
            )
            self.policies[key] = PolicyTerms(
                policy_id=len(self.policies) + 1, caps=caps, **{**NOT_IN_CASES, **values}
            )
        return self.policies[key]

    def _lot(self, account_id: str, lot: Mapping[str, Any]) -> LotRow:
        return LotRow(
            account_id=self.account_number[account_id],
            lot_id=self.lot_number[lot["id"]],
            security_id=self.number_of[lot["symbol"]],
            quantity=Decimal(lot["quantity"]),
            cost=Decimal(lot["cost"]),
            acquired_date=date.fromisoformat(lot["acquired_date"]),
        )

    def _trade(self, row: Mapping[str, Any]) -> RecentTradeRow:
        return RecentTradeRow(
            HOUSEHOLD_ID,
            self.number_of[row["symbol"]],
            Side(row["side"]),
            date.fromisoformat(row["date"]),
            row["taxable"],
            Decimal(row["gain"]),
        )

    def _read_locks(self) -> list[LockRow]:
        return [
            LockRow(
                self.account_number[account],
                self.number_of[wish["symbol"]],
                LOCK_CODES[WishKind(wish["kind"])],
            )
            for wish in self.normal["wishes"]
            for account in wish["accounts"]
        ]

    def _covariance(self) -> dict[tuple[int, int], float] | None:
        covariance = self.normal["covariance"]
        if covariance is None:
            return None
        numbers = [self.number_of[symbol] for symbol in covariance["symbols"]]
        return {
            (one, other): float(value)
            for one, row in zip(numbers, covariance["matrix"], strict=True)
            for other, value in zip(numbers, row, strict=True)
        }

    # --- Open orders -----------------------------------------------------------------------------

    def fill_orders(self, book: Book) -> None:
        """Count open orders as filled at the price with the spread against us.

        `book` is that of before: where the law pools costs, lots have their share of the pool.

        :raises CaseRefused: when the buys of an account cost more cash than there is.
        """
        costs = _costs(book)
        self.lots = [replace(row, cost=costs[row.lot_id]) for row in self.lots]
        for index, account in enumerate(self.normal["accounts"]):
            orders = sorted(account["open_orders"], key=lambda row: row["side"] == Side.BUY)
            for order in orders:
                self._fill(index, order)
            if self.accounts[index].cash < 0:
                raise CaseRefused(
                    [
                        CaseError(
                            f"accounts.{index}.open_orders",
                            f"the open buys of account {show(account['id'])} cost"
                            f" {-self.accounts[index].cash} more than its cash",
                        )
                    ]
                )

    def _fill(self, index: int, order: Mapping[str, Any]) -> None:
        account, row = self.accounts[index], self.row_of[order["symbol"]]
        assert row.price is not None  # noqa: S101 - a case without it was refused
        side, quantity = Side(order["side"]), Decimal(order["quantity"])
        amount = measure_amount(
            quantity=quantity,
            fill_price=measure_fill_price(
                side=side, price=row.price, half_spread_bps=row.half_spread_bps
            ),
        )
        if side is Side.BUY:
            number = max(self.name_of_lot, default=0) + 1
            self.name_of_lot[number] = f"open order for {row.symbol}"
            self.lots.append(
                LotRow(account.account_id, number, row.security_id, quantity, amount, self.as_of)
            )
            # Its shares are not there yet, so that nothing of it can be sold with certainty.
            self.locks.append(LockRow(account.account_id, row.security_id, NO_SELL))
        else:
            self._sell(account, row, quantity, amount)
        self.accounts[index] = replace(
            account, cash=account.cash + (amount if side is Side.SELL else -amount)
        )

    def _sell(
        self, account: AccountRow, row: SecurityRow, quantity: Decimal, amount: Decimal
    ) -> None:
        """Take the oldest lots first, and note what they realise where that is taxed."""
        held = sorted(
            (
                lot
                for lot in self.lots
                if (lot.account_id, lot.security_id) == (account.account_id, row.security_id)
            ),
            key=lambda lot: (lot.acquired_date, lot.lot_id),
        )
        picks, left = [], quantity
        for lot in held:
            taken = min(lot.quantity, left)
            if taken > 0:
                picks.append((Lot(lot.lot_id, lot.quantity, lot.cost, lot.acquired_date), taken))
            left -= taken
        uses = {
            use.lot_id: use for use in use_lots(picks=picks, proceeds=amount, sold_date=self.as_of)
        }
        kept = []
        for lot in self.lots:
            use = uses.get(lot.lot_id)
            if use is None:
                kept.append(lot)
                continue
            if use.quantity < lot.quantity:
                kept.append(
                    replace(lot, quantity=lot.quantity - use.quantity, cost=lot.cost - use.cost)
                )
            if account.tax_status is TaxStatus.TAXABLE:
                self._realise(row.security_id, lot.acquired_date, use.gain)
        self.lots = kept

    def _realise(self, security_id: int, acquired_date: date, gain: Decimal) -> None:
        home = self.household
        is_long = get_regime(home.regime).is_long_term(
            acquired_date=acquired_date, sold_date=self.as_of
        )
        if is_long:
            self.household = replace(home, year_long_gain=home.year_long_gain + gain)
        else:
            self.household = replace(home, year_short_gain=home.year_short_gain + gain)
        self.trades.append(
            RecentTradeRow(
                HOUSEHOLD_ID, security_id, Side.SELL, self.as_of, is_taxable=True, gain=gain
            )
        )


def _costs(book: Book) -> dict[int, Decimal]:
    return {
        int(lot_id): from_units(cents, CENTS)
        for lot_id, cents in zip(book.lot_ids, book.lot_cost_cents, strict=True)
    }


def _read_household(normal: Mapping[str, Any]) -> HouseholdTerms:
    return HouseholdTerms(
        household_id=HOUSEHOLD_ID,
        regime=normal["tax"]["regime"],
        is_together=normal["together"],
        **read_numbers(normal["tax"], TAX),
    )


def read_numbers(values: Mapping[str, Any], specs: Sequence[Any]) -> dict[str, Any]:
    """Return the decimals among fields that were written as text."""
    return {
        spec.name: _optional(values[spec.name]) for spec in specs if isinstance(spec.kind, Number)
    }


def _optional(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
