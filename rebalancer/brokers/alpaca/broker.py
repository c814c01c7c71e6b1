"""Alpaca's Trading API as a broker: one pair of keys is one account.

Alpaca refuses a second order under a client order id, and may answer an error although it took the
order; so after every refusal we look before we believe it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rebalancer.brokers.alpaca import translate
from rebalancer.brokers.alpaca.client import AlpacaRefusal, AlpacaWire, NotFound
from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    BrokerOrder,
    BrokerPosition,
    BrokerUnavailable,
    Execution,
    OrderTicket,
    reject_ticket,
)

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
TIMEOUT_SECONDS = 15.0
ORDERS_A_PAGE = 500
ACTIVITIES_A_PAGE = 100
PAGES_MAX = 200
# Ours are day orders; a bust or correction may still touch one in the days after.
TOUCHED_LATER = timedelta(days=7)
_NOTHING_TO_CANCEL = (404, 410, 422)
_ABILITIES = Abilities(
    has_unique_ids=True, has_fractions=True, has_limit_orders=True, has_blocks=False
)


class AlpacaBroker:
    """One account at Alpaca, paper or live by its address."""

    name = "ALPACA"
    abilities = _ABILITIES

    def __init__(
        self,
        *,
        key_id: str,
        secret_key: str,
        url: str = PAPER_URL,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._wire = AlpacaWire(
            key_id=key_id, secret_key=secret_key, url=url, timeout_seconds=timeout_seconds
        )
        self._account_number = ""

    # --- Orders -----------------------------------------------------------------------------

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Send a day order. BrokerUnavailable: the outcome is not known."""
        if len(ticket.client_order_id) > translate.CLIENT_ID_LENGTH_MAX:
            return reject_ticket(ticket, "our order id is too long for Alpaca")
        if ticket.account_number and ticket.account_number != self._get_account_number():
            return reject_ticket(ticket, f"these keys do not trade account {ticket.account_number}")
        try:
            answer = self._wire.post("/orders", translate.write_order(ticket))
        except AlpacaRefusal as refusal:
            return self._look_after(ticket, refusal)
        return self._translate([answer])[0]

    def _look_after(self, ticket: OrderTicket, refusal: AlpacaRefusal) -> BrokerOrder:
        """Return what stands behind a refusal: the order itself, if it is there after all."""
        known = self.get_orders([ticket.client_order_id]).get(ticket.client_order_id)
        if known is not None:
            return known
        if "client_order_id" in refusal.message:
            raise BrokerUnavailable(
                f"Alpaca says it has the order and does not find it: {refusal.message}"
            )
        return reject_ticket(ticket, f"Alpaca: {refusal.message}")

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Return what Alpaca knows of these orders. BrokerUnavailable."""
        wanted = set(client_order_ids)
        found: dict[str, Any] = {}
        if len(wanted) > 1:
            # One list usually answers for all of today's, where each look-up costs a request.
            for item in self._get_list("/orders", {"status": "all", "limit": ORDERS_A_PAGE}):
                client_order_id = item.get("client_order_id")
                if client_order_id in wanted:
                    found[client_order_id] = item
        for client_order_id in sorted(wanted - set(found)):
            try:
                found[client_order_id] = self._wire.get(
                    "/orders:by_client_order_id", {"client_order_id": client_order_id}
                )
            except NotFound:
                continue
        orders = self._translate(list(found.values()))
        return {order.client_order_id: order for order in orders}

    def cancel(self, client_order_id: str) -> None:
        """Ask to stop working an order; one that is gone or done stays as it is."""
        try:
            order = self._wire.get(
                "/orders:by_client_order_id", {"client_order_id": client_order_id}
            )
            order_id = translate.read_order(order)[0].id
            self._wire.delete(f"/orders/{order_id}")
        except AlpacaRefusal as refusal:
            if refusal.status not in _NOTHING_TO_CANCEL:
                raise BrokerUnavailable(f"Alpaca would not cancel: {refusal.message}") from refusal

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Return every order that is open or was touched since. BrokerUnavailable."""
        found: dict[str, Any] = {}
        for status, after in (("all", since - TOUCHED_LATER), ("open", None)):
            for item in self._list_pages(status, after):
                order = translate.read_order(item)[0]
                if status == "open" or order.updated_at >= since:
                    found[str(order.id)] = item
        return self._translate(list(found.values()))

    def _list_pages(self, status: str, after: datetime | None) -> Iterator[Mapping[str, Any]]:
        """Yield orders by the time they were sent, page by page."""
        seen: set[str] = set()
        for _ in range(PAGES_MAX):
            values: dict[str, Any] = {
                "status": status,
                "limit": ORDERS_A_PAGE,
                "direction": "asc",
            }
            if after is not None:
                values["after"] = after.astimezone(UTC).isoformat()
            page = self._get_list("/orders", values)
            fresh = [item for item in page if str(item.get("id")) not in seen]
            yield from fresh
            if len(page) < ORDERS_A_PAGE or not fresh:
                return
            seen |= {str(item.get("id")) for item in fresh}
            # A little earlier than the last: orders sent in the same instant come twice, not never.
            last = translate.read_order(page[-1])[0].submitted_at
            after = last - timedelta(microseconds=1)
        raise BrokerUnavailable("Alpaca's list of orders does not end")

    # --- Executions -------------------------------------------------------------------------

    def _translate(self, found: list[Any]) -> list[BrokerOrder]:
        orders = [translate.read_order(values) for values in found]
        touched = [order for order, values in orders if _has_executed(values)]
        executions: dict[str, list[Execution]] = defaultdict(list)
        if touched:
            ids = {str(order.id) for order in touched}
            after = min(order.submitted_at for order in touched)
            for order_id, execution in self._list_executions(after):
                if order_id in ids:
                    executions[order_id].append(execution)
        return [
            translate.translate_order(order, values, tuple(executions[str(order.id)]))
            for order, values in orders
        ]

    def _list_executions(self, after: datetime) -> Iterator[tuple[str, Execution]]:
        token = ""
        for _ in range(PAGES_MAX):
            values: dict[str, Any] = {
                "after": (after - timedelta(seconds=1)).astimezone(UTC).isoformat(),
                "direction": "asc",
                "page_size": ACTIVITIES_A_PAGE,
            }
            if token:
                values["page_token"] = token
            page = self._get_list("/account/activities/FILL", values)
            for item in page:
                read = translate.read_activity(item)
                if read is not None:
                    yield read
            if len(page) < ACTIVITIES_A_PAGE:
                return
            token = str(page[-1].get("id"))
        raise BrokerUnavailable("Alpaca's list of activities does not end")

    def _get_list(self, path: str, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found = self._wire.get(path, values)
        if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
            raise BrokerUnavailable(f"Alpaca's answer to {path} is not a list of objects")
        return found

    # --- The account --------------------------------------------------------------------------

    def _get_account(self) -> Mapping[str, Any]:
        found = self._wire.get("/account")
        if not isinstance(found, Mapping) or not found.get("account_number"):
            raise BrokerUnavailable("Alpaca's answer has no account number")
        return found

    def _get_account_number(self) -> str:
        if not self._account_number:
            self._account_number = str(self._get_account()["account_number"])
        return self._account_number

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Refuse: there is nobody to share with in one account."""
        raise BrokerUnavailable(f"Alpaca takes no allocations (block {instruction.block_id})")

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Return what the account holds, if it is asked about. BrokerUnavailable."""
        account = self._get_account()
        number = str(account["account_number"])
        if number not in account_numbers:
            return []
        positions = [BrokerPosition(number, "", translate.read_number(account.get("cash")))]
        for item in self._get_list("/positions", {}):
            quantity = abs(translate.read_number(item.get("qty")))
            if item.get("side") == "short":
                quantity = -quantity
            positions.append(BrokerPosition(number, str(item.get("symbol")), quantity))
        return positions


def _has_executed(values: Mapping[str, Any]) -> bool:
    # A fill that was taken back leaves nothing filled, and is still to be told of.
    return bool(values.get("filled_at")) or translate.read_number(values.get("filled_qty") or 0) > 0
