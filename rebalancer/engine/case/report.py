"""An Answer as plain JSON values: trades with lots and reasons, before and after, the certificate.

Owned amounts are exact; what the engine reckons in floats is written with six places.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from portfolios.domain.kinds import Side
from portfolios.domain.money import QUANTITY_STEP, ZERO
from rebalancer.domain.explain import explain_trade
from rebalancer.domain.plan import PlannedTrade
from rebalancer.engine.answer import Answer, Certificate, Terms, TradeNote
from rebalancer.engine.book import Book
from rebalancer.engine.case.book import NamedBook
from rebalancer.engine.case.fields import ENGINE_VERSION
from rebalancer.engine.case.rows import write_decimal
from rebalancer.engine.columns import CENTS, SHARE_UNITS, from_units

ACCOUNT_NUMBER = re.compile(r"\baccount (\d+)\b")
TERMS = ("drift", "cash_drag", "tax", "spread", "commission", "tickets", "impact", "location")


def describe_answer(named: NamedBook, answer: Answer, *, inputs_hash: str) -> dict[str, Any]:
    """Return what the engine answers for the one household of a Book, as JSON holds it."""
    book = named.book
    before = {a: _Holdings(book, a) for a in range(book.account_count)}
    after = {a: _Holdings(book, a, _trades_of(answer, a)) for a in before}
    standing = (
        _describe_standing(named, before.values()),
        _describe_standing(named, after.values()),
    )
    trades = [(a, trade) for a in before for trade in _trades_of(answer, a)]
    return {
        "engine_version": ENGINE_VERSION,
        "inputs_hash": inputs_hash,
        "mode": str(answer.mode),
        "path": str(answer.path),
        "path_reason": answer.path_reason,
        "trades": [
            _describe_trade(named, answer, a, trade, (before[a], after[a])) for a, trade in trades
        ],
        "not_traded": [
            {
                "account": named.account_ids[account],
                "symbol": book.securities[security].symbol,
                "code": note.code,
                "amount": write_float(note.amount),
                "saves": write_float(note.saves),
                "costs": write_float(note.costs),
                "words": note.words,
            }
            for (account, security), note in sorted(answer.untraded.items())
        ],
        "before": standing[0],
        "after": standing[1],
        "tax": _describe_tax([trade for _account, trade in trades]),
        "cost": write_decimal(sum((trade.cost for _account, trade in trades), ZERO)),
        "certificate": describe_certificate(answer),
        "cash_short": {
            named.account_ids[account]: write_decimal(amount)
            for account, amount in sorted(answer.short_by.items())
            if amount
        },
        "notes": {
            named.account_ids[account]: list(lines)
            for account, lines in sorted(answer.notes.items())
            if lines
        },
        "blocked": {
            named.account_ids[account]: why for account, why in sorted(answer.blocked.items())
        },
        "conflict": _name_accounts(named, answer.conflict),
    }


def write_float(number: float) -> str:
    """Return a reckoned number as text, with at most six places."""
    return write_decimal(Decimal(f"{number:.6f}"))


def _name_accounts(named: NamedBook, sentence: str) -> str:
    """Return a sentence of the engine's, which knows accounts by number, with their names."""
    names = {
        str(number): name
        for number, name in zip(named.book.account_ids, named.account_ids, strict=True)
    }
    return ACCOUNT_NUMBER.sub(lambda found: f"account {names.get(found[1], found[1])}", sentence)


def _trades_of(answer: Answer, account: int) -> tuple[PlannedTrade, ...]:
    plan = answer.plans.get(account)
    return () if plan is None else plan.trades


# --- Before and after ----------------------------------------------------------------------------


class _Holdings:
    """What one account holds, at the Book's prices, with some trades done."""

    def __init__(self, book: Book, account: int, trades: Iterable[PlannedTrade] = ()) -> None:
        self.account = account
        self.cash = from_units(book.cash_cents[account], CENTS)
        shares = {
            book.securities[security].security_id: from_units(units, SHARE_UNITS)
            for security, units in enumerate(book.held_units[account])
            if units
        }
        for trade in trades:
            security_id = trade.security.security_id
            signed = trade.quantity if trade.side is Side.BUY else -trade.quantity
            shares[security_id] = shares.get(security_id, ZERO) + signed
            self.cash += trade.cash_moved
        rows = ((book.securities[book.index_of_security[i]], n) for i, n in shares.items() if n)
        held = sorted(((row.symbol, row.class_name, n * (row.price or ZERO)) for row, n in rows))
        self.values = {symbol: value for symbol, _class_name, value in held}
        self.class_of = {symbol: class_name for symbol, class_name, _value in held}
        self.value = self.cash + sum(self.values.values(), ZERO)

    def class_weight(self, class_name: str) -> Decimal:
        """Return what share of the account is in an asset class; zero of an empty account."""
        inside = (v for symbol, v in self.values.items() if self.class_of[symbol] == class_name)
        return sum(inside, ZERO) / self.value if self.value else ZERO


def _describe_standing(named: NamedBook, holdings: Iterable[_Holdings]) -> dict[str, Any]:
    rows = list(holdings)
    return {
        "household": _describe_weights(named.book, rows),
        "accounts": {
            named.account_ids[row.account]: _describe_weights(named.book, [row]) for row in rows
        },
    }


def _describe_weights(book: Book, rows: list[_Holdings]) -> dict[str, Any]:
    cash = sum((row.cash for row in rows), ZERO)
    securities: dict[str, Decimal] = {}
    classes = dict.fromkeys(book.class_names, ZERO)
    for row in rows:
        for symbol, value in row.values.items():
            securities[symbol] = securities.get(symbol, ZERO) + value
            classes[row.class_of[symbol]] += value
    total = cash + sum(securities.values(), ZERO)

    def weigh(amounts: Mapping[str, Decimal]) -> dict[str, str]:
        return {name: _weight(amount, total) for name, amount in amounts.items() if amount}

    return {
        "value": write_decimal(total.quantize(Decimal("0.01"))),
        "cash": write_decimal(cash),
        "cash_weight": _weight(cash, total),
        "classes": weigh(classes),
        "securities": weigh(dict(sorted(securities.items()))),
    }


def _weight(amount: Decimal, total: Decimal) -> str:
    return write_decimal((amount / total).quantize(QUANTITY_STEP)) if total else "0"


# --- Trades --------------------------------------------------------------------------------------


def _describe_trade(
    named: NamedBook,
    answer: Answer,
    account: int,
    trade: PlannedTrade,
    standing: tuple[_Holdings, _Holdings],
) -> dict[str, Any]:
    book = named.book
    security = book.index_of_security[trade.security.security_id]
    note = answer.trades.get((account, security))
    return {
        "account": named.account_ids[account],
        "symbol": trade.security.symbol,
        "side": str(trade.side),
        "quantity": write_decimal(trade.quantity),
        "price": write_decimal(trade.security.price),
        "fill_price": write_decimal(trade.fill_price),
        "amount": write_decimal(trade.amount),
        "reason": str(trade.reason),
        "lots": [
            {
                "id": named.lot_ids[lot.lot_id],
                "quantity": write_decimal(lot.quantity),
                "cost": write_decimal(lot.cost),
                "gain": write_decimal(lot.gain),
                "tax": write_decimal(lot.tax),
                "is_long_term": lot.is_long_term,
            }
            for lot in trade.lots
        ],
        "tax": write_decimal(trade.tax),
        "cost": write_decimal(trade.cost),
        **_describe_note(note),
        "explanation": _explain(named, account, security, trade, standing),
    }


def _describe_note(note: TradeNote | None) -> dict[str, Any]:
    return {
        "drift_removed": "0" if note is None else write_float(note.drift_removed),
        "rule": "" if note is None else note.rule,
        "next_best": "" if note is None else note.next_best,
    }


def _explain(
    named: NamedBook,
    account: int,
    security: int,
    trade: PlannedTrade,
    standing: tuple[_Holdings, _Holdings],
) -> str:
    book = named.book
    class_name = book.securities[security].class_name
    target = _class_targets(book, account).get(class_name, ZERO)
    before, after = (row.class_weight(class_name) for row in standing)
    row = {"before": before, "after": after, "target": target}
    return explain_trade(
        reason=trade.reason,
        symbol=trade.security.symbol,
        class_name=class_name,
        row=row if target or before else None,
        gain=sum((lot.gain for lot in trade.lots), ZERO),
        is_taxable=bool(book.is_taxable[account]),
    )


def _class_targets(book: Book, account: int) -> dict[str, Decimal]:
    """Return what the account's own model says of each asset class."""
    if book.model_index[account] < 0:
        return {}
    targets: dict[str, Decimal] = {}
    for security_id, weight in book.models[book.model_index[account]].weights:
        name = book.securities[book.index_of_security[security_id]].class_name
        targets[name] = targets.get(name, ZERO) + weight
    return targets


def _describe_tax(trades: list[PlannedTrade]) -> dict[str, str]:
    def tax(*, long_term: bool) -> Decimal:
        lots = (lot for trade in trades for lot in trade.lots if lot.is_long_term is long_term)
        return sum((lot.tax for lot in lots), ZERO)

    return {
        "short_term_gain": write_decimal(sum((t.gain(long_term=False) for t in trades), ZERO)),
        "long_term_gain": write_decimal(sum((t.gain(long_term=True) for t in trades), ZERO)),
        "short_term_tax": write_decimal(tax(long_term=False)),
        "long_term_tax": write_decimal(tax(long_term=True)),
        "total": write_decimal(tax(long_term=False) + tax(long_term=True)),
    }


# --- The certificate -----------------------------------------------------------------------------


def describe_certificate(answer: Answer) -> dict[str, Any]:
    """Return the certificate as JSON values, with what follows from it."""
    certificate: Certificate = answer.certificate
    gap, value = certificate.gap, certificate.value
    return {
        "plan": _describe_terms(certificate.plan),
        "nothing": _describe_terms(certificate.nothing),
        "buy_only": _describe_terms(certificate.buy_only),
        "naive": _describe_terms(certificate.naive),
        "bound": None if certificate.bound is None else write_float(certificate.bound),
        "gap": None if gap is None else write_float(gap),
        "gap_bps": None if gap is None or not value else write_float(gap / value * 1e4),
        "gain": write_float(certificate.gain),
        "hurdle": write_float(certificate.hurdle),
        "is_worth_it": answer.is_worth_it,
    }


def _describe_terms(terms: Terms | None) -> dict[str, str] | None:
    if terms is None:
        return None
    parts = {name: write_float(getattr(terms, name)) for name in TERMS}
    return {**parts, "total": write_float(terms.total)}
