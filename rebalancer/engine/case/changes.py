"""What moved between two cases of one household, in sentences that a person is told."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from accounts.domain.roles import WishKind
from portfolios.domain.kinds import Side
from rebalancer.engine.case.fields import ENGINE_VERSION

# So many moved securities are named; the rest is counted.
CHANGES_NAMED = 3
# What a household has realised this year; it limits trades only where there is a budget.
YEAR_GAINS = ("year_short_gain", "year_long_gain")
Case = Mapping[str, Any]


def list_changes(
    *,
    before: Case,
    after: Case,
    price_tolerance: Decimal,
    refused_trades: Sequence[Sequence[Any]] = (),
    traded: Sequence[tuple[str, str]] = (),
) -> list[str]:
    """Return, in sentences, what moved between two cases beyond what is tolerated.

    `refused_trades` are (security id, side) that a person removed: they are wishes of `before` that
    no household has. `traded` are (symbol, side) of the proposed trades, which alone a wash-sale
    window can hurt. What concerns no account that the cases list, the covariance, and whether an
    account is frozen are not compared.
    """
    if before.get("engine_version") != ENGINE_VERSION:
        return ["the engine changed since"]
    changes = [
        words
        for words, has_changed in (
            ("the household's accounts changed", _have_changed(before, after, _name_accounts)),
            ("cash or cash needs changed", _have_changed(before, after, _read_cash)),
            ("the holdings changed", _have_changed(before, after, _read_lots)),
            ("the model portfolio changed", _have_changed(before, after, _read_targets)),
            ("the rebalancing policy changed", _have_changed(before, after, _read_policies)),
            ("the household's tax terms changed", _have_changed(before, after, _read_tax)),
            ("the gains realised this year changed", _have_gains_changed(before, after)),
            ("the household's wishes changed", _have_wishes_changed(before, after, refused_trades)),
        )
        if has_changed
    ]
    changes.extend(_list_new_washes(before, after, traded))
    changes.extend(_list_moves(before, after, price_tolerance))
    return changes


def _have_changed(before: Case, after: Case, read: Any) -> bool:
    return bool(read(before) != read(after))


def _name_accounts(case: Case) -> object:
    return [(row["id"], row["tax_status"]) for row in case["accounts"]], case["together"]


def _read_cash(case: Case) -> object:
    versions = {key: row["books_version"] for key, row in case["origin"]["accounts"].items()}
    return versions, {row["id"]: (row["cash"], _amounts(row)) for row in case["accounts"]}


def _amounts(account: Case) -> Decimal:
    """Return the cash needed; on which day it was looked at does not matter."""
    return sum((Decimal(need["amount"]) for need in account["cash_needs"]), Decimal(0))


def _read_lots(case: Case) -> object:
    return {row["id"]: (row["lots"], row["open_orders"]) for row in case["accounts"]}


def _read_targets(case: Case) -> object:
    versions = {key: row["model_version_id"] for key, row in case["origin"]["accounts"].items()}
    return versions, {row["id"]: row.get("targets", case["targets"]) for row in case["accounts"]}


def _read_policies(case: Case) -> object:
    ids = {key: row["policy_id"] for key, row in case["origin"]["accounts"].items()}
    shared = {key: value for key, value in case["policy"].items() if key != "mode"}
    own = {row["id"]: row.get("policy", shared) for row in case["accounts"]}
    named = {str(number): case["origin"]["policies"].get(str(number)) for number in ids.values()}
    return ids, named, own


def _read_tax(case: Case) -> object:
    return {key: value for key, value in case["tax"].items() if key not in YEAR_GAINS}


def _have_gains_changed(before: Case, after: Case) -> bool:
    has_budget = after["tax"]["gains_budget"] is not None
    return has_budget and any(before["tax"][key] != after["tax"][key] for key in YEAR_GAINS)


def _have_wishes_changed(
    before: Case, after: Case, refused_trades: Sequence[Sequence[Any]]
) -> bool:
    symbols = {number: symbol for symbol, number in before["origin"]["securities"].items()}
    refused = {
        (
            symbols.get(security_id),
            str(WishKind.NEVER_BUY if side == Side.BUY else WishKind.NEVER_SELL),
        )
        for security_id, side in refused_trades
    }
    old, new = _read_wishes(before), _read_wishes(after)
    gone = {row for row in old - new if row[:2] not in refused}
    return bool(gone or new - old)


def _read_wishes(case: Case) -> set[tuple[str, str, str]]:
    ids = {row["id"] for row in case["accounts"]}
    return {
        (wish["symbol"], wish["kind"], account)
        for wish in case["wishes"]
        for account in wish["accounts"]
        if account in ids
    }


def _list_new_washes(before: Case, after: Case, traded: Sequence[tuple[str, str]]) -> list[str]:
    """Name proposed trades that a trade since then, of the other side, would turn into a wash."""
    groups = {row["symbol"]: row["identical_group"] or row["symbol"] for row in after["securities"]}
    news = [row for row in after["recent_trades"] if row not in before["recent_trades"]]
    hurt = set()
    for symbol, side in traded:
        for row in news:
            is_loss = row["taxable"] and Decimal(row["gain"]) < 0
            is_hurt = (
                row["side"] == Side.BUY
                if side == Side.SELL
                else row["side"] == Side.SELL and is_loss
            )
            if is_hurt and groups[row["symbol"]] == groups.get(symbol, symbol):
                hurt.add(f"a trade since then limits what may be done with {symbol} (wash sale)")
    return sorted(hurt)


def _list_moves(before: Case, after: Case, price_tolerance: Decimal) -> list[str]:
    concerned = _list_concerned(before) | _list_concerned(after)
    old, new = (
        {row["symbol"]: row for row in case["securities"] if row["symbol"] in concerned}
        for case in (before, after)
    )
    moves: list[str] = []
    for symbol, row in new.items():
        if old.pop(symbol, None) != row:
            moves.append(f"the terms of {symbol} changed")
            continue
        was, now = before["prices"].get(symbol), after["prices"].get(symbol)
        moves.extend(_compare_prices(symbol, was, now, price_tolerance))
    named = moves[:CHANGES_NAMED]
    if len(moves) > CHANGES_NAMED:
        named.append(f"{len(moves) - CHANGES_NAMED} other securities changed as well")
    return [*named, *(f"{symbol} is no longer on the list" for symbol in old)]


def _list_concerned(case: Case) -> set[str]:
    """Return the symbols that the case's accounts hold, want, wish about, or might take instead."""
    symbols = {symbol for symbol, _kind, _account in _read_wishes(case)}
    for account in case["accounts"]:
        symbols |= {lot["symbol"] for lot in account["lots"]}
        symbols |= set((account.get("targets", case["targets"]) or {}).get("securities", ()))
    for row in case["securities"]:
        if row["symbol"] in symbols:
            symbols = symbols.union(*row["substitutes"].values())
    return symbols


def _compare_prices(
    symbol: str, was: str | None, now: str | None, price_tolerance: Decimal
) -> list[str]:
    if was == now:
        return []
    if was is None or now is None:
        return [f"{symbol} has no usable price any more"]
    move = Decimal(now) / Decimal(was) - 1
    if abs(move) <= price_tolerance:
        return []
    return [f"{symbol} moved {move:+.1%}, more than {price_tolerance:.1%}"]
