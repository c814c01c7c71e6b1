"""One account of a Book as plain JSON values, and back: what a proposal keeps to solve again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Schedule, Trigger
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import (
    CENTS,
    EPOCH,
    NO_BUY,
    NO_SELL,
    SHARE_UNITS,
    AccountRow,
    Book,
    LockRow,
    LotRow,
    ModelRow,
    SecurityRow,
    build_book,
    from_units,
)

ENGINE_VERSION = "1"
# So many moved securities are named; the rest is counted.
CHANGES_NAMED = 3


def write_case(book: Book, account: int) -> dict[str, Any]:
    """Return one account with all it needs, decimals as strings; equal inputs give equal cases."""
    model = book.models[book.model_index[account]]
    policy = book.policies[book.policy_index[account]]
    span = range(book.lot_offsets[account], book.lot_offsets[account + 1])
    locks = book.locks_of(account)
    # Substitutes of what is locked may be bought, so their terms belong to the inputs as well.
    wanted = {security_id for security_id, _weight in model.weights}
    wanted |= {book.securities[book.lot_security[lot]].security_id for lot in span}
    wanted |= {book.securities[index].security_id for index in locks}
    for security_id in sorted(wanted):
        wanted |= set(book.securities[book.index_of_security[security_id]].substitutes)
    return {
        "engine_version": ENGINE_VERSION,
        "price_date": book.price_date.isoformat(),
        "account": {
            "account_id": int(book.account_ids[account]),
            "cash": str(from_units(book.cash_cents[account], CENTS)),
            "books_version": int(book.books_version[account]),
            "is_taxable": bool(book.is_taxable[account]),
            "short_term_rate": str(book.short_rate[account]),
            "long_term_rate": str(book.long_rate[account]),
            "need_amount": str(from_units(book.need_cents[account], CENTS)),
        },
        "securities": [
            {
                "security_id": row.security_id,
                "symbol": row.symbol,
                "class_name": row.class_name,
                "class_rank": row.class_rank,
                "price": None if row.price is None else str(row.price),
                "share_step": str(row.share_step),
                "half_spread_bps": str(row.half_spread_bps),
                "is_buyable": row.is_buyable,
                "substitutes": [i for i in row.substitutes if i in wanted],
            }
            for row in book.securities
            if row.security_id in wanted
        ],
        "model": {
            "version_id": model.version_id,
            "name": model.name,
            "cash_weight": str(model.cash_weight),
            "weights": sorted([security_id, str(weight)] for security_id, weight in model.weights),
        },
        "policy": {key: _plain(value) for key, value in asdict(policy).items()},
        "lots": [
            {
                "lot_id": int(book.lot_ids[lot]),
                "security_id": book.securities[book.lot_security[lot]].security_id,
                "quantity": str(from_units(book.lot_units[lot], SHARE_UNITS)),
                "cost": str(from_units(book.lot_cost_cents[lot], CENTS)),
                "acquired_date": (EPOCH + timedelta(days=int(book.lot_day[lot]))).isoformat(),
            }
            for lot in span
        ],
        "locks": sorted(
            [book.securities[index].security_id, code] for index, code in locks.items()
        ),
    }


def _plain(value: object) -> object:
    return value if isinstance(value, int) else str(value)


def read_case(case: Mapping[str, Any]) -> Book:
    """Return the Book of one account that `write_case` wrote; solving it gives the same trades."""
    facts = case["account"]
    return build_book(
        price_date=date.fromisoformat(case["price_date"]),
        securities=[
            SecurityRow(
                security_id=row["security_id"],
                symbol=row["symbol"],
                class_name=row["class_name"],
                class_rank=row["class_rank"],
                price=None if row["price"] is None else Decimal(row["price"]),
                share_step=Decimal(row["share_step"]),
                half_spread_bps=Decimal(row["half_spread_bps"]),
                is_buyable=row["is_buyable"],
                substitutes=tuple(row["substitutes"]),
            )
            for row in case["securities"]
        ],
        models=[
            ModelRow(
                version_id=case["model"]["version_id"],
                name=case["model"]["name"],
                cash_weight=Decimal(case["model"]["cash_weight"]),
                weights=tuple((i, Decimal(weight)) for i, weight in case["model"]["weights"]),
            )
        ],
        policies=[_read_policy(case["policy"])],
        accounts=[
            AccountRow(
                account_id=facts["account_id"],
                cash=Decimal(facts["cash"]),
                books_version=facts["books_version"],
                model_version_id=case["model"]["version_id"],
                policy_id=case["policy"]["policy_id"],
                is_taxable=facts["is_taxable"],
                short_term_rate=Decimal(facts["short_term_rate"]),
                long_term_rate=Decimal(facts["long_term_rate"]),
                need_amount=Decimal(facts["need_amount"]),
            )
        ],
        lots=[
            LotRow(
                account_id=facts["account_id"],
                lot_id=row["lot_id"],
                security_id=row["security_id"],
                quantity=Decimal(row["quantity"]),
                cost=Decimal(row["cost"]),
                acquired_date=date.fromisoformat(row["acquired_date"]),
            )
            for row in case["lots"]
        ],
        locks=[
            LockRow(facts["account_id"], security_id, code) for security_id, code in case["locks"]
        ],
    )


def _read_policy(terms: Mapping[str, Any]) -> PolicyTerms:
    return PolicyTerms(
        policy_id=terms["policy_id"],
        trigger=Trigger(terms["trigger"]),
        schedule=Schedule(terms["schedule"]),
        cron_line=terms["cron_line"],
        band_level=BandLevel(terms["band_level"]),
        band_measure=BandMeasure(terms["band_measure"]),
        absolute_band=Decimal(terms["absolute_band"]),
        relative_band=Decimal(terms["relative_band"]),
        band_floor=Decimal(terms["band_floor"]),
        destination=Destination(terms["destination"]),
        min_trade_amount=Decimal(terms["min_trade_amount"]),
        cash_floor_amount=Decimal(terms["cash_floor_amount"]),
        need_horizon_days=terms["need_horizon_days"],
        approval_hours_max=terms["approval_hours_max"],
        price_tolerance=Decimal(terms["price_tolerance"]),
    )


def list_changes(
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    price_tolerance: Decimal,
    refused_trades: Sequence[Sequence[Any]] = (),
) -> list[str]:
    """Return, in sentences, what moved between two cases of one account beyond what is tolerated.

    `refused_trades` are (security id, side) that a person removed: they are locks of `before` that
    no household wished for.
    """
    refused = [[i, NO_BUY if side == Side.BUY else NO_SELL] for i, side in refused_trades]
    after = {**after, "locks": _merge_locks([*after["locks"], *refused])}
    changes = [
        words
        for key, words in (
            ("account", "cash, tax rates or cash needs changed"),
            ("lots", "the holdings changed"),
            ("model", "the model portfolio changed"),
            ("policy", "the rebalancing policy changed"),
            ("locks", "the household's wishes changed"),
        )
        if before[key] != after[key]
    ]
    old = {row["security_id"]: row for row in before["securities"]}
    moves = []
    for row in after["securities"]:
        was = old.pop(row["security_id"], None)
        moves.extend(_compare_security(was, row, price_tolerance))
    changes.extend(moves[:CHANGES_NAMED])
    if len(moves) > CHANGES_NAMED:
        changes.append(f"{len(moves) - CHANGES_NAMED} other securities changed as well")
    changes.extend(f"{row['symbol']} is no longer on the list" for row in old.values())
    return changes


def _merge_locks(locks: Sequence[Sequence[int]]) -> list[list[int]]:
    merged: dict[int, int] = {}
    for security_id, code in locks:
        merged[security_id] = merged.get(security_id, 0) | code
    return [[security_id, merged[security_id]] for security_id in sorted(merged)]


def _compare_security(
    was: Mapping[str, Any] | None, now: Mapping[str, Any], price_tolerance: Decimal
) -> list[str]:
    if was is None or {**was, "price": None} != {**now, "price": None}:
        return [f"the terms of {now['symbol']} changed"]
    if was["price"] == now["price"]:
        return []
    if was["price"] is None or now["price"] is None:
        return [f"{now['symbol']} has no usable price any more"]
    move = Decimal(now["price"]) / Decimal(was["price"]) - 1
    if abs(move) <= price_tolerance:
        return []
    return [f"{now['symbol']} moved {move:+.1%}, more than {price_tolerance:.1%}"]
