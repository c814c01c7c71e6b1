"""From what somebody sent to the normal form of a case: checked, complete, in one fixed order.

Two cases that mean the same have the same normal form, and so the same hash. It is itself a case.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.domain.roles import TaxStatus
from portfolios.domain.money import QUANTITY_MAX, round_money
from portfolios.domain.tax import get_regime
from rebalancer.domain.kinds import BandMeasure, CapKind
from rebalancer.engine.case.fields import (
    ACCOUNT,
    ACCOUNTS_MAX,
    AMOUNT_MAX,
    CAP,
    CASE,
    CASH_NEED,
    ENGINE_VERSION,
    LOT,
    LOTS_MAX,
    MODE,
    OPEN_ORDER,
    POLICY,
    PRICE,
    RECENT_TRADE,
    ROWS_MAX,
    SECURITIES_MAX,
    SECURITY,
    TAX,
    ZERO,
)
from rebalancer.engine.case.markets import read_covariance, read_targets, read_wishes
from rebalancer.engine.case.rows import (
    ERRORS_MAX,
    Faults,
    Row,
    parse_json,
    show,
    sort_id,
    sort_rows,
    suggest,
    write_plain,
)

PARTS = (
    "accounts",
    "prices",
    "securities",
    "targets",
    "policy",
    "tax",
    "recent_trades",
    "wishes",
    "covariance",
    "origin",
)


def normalise_case(source: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """Return the normal form of a case, given as JSON or as the values of one.

    :raises CaseRefused: with everything that is wrong, each with its path.
    """
    values = parse_json(source) if isinstance(source, str | bytes) else source
    faults = Faults()
    if not isinstance(values, Mapping):
        faults.add("", f"a case is an object, not {show(values)}")
        faults.refuse()
    case = _CaseReader(Row(faults, "", values)).read()
    faults.refuse()
    normal = write_plain(case)
    assert isinstance(normal, dict)  # noqa: S101 - for the type checker
    return normal


def read_mode(text: str) -> str:
    """Return the code of a mode that was given beside a case.

    :raises CaseRefused: when there is none of that name.
    """
    faults = Faults()
    mode = Row(faults, "", {"mode": text}).read(MODE)
    faults.refuse()
    return str(mode)


class _CaseReader:
    """Reads the parts of one case in the order in which they refer to each other."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.as_of: date | None = None
        self.securities: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, Decimal | None] = {}
        self.lot_ids: set[str] = set()
        self.lot_count = 0

    def read(self) -> dict[str, Any]:
        row = self.row
        case = row.read_all(CASE, *PARTS)
        self.as_of = case["as_of"]
        self._check_head(case)
        case["securities"] = self._read_securities()
        case["prices"] = self._read_prices()
        case["targets"] = self._read_targets(row, is_required=True)
        case["policy"] = self._read_policy(row, has_mode=True)
        case["accounts"] = self._read_accounts(case)
        case["tax"] = self._read_tax(case["accounts"])
        case["recent_trades"] = self._read_recent_trades()
        case["wishes"] = read_wishes(
            row, self.securities, [account["id"] for account in case["accounts"]]
        )
        case["covariance"] = read_covariance(row, case)
        row.object("origin")
        return case

    def _check_head(self, case: dict[str, Any]) -> None:
        currency = case["currency"]
        if currency is not None and not (
            len(currency) == 3 and currency.isascii() and currency.isupper()
        ):
            self.row.fault("currency", f"{show(currency)} is not three capital letters")
        if case["engine_version"] not in (None, ENGINE_VERSION):
            self.row.fault(
                "engine_version",
                f"{show(case['engine_version'])} is not this engine's, {ENGINE_VERSION}",
            )

    # --- Securities and prices -------------------------------------------------------------------

    def _read_securities(self) -> list[dict[str, Any]]:
        found = []
        for row in self.row.rows("securities", count_max=SECURITIES_MAX, name=_name("symbol")):
            security = row.read_all(SECURITY, "substitutes", "themes")
            symbol = security["symbol"]
            if symbol in self.securities:
                row.fault("symbol", f"{symbol} stands here twice")
            elif symbol is not None:
                self.securities[symbol] = security
            security["themes"] = sorted(set(self._read_names(row, "themes", 80)))
            found.append((row, security))
        for row, security in found:
            security["substitutes"] = self._read_substitutes(row, security["symbol"])
        return [self.securities[symbol] for symbol in sorted(self.securities)]

    def _read_names(self, row: Row, key: str, length_max: int) -> list[str]:
        names = []
        for number, value in enumerate(row.items(key, count_max=SECURITIES_MAX)):
            if isinstance(value, str) and 0 < len(value) <= length_max and value.isprintable():
                names.append(value)
            else:
                row.fault(f"{key}.{number}", f"{show(value)} is no name")
        return names

    def _read_substitutes(self, row: Row, symbol: str | None) -> dict[str, list[str]]:
        """Return substitutes by use; none for sheltered accounts means the same ones."""
        value = row.values.get("substitutes", [])
        if isinstance(value, Mapping):
            part = row.object("substitutes")
            part.check_keys(["taxable", "sheltered"])
            lists = {key: self._read_symbols(part, key, symbol) for key in ("taxable", "sheltered")}
        else:
            lists = {"taxable": self._read_symbols(row, "substitutes", symbol), "sheltered": []}
        if lists["sheltered"] == lists["taxable"]:
            lists["sheltered"] = []
        return lists

    def _read_symbols(self, row: Row, key: str, own: str | None) -> list[str]:
        symbols: list[str] = []
        for number, value in enumerate(row.items(key, count_max=SECURITIES_MAX)):
            path = f"{key}.{number}"
            if value == own:
                row.fault(path, f"{show(value)} cannot stand in for itself")
            elif value in symbols:
                row.fault(path, f"{show(value)} stands here twice")
            elif self._knows(row, path, value):
                symbols.append(value)
        return symbols

    def _knows(self, row: Row, key: str, symbol: object) -> bool:
        if symbol is None:
            return False
        if isinstance(symbol, str) and symbol in self.securities:
            return True
        # To look for what was meant takes time, which beyond the faults that are told is wasted.
        is_told = row.faults.count < ERRORS_MAX
        hint = suggest(symbol, list(self.securities)) if is_told else ""
        row.fault(key, f"{show(symbol)} is not among the securities{hint}")
        return False

    def _read_prices(self) -> dict[str, Decimal]:
        part = self.row.object("prices")
        for symbol, value in part.values.items():
            if not self._knows(part, str(symbol), symbol):
                continue
            try:
                self.prices[symbol] = PRICE.read(value)
            except ValueError as error:
                # Known to be wrong: nobody needs to be told that it is missing as well.
                self.prices[symbol] = None
                part.fault(symbol, f"the price of {symbol}: {error}")
        return {symbol: price for symbol, price in sorted(self.prices.items()) if price}

    def _needs_price(self, row: Row, key: str, symbol: str) -> None:
        if symbol not in self.prices:
            row.fault(key, f"there is no price for {symbol}")

    # --- Targets and policy ----------------------------------------------------------------------

    def _read_targets(self, row: Row, *, is_required: bool) -> dict[str, Any] | None:
        if "targets" not in row.values and is_required:
            row.fault("targets", "is required")
        if row.values.get("targets") is None and not is_required:
            return None
        part = row.object("targets")
        targets = read_targets(part, self.securities)
        for symbol in targets["securities"]:
            self._needs_price(row, f"targets.{symbol}", symbol)
        return targets

    def _read_policy(self, row: Row, *, has_mode: bool) -> dict[str, Any]:
        part = row.object("policy")
        specs = (*POLICY, MODE) if has_mode else POLICY
        policy = part.read_all(specs, "caps")
        wide, floor = policy["absolute_band"], policy["band_floor"]
        if (
            policy["band_measure"] in (BandMeasure.WIDER, BandMeasure.NARROWER)
            and None not in (wide, floor)
            and floor > wide
        ):
            part.fault("band_floor", f"the narrowest band, {floor}, is wider than {wide}")
        policy["caps"] = self._read_caps(part)
        return policy

    def _read_caps(self, part: Row) -> list[dict[str, Any]]:
        known = {
            CapKind.SECURITY: set(self.securities),
            CapKind.ASSET_CLASS: {row["asset_class"] for row in self.securities.values()},
            CapKind.SECTOR: {row["sector"] for row in self.securities.values()},
            CapKind.ISSUER: {row["issuer"] for row in self.securities.values()},
        }
        caps: dict[tuple[str, str], dict[str, Any]] = {}
        for row in part.rows("caps", count_max=ROWS_MAX, name=_name("name")):
            cap = row.read_all(CAP)
            if None in cap.values():
                continue
            if cap["name"] not in known[cap["kind"]]:
                hint = suggest(cap["name"], [name for name in known[cap["kind"]] if name])
                row.fault("name", f"no security is of {show(cap['name'])}{hint}")
            elif (cap["kind"], cap["name"]) in caps:
                row.fault("name", f"{show(cap['name'])} is capped twice")
            caps[cap["kind"], cap["name"]] = cap
        return [caps[key] for key in sorted(caps)]

    # --- Accounts --------------------------------------------------------------------------------

    def _read_accounts(self, case: dict[str, Any]) -> list[dict[str, Any]]:
        accounts: dict[str, dict[str, Any]] = {}
        for row in self.row.rows("accounts", count_max=ACCOUNTS_MAX, name=_name("id", "account")):
            account = self._read_account(row, case)
            if account["id"] in accounts:
                row.fault("id", "there are two accounts of this id")
            elif account["id"] is not None:
                accounts[account["id"]] = account
        if not self.row.values.get("accounts"):
            self.row.fault("accounts", "a case has at least one account")
        return [accounts[key] for key in sorted(accounts, key=sort_id)]

    def _read_account(self, row: Row, case: dict[str, Any]) -> dict[str, Any]:
        account = row.read_all(ACCOUNT, "cash_needs", "lots", "open_orders", "targets", "policy")
        account["cash_needs"] = sort_rows(
            need.read_all(CASH_NEED)
            for need in row.rows("cash_needs", count_max=ROWS_MAX, name=lambda _: row.label)
        )
        account["lots"] = self._read_lots(row, account["id"])
        account["open_orders"] = self._read_orders(row)
        self._check_size(row, account)
        own: dict[str, dict[str, Any] | None] = {}
        if "targets" in row.values:
            own["targets"] = self._read_targets(row, is_required=False)
        if "policy" in row.values:
            is_none = row.values["policy"] is None
            own["policy"] = None if is_none else self._read_policy(row, has_mode=False)
        for key, value in own.items():
            shared = {name: part for name, part in case[key].items() if name != "mode"}
            if value != shared:
                account[key] = value
        return account

    def _read_lots(self, row: Row, account_id: str | None) -> list[dict[str, Any]]:
        lots, unnamed = [], []
        for part in row.rows("lots", count_max=LOTS_MAX, name=lambda v: _name_lot(v, row)):
            lot = self._read_lot(part)
            self.lot_count += 1
            if lot["id"] is None:
                unnamed.append(lot)
            else:
                self._take_lot_id(part, lot["id"])
            lots.append(lot)
        if self.lot_count > LOTS_MAX:
            row.fault("lots", f"the case holds more than {LOTS_MAX} lots")
        for number, lot in enumerate(sort_rows(unnamed), start=1):
            lot["id"] = f"{account_id}/{lot['symbol']}/{number}"
            self._take_lot_id(row, lot["id"])
        return sorted(lots, key=lambda lot: sort_id(lot["id"]))

    def _take_lot_id(self, row: Row, lot_id: str) -> None:
        if lot_id in self.lot_ids:
            row.fault("id", f"there are two lots of the id {show(lot_id)}")
        self.lot_ids.add(lot_id)

    def _read_lot(self, part: Row) -> dict[str, Any]:
        lot = part.read_all(LOT)
        if self._knows(part, "symbol", lot["symbol"]):
            self._needs_price(part, "symbol", lot["symbol"])
        if lot["acquired_date"] and self.as_of and lot["acquired_date"] > self.as_of:
            part.fault("acquired_date", f"{lot['acquired_date']} is after {self.as_of}")
        given = [key for key in ("unit_cost", "cost") if part.values.get(key) is not None]
        if len(given) != 1:
            part.fault("cost", "give either unit_cost or cost")
        unit_cost = lot.pop("unit_cost")
        if unit_cost is not None and lot["quantity"] is not None:
            lot["cost"] = round_money(unit_cost * lot["quantity"])
        return lot

    def _read_orders(self, row: Row) -> list[dict[str, Any]]:
        orders = []
        for part in row.rows("open_orders", count_max=ROWS_MAX, name=lambda _: row.label):
            order = part.read_all(OPEN_ORDER)
            if self._knows(part, "symbol", order["symbol"]):
                self._needs_price(part, "symbol", order["symbol"])
            orders.append(order)
        return sort_rows(orders)

    def _check_size(self, row: Row, account: dict[str, Any]) -> None:
        """Keep holdings and values within what the engine's integers hold."""
        held: dict[str, Decimal] = {}
        for lot in account["lots"]:
            if lot["symbol"] and lot["quantity"]:
                held[lot["symbol"]] = held.get(lot["symbol"], ZERO) + lot["quantity"]
        for symbol, quantity in sorted(held.items()):
            if quantity > QUANTITY_MAX:
                row.fault("lots", f"more than {QUANTITY_MAX:f} shares of {symbol}")
        value = sum((q * (self.prices.get(s) or ZERO) for s, q in held.items()), ZERO)
        if value + (account["cash"] or ZERO) > AMOUNT_MAX:
            row.fault("lots", f"the account is worth more than {AMOUNT_MAX:f}")
        for order in account["open_orders"]:
            symbol, quantity = order["symbol"], order["quantity"]
            if order["side"] == "SELL" and symbol and quantity:
                held[symbol] = held.get(symbol, ZERO) - quantity
                if held[symbol] < 0:
                    row.fault("open_orders", f"sells of {symbol} exceed what is held")

    # --- The household ---------------------------------------------------------------------------

    def _read_tax(self, accounts: list[dict[str, Any]]) -> dict[str, Any]:
        is_taxed = any(account["tax_status"] is TaxStatus.TAXABLE for account in accounts)
        if "tax" not in self.row.values and not is_taxed:
            rates = {"short_term_rate": ZERO, "long_term_rate": ZERO}
            return Row(Faults(), "tax", rates).read_all(TAX)
        if "tax" not in self.row.values:
            self.row.fault("tax", "is required: an account is taxable")
            return {}
        part = self.row.object("tax")
        tax = part.read_all(TAX)
        try:
            get_regime(tax["regime"] or "US")
        except ValueError as error:
            part.fault("regime", str(error))
        return tax

    def _read_recent_trades(self) -> list[dict[str, Any]]:
        trades = []
        for row in self.row.rows("recent_trades", count_max=ROWS_MAX, name=_name("symbol")):
            trade = row.read_all(RECENT_TRADE)
            self._knows(row, "symbol", trade["symbol"])
            if trade["date"] and self.as_of and trade["date"] > self.as_of:
                row.fault("date", f"{trade['date']} is after {self.as_of}")
            trades.append(trade)
        return sort_rows(trades)


def _name(key: str, kind: str = "") -> Any:
    def name(values: Mapping[str, Any]) -> str:
        value = values.get(key)
        return f"{kind} {show(value)}".strip() if isinstance(value, str) else ""

    return name


def _name_lot(values: Mapping[str, Any], account: Row) -> str:
    lot, symbol = values.get("id"), values.get("symbol")
    named = f"lot {show(lot)}" if isinstance(lot, str) else "a lot"
    of = f" of {show(symbol)}" if isinstance(symbol, str) else ""
    return f"{named}{of}, {account.label}"
