"""The parts of a case that speak of many securities at once: targets, wishes, the covariance."""

from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

import numpy as np

from accounts.domain.roles import WishKind
from portfolios.domain.money import QUANTITY_STEP, split_by_ratio
from rebalancer.domain.kinds import DriftMeasure
from rebalancer.engine.case.fields import (
    ACCOUNTS_MAX,
    COVARIANCE,
    COVARIANCE_MAX,
    FRACTION,
    ONE,
    ROWS_MAX,
    TARGET_CLASS,
    WISH,
    ZERO,
)
from rebalancer.engine.case.rows import Row, show, suggest

# A matrix from decimals may lack so much, relative to its largest entry, of having no negative
# variance in any direction.
PSD_TOLERANCE = 1e-9
Securities = Mapping[str, Mapping[str, Any]]


def read_targets(part: Row, securities: Securities) -> dict[str, Any]:
    """Return target weights by security, and of cash; a class is shared among its members."""
    part.check_keys(["cash", "securities", "classes"])
    faults_before = part.faults.count
    cash = _read_weight(part, "cash", part.values.get("cash", ZERO))
    weights: dict[str, Decimal] = {}
    named = part.object("securities")
    for symbol, value in named.values.items():
        weight = _read_weight(named, str(symbol), value)
        if symbol not in securities:
            hint = suggest(symbol, list(securities))
            named.fault(str(symbol), f"{show(symbol)} is not among the securities{hint}")
        elif weight is not None:
            weights[symbol] = weight
    classes = part.object("classes")
    for name in classes.values:
        shares = _read_class(classes, name, securities, weights)
        for symbol, weight in shares.items():
            if symbol in weights:
                classes.fault(str(name), f"{symbol} has a target twice")
            weights[symbol] = weight
    total = (cash or ZERO) + sum(weights.values(), ZERO)
    if part.faults.count == faults_before and total != ONE:
        part.fault("", f"the targets, cash included, sum to {total}, not to 1")
    return {
        "cash": cash,
        "securities": {symbol: weights[symbol] for symbol in sorted(weights) if weights[symbol]},
    }


def _read_weight(row: Row, key: str, value: object) -> Decimal | None:
    try:
        return FRACTION.read(value)
    except ValueError as error:
        row.fault(key, f"the target of {show(key)}: {error}" if key != "cash" else str(error))
        return None


def _read_class(
    classes: Row, name: str, securities: Securities, taken: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Return the weights of one class's members; nothing when something is wrong with it."""
    if isinstance(classes.values[name], Mapping):
        part = classes.object(name)
        weight = part.read_all(TARGET_CLASS, "members")["weight"]
    else:
        part = Row(classes.faults, f"{classes.path}.{name}", {})
        weight = _read_weight(classes, str(name), classes.values[name])
    members = [
        symbol
        for symbol, row in sorted(securities.items())
        if row["asset_class"] == name and row["is_buyable"]
    ]
    if not any(row["asset_class"] == name for row in securities.values()):
        known = sorted({row["asset_class"] for row in securities.values() if row["asset_class"]})
        classes.fault(str(name), f"no security is of the class {show(name)}{suggest(name, known)}")
        return {}
    if "members" in part.values:
        shares = _read_members(part, [s for s, r in securities.items() if r["asset_class"] == name])
    else:
        shares = {symbol: ONE for symbol in members if symbol not in taken}
        if not shares:
            part.fault("", f"no security of {show(name)} is left to take its target")
    if not shares or weight is None:
        return {}
    symbols = sorted(shares)
    parts = split_by_ratio(weight, [shares[symbol] for symbol in symbols], QUANTITY_STEP)
    return dict(zip(symbols, parts, strict=True))


def _read_members(part: Row, of_class: Sequence[str]) -> dict[str, Decimal]:
    """Return the share of each member of a class, given as a list or by shares that sum to 1."""
    value = part.values["members"]
    if isinstance(value, Mapping):
        row = part.object("members")
        shares = {symbol: _read_weight(row, str(symbol), share) for symbol, share in value.items()}
    else:
        row = part
        items = part.items("members", count_max=len(of_class))
        shares = {item: ONE for item in items if isinstance(item, str)}
    for symbol in shares:
        if symbol not in of_class:
            row.fault(str(symbol), f"{show(symbol)} is not of this class")
    if any(share is None for share in shares.values()) or not set(shares) <= set(of_class):
        return {}
    whole = {symbol: share for symbol, share in shares.items() if share}
    if not whole or (isinstance(value, Mapping) and sum(whole.values(), ZERO) != ONE):
        part.fault("members", "the shares of the members do not sum to 1")
        return {}
    return whole


# --- Wishes --------------------------------------------------------------------------------------


def read_wishes(
    row: Row, securities: Securities, account_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return wishes security by security, each with the accounts that it is for."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for part in row.rows("wishes", count_max=ROWS_MAX, name=_name_wish):
        wish = part.read_all(WISH, "accounts")
        symbols = _find_subjects(part, wish, securities)
        accounts = _read_accounts(part, account_ids)
        for symbol in symbols:
            wanted.setdefault((symbol, str(wish["kind"])), set()).update(accounts)
            _check_contradiction(part, symbol, str(wish["kind"]), wanted)
    return [
        {
            "kind": kind,
            "symbol": symbol,
            "accounts": [account for account in account_ids if account in wanted[symbol, kind]],
        }
        for symbol, kind in sorted(wanted)
    ]


def _name_wish(values: Mapping[str, Any]) -> str:
    subject = values.get("symbol") or values.get("theme")
    return f"the wish on {show(subject)}" if isinstance(subject, str) else ""


def _find_subjects(part: Row, wish: Mapping[str, Any], securities: Securities) -> list[str]:
    symbol, theme = wish["symbol"], wish["theme"]
    if sum(part.values.get(key) is not None for key in ("symbol", "theme")) != 1:
        part.fault("symbol", "give either a symbol or a theme")
        return []
    if theme is not None:
        found = [name for name, row in sorted(securities.items()) if theme in row["themes"]]
        if not found:
            part.fault("theme", f"no security has the theme {show(theme)}")
        return found
    if symbol is not None and symbol not in securities:
        hint = suggest(symbol, list(securities))
        part.fault("symbol", f"{show(symbol)} is not among the securities{hint}")
        return []
    return [symbol] if symbol is not None else []


def _read_accounts(part: Row, account_ids: Sequence[str]) -> list[str]:
    if "accounts" not in part.values:
        return list(account_ids)
    chosen = []
    for number, value in enumerate(part.items("accounts", count_max=ACCOUNTS_MAX)):
        if value in account_ids:
            chosen.append(value)
        else:
            hint = suggest(value, [name for name in account_ids if name])
            part.fault(f"accounts.{number}", f"there is no account {show(value)}{hint}")
    return chosen


def _check_contradiction(
    part: Row, symbol: str, kind: str, wanted: Mapping[tuple[str, str], set[str]]
) -> None:
    opposite = {WishKind.EXCLUDE: WishKind.NEVER_SELL, WishKind.NEVER_SELL: WishKind.EXCLUDE}
    other = str(opposite.get(WishKind(kind), "")) if kind in WishKind.__members__ else ""
    both = wanted[symbol, kind] & wanted.get((symbol, other), set())
    if both:
        part.fault(
            "kind",
            f"{symbol} is both to be left (EXCLUDE) and never to be sold (NEVER_SELL)"
            f" in account {show(min(both))}",
        )


# --- Covariance ----------------------------------------------------------------------------------


def read_covariance(row: Row, case: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the covariance of returns in the order of symbols, numbers as floats write them.

    A policy that prices drift by risk needs it of all that is held or has a target.
    """
    policies = [case["policy"], *(a.get("policy") or {} for a in case["accounts"])]
    is_needed = any(policy.get("drift_measure") is DriftMeasure.RISK for policy in policies)
    if row.values.get("covariance") is None:
        if is_needed:
            row.fault("covariance", "is required: the policy prices drift by risk")
        return None
    faults_before = row.faults.count
    symbols = {security["symbol"] for security in case["securities"]}
    covariance = _read_matrix(row.object("covariance"), symbols)
    if covariance is not None and is_needed and row.faults.count == faults_before:
        for symbol in sorted(_list_weighed(case) - set(covariance["symbols"])):
            row.fault("covariance.symbols", f"{symbol} is missing")
    return covariance


def _list_weighed(case: Mapping[str, Any]) -> set[str]:
    """Return the symbols of all that is held or has a target."""
    targets = [case["targets"], *(account.get("targets") or {} for account in case["accounts"])]
    weighed = {symbol for part in targets for symbol in part.get("securities", ())}
    weighed |= {lot["symbol"] for account in case["accounts"] for lot in account["lots"]}
    return weighed & {security["symbol"] for security in case["securities"]}


def _read_matrix(part: Row, known: Set[str]) -> dict[str, Any] | None:
    part.check_keys(["symbols", "matrix"])
    symbols = part.items("symbols", count_max=COVARIANCE_MAX)
    rows = part.items("matrix", count_max=COVARIANCE_MAX)
    for number, symbol in enumerate(symbols):
        if not isinstance(symbol, str) or symbol not in known:
            part.fault(f"symbols.{number}", f"{show(symbol)} is not among the securities")
            return None
        if symbol in symbols[:number]:
            part.fault(f"symbols.{number}", f"{symbol} stands here twice")
            return None
    count = len(symbols)
    if len(rows) != count or any(not isinstance(r, list | tuple) or len(r) != count for r in rows):
        part.fault("matrix", f"is not {count} rows of {count} numbers")
        return None
    matrix = np.zeros((count, count))
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            try:
                matrix[i, j] = float(COVARIANCE.read(value))
            except ValueError as error:
                part.fault(f"matrix.{i}.{j}", f"{symbols[i]} with {symbols[j]}: {error}")
                return None
    if not _is_covariance(part, symbols, matrix):
        return None
    order = sorted(range(count), key=lambda i: str(symbols[i]))
    return {
        "symbols": [symbols[i] for i in order],
        "matrix": [[repr(float(matrix[i, j])) for j in order] for i in order],
    }


def _is_covariance(part: Row, symbols: Sequence[str], matrix: np.ndarray[Any, Any]) -> bool:
    uneven = np.argwhere(matrix != matrix.T)
    if len(uneven):
        i, j = map(int, uneven[0])
        part.fault(f"matrix.{i}.{j}", f"{symbols[i]} with {symbols[j]} differs the other way round")
        return False
    if len(matrix) and np.linalg.eigvalsh(matrix)[0] < -PSD_TOLERANCE * np.abs(matrix).max():
        part.fault("matrix", "is no covariance: some mix of the securities has a negative variance")
        return False
    return True
