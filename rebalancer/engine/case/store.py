"""A household of a Book as a case, and back: what a proposal keeps to be solved and compared again.

The format is the public one that `docs/cases.md` describes, in its normal form.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from accounts.domain.roles import TaxStatus, WishKind
from portfolios.domain.kinds import Side
from rebalancer.domain.household import HouseholdTerms
from rebalancer.domain.kinds import BandMeasure, CapKind
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import (
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    Book,
    ModelRow,
    RecentTradeRow,
    SecurityRow,
)
from rebalancer.engine.case.book import LOCK_CODES, NOT_IN_CASES, build_named_book
from rebalancer.engine.case.changes import list_changes as list_changes
from rebalancer.engine.case.fields import ENGINE_VERSION as ENGINE_VERSION
from rebalancer.engine.case.fields import POLICY, TAX
from rebalancer.engine.case.normal import normalise_case
from rebalancer.engine.case.rows import sort_rows, write_plain
from rebalancer.engine.columns import CENTS, EPOCH, SHARE_UNITS, from_units, to_day
from rebalancer.engine.sleeves import index_sleeves

# As far back as a purchase or a loss can matter to a wash sale.
RECENT_DAYS = 61
NO_TARGETS: Mapping[str, Any] = {"cash": "1", "securities": {}}


def read_case(case: str | bytes | Mapping[str, Any]) -> Book:
    """Return the Book of a case; solving what `write_case` wrote gives the same trades.

    :raises CaseRefused: with everything that is wrong, each with its path.
    """
    return build_named_book(normalise_case(case)).book


def write_case(book: Book, accounts: Sequence[int], *, currency: str = "USD") -> dict[str, Any]:
    """Return some accounts of one household with all that they need; equal inputs, equal cases.

    `accounts` are indices of the Book. `origin` names the rows that the facts came from.

    :raises ValueError: when there is no account, or they are of several households.
    """
    accounts = sorted(accounts)
    homes = {int(book.household_index[account]) for account in accounts}
    if len(homes) != 1:
        raise ValueError(f"a case is of one household, not of {len(homes)}")
    writer = _CaseWriter(book, accounts, book.households[homes.pop()])
    plain: dict[str, Any] = write_plain(writer.describe(currency))
    _share(plain, "targets", NO_TARGETS)
    _share(plain, "policy", {**{spec.name: spec.default for spec in POLICY}, "caps": []})
    plain["policy"] = {**plain["policy"], "mode": None}
    plain["recent_trades"] = sort_rows(plain["recent_trades"])
    return {**plain, "origin": write_plain(writer.name_rows())}


def _share(plain: dict[str, Any], key: str, fallback: Mapping[str, Any]) -> None:
    """Say once what accounts have in common; those that differ keep their own."""
    given = [row[key] for row in plain["accounts"] if row[key] is not None]
    plain[key] = given[0] if given else write_plain(fallback)
    for row in plain["accounts"]:
        if row[key] == plain[key]:
            del row[key]


class _CaseWriter:
    """Writes one case; what no account of it can touch is left out."""

    def __init__(self, book: Book, accounts: Sequence[int], terms: HouseholdTerms) -> None:
        self.book, self.accounts, self.terms = book, accounts, terms
        self.locks = {account: _list_wished_locks(book, account) for account in accounts}
        wanted = self._find_wanted()
        groups = {int(book.group_index[security]) for security in wanted}
        at = book.index_of_security
        self.trades = [
            row
            for row in {*book.recent_trades, *_list_purchases(book, accounts, terms)}
            if row.household_id == terms.household_id
            and row.security_id in at
            and int(book.group_index[at[row.security_id]]) in groups
        ]
        self.wanted = sorted(wanted | {at[row.security_id] for row in self.trades})
        self.symbol_of = {
            row.security_id: row.symbol for row in (book.securities[i] for i in self.wanted)
        }

    def _find_wanted(self) -> set[int]:
        """Return the securities that are held, targeted or locked, and their whole sleeves.

        What links two of them counts, even where it is neither held nor wanted itself.
        """
        book, at = self.book, self.book.index_of_security
        wanted: set[int] = set()
        for account in self.accounts:
            wanted |= set(map(int, np.flatnonzero(book.held_units[account])))
            wanted |= set(self.locks[account])
            if book.model_index[account] >= 0:
                model = book.models[book.model_index[account]]
                wanted |= {at[security_id] for security_id, _weight in model.weights}
        sleeve = index_sleeves(book)
        shared = np.isin(sleeve, sleeve[sorted(wanted)] if wanted else [])
        return set(map(int, np.flatnonzero(shared)))

    def describe(self, currency: str) -> dict[str, Any]:
        """Return the case without its origin, every account with targets and policy of its own."""
        rows = [self.book.securities[i] for i in self.wanted]
        return {
            "engine_version": ENGINE_VERSION,
            "as_of": self.book.price_date,
            "currency": currency,
            "together": self.terms.is_together,
            "accounts": [self._account(account) for account in self.accounts],
            "prices": {row.symbol: row.price for row in rows if row.price is not None},
            "securities": [self._security(row) for row in rows],
            "tax": {spec.name: getattr(self.terms, spec.name) for spec in TAX},
            "recent_trades": [
                {
                    "symbol": self.symbol_of[row.security_id],
                    "side": row.side,
                    "date": row.trade_date,
                    "taxable": row.is_taxable,
                    "gain": row.gain,
                }
                for row in self.trades
            ],
            "wishes": self._wishes(),
            "covariance": self._covariance(),
        }

    def _security(self, row: SecurityRow) -> dict[str, Any]:
        taxable = [self.symbol_of[i] for i in row.substitutes if i in self.symbol_of]
        sheltered = [self.symbol_of[i] for i in row.sheltered_substitutes if i in self.symbol_of]
        return {
            "symbol": row.symbol,
            "asset_class": None if row.is_unclassified else row.class_name,
            "class_rank": row.class_rank,
            "share_step": row.share_step,
            "half_spread_bps": row.half_spread_bps,
            "is_buyable": row.is_buyable,
            "identical_group": row.identical_group,
            "sector": row.sector,
            "issuer": row.issuer,
            "volume": row.daily_volume,
            "volatility": row.volatility,
            "qualified_yield": row.qualified_yield,
            "ordinary_yield": row.ordinary_yield,
            "themes": sorted(row.themes),
            "substitutes": {
                "taxable": taxable,
                "sheltered": [] if sheltered == taxable else sheltered,
            },
        }

    def _account(self, account: int) -> dict[str, Any]:
        book = self.book
        model, policy = book.model_index[account], book.policy_index[account]
        need = from_units(book.need_cents[account], CENTS)
        status = TaxStatus.TAX_FREE if book.is_tax_free[account] else TaxStatus.TAX_DEFERRED
        return {
            "id": str(book.account_ids[account]),
            "tax_status": TaxStatus.TAXABLE if book.is_taxable[account] else status,
            "cash": from_units(book.cash_cents[account], CENTS),
            "is_frozen": bool(book.is_frozen[account]),
            "cash_needs": [{"date": book.price_date, "amount": need}] if need else [],
            "lots": [
                {
                    "id": str(book.lot_ids[lot]),
                    "symbol": book.securities[book.lot_security[lot]].symbol,
                    "quantity": from_units(book.lot_units[lot], SHARE_UNITS),
                    "cost": from_units(book.lot_cost_cents[lot], CENTS),
                    "acquired_date": EPOCH + timedelta(days=int(book.lot_day[lot])),
                }
                for lot in range(book.lot_offsets[account], book.lot_offsets[account + 1])
            ],
            "open_orders": [],
            "targets": None if model < 0 else self._targets(book.models[model]),
            "policy": None if policy < 0 else self._policy(book.policies[policy]),
        }

    def _targets(self, model: ModelRow) -> dict[str, Any]:
        weights = {self.symbol_of[i]: weight for i, weight in model.weights if weight}
        return {"cash": model.cash_weight, "securities": dict(sorted(weights.items()))}

    def _policy(self, policy: PolicyTerms) -> dict[str, Any]:
        """Return a policy's terms; caps on what is not in the case limit nothing."""
        rows = [self.book.securities[i] for i in self.wanted]
        names = {
            CapKind.SECURITY: {row.symbol for row in rows},
            CapKind.ASSET_CLASS: {row.class_name for row in rows if not row.is_unclassified},
            CapKind.SECTOR: {row.sector for row in rows},
            CapKind.ISSUER: {row.issuer for row in rows},
        }
        terms = {spec.name: getattr(policy, spec.name) for spec in POLICY}
        if policy.band_measure in (BandMeasure.WIDER, BandMeasure.NARROWER):
            # The same bands, said without contradiction.
            terms["absolute_band"] = max(policy.absolute_band, policy.band_floor)
        caps = {
            (cap.kind, cap.name): {
                "kind": cap.kind,
                "name": cap.name,
                "max_weight": cap.max_weight,
            }
            for cap in policy.caps
            if cap.name in names[cap.kind]
        }
        return {**terms, "caps": [caps[key] for key in sorted(caps)]}

    def _wishes(self) -> list[dict[str, Any]]:
        wished: dict[tuple[str, str], list[str]] = {}
        for account in self.accounts:
            for security, code in self.locks[account].items():
                kinds = [kind for kind, bit in LOCK_CODES.items() if code & bit]
                if code & EXCLUDED and code & NO_SELL:
                    # It may not leave, so that all that is left of the exclusion is not to buy.
                    kinds = [WishKind.NEVER_BUY, WishKind.NEVER_SELL]
                for kind in kinds:
                    key = (self.book.securities[security].symbol, kind)
                    wished.setdefault(key, []).append(str(self.book.account_ids[account]))
        return [
            {"kind": kind, "symbol": symbol, "accounts": wished[symbol, kind]}
            for symbol, kind in sorted(wished)
        ]

    def _covariance(self) -> dict[str, Any] | None:
        """Return what is known of it; a security with a gap has no row."""
        if self.book.covariance is None:
            return None
        part = self.book.covariance[np.ix_(self.wanted, self.wanted)]
        known = np.isfinite(np.diag(part))
        known &= np.isfinite(part[:, known]).all(axis=1)
        rows = np.flatnonzero(known)
        return {
            "symbols": [self.book.securities[self.wanted[i]].symbol for i in rows],
            "matrix": [[repr(float(part[i, j])) for j in rows] for i in rows],
        }

    def name_rows(self) -> dict[str, Any]:
        """Return which rows the facts came from, and what a policy says beside how to trade."""
        book = self.book
        origin: dict[str, Any] = {
            "household": str(self.terms.household_id),
            "accounts": {},
            "securities": {symbol: security_id for security_id, symbol in self.symbol_of.items()},
            "policies": {},
        }
        for account in self.accounts:
            model, policy = book.model_index[account], book.policy_index[account]
            terms = None if policy < 0 else book.policies[policy]
            origin["accounts"][str(book.account_ids[account])] = {
                "books_version": int(book.books_version[account]),
                "model_version_id": None if model < 0 else book.models[model].version_id,
                "model_name": None if model < 0 else book.models[model].name,
                "policy_id": None if terms is None else terms.policy_id,
            }
            if terms is not None:
                origin["policies"][str(terms.policy_id)] = {
                    name: getattr(terms, name) for name in NOT_IN_CASES
                }
        return origin


def _list_purchases(
    book: Book, accounts: Sequence[int], terms: HouseholdTerms
) -> list[RecentTradeRow]:
    """Return what other accounts of the household, not in the case, bought lately."""
    others = [account for account in range(*_span_of(book, accounts[0])) if account not in accounts]
    since = to_day(book.price_date) - RECENT_DAYS
    return [
        RecentTradeRow(
            household_id=terms.household_id,
            security_id=book.securities[book.lot_security[lot]].security_id,
            side=Side.BUY,
            trade_date=EPOCH + timedelta(days=int(book.lot_day[lot])),
            is_taxable=bool(book.is_taxable[account]),
        )
        for account in others
        for lot in range(book.lot_offsets[account], book.lot_offsets[account + 1])
        if book.lot_day[lot] >= since
    ]


def _span_of(book: Book, account: int) -> tuple[int, int]:
    """Return where the accounts of an account's household start and stop."""
    home = book.household_index[account]
    return int(book.household_offsets[home]), int(book.household_offsets[home + 1])


def _list_wished_locks(book: Book, account: int) -> dict[int, int]:
    """Return the lock codes of one account without those that follow from wash-sale windows."""
    span = slice(book.lock_offsets[account], book.lock_offsets[account + 1])
    locks: dict[int, int] = {}
    for security, code in zip(book.lock_security[span], book.lock_code[span], strict=True):
        if int(code) & (NO_BUY | NO_SELL | EXCLUDED):
            locks[int(security)] = locks.get(int(security), 0) | int(code)
    return locks
