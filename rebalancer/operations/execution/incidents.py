"""What a broker said that fits nothing we know: kept, and kept from being traded upon."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from portfolios.domain.kinds import BreakKind
from portfolios.domain.money import ZERO
from portfolios.operations.breaks import open_break
from portfolios.queries.breaks import get_our_quantity
from rebalancer import models
from rebalancer.brokers.port import AllocationInstruction, BrokerOrder, Execution
from rebalancer.domain.kinds import BrokerKind

EXECUTIONS_KEPT_MAX = 100


def park_report(
    *,
    broker: BrokerKind,
    firm_id: int | None,
    client_order_id: str,
    key: str,
    reason: str,
    report: Execution | BrokerOrder | AllocationInstruction,
) -> bool:
    """Keep a report that cannot be taken at its word; return whether it is new.

    The same one is kept once: what a person has settled does not come back with every look.
    """
    _row, is_new = models.ParkedReport.objects.get_or_create(
        broker=broker,
        # A broker's id is as long as it likes; two of them must not share a key.
        report_key=f"{_clean(key)[:90]}:{hashlib.sha256(key.encode()).hexdigest()}",
        defaults={
            "firm_id": firm_id,
            "client_order_id": _clean(client_order_id)[:64],
            "reason": _clean(reason)[:300],
            "report": _write_report(report),
        },
    )
    return is_new


def _clean(text: str) -> str:
    """Return a text as PostgreSQL takes it."""
    return text.replace("\x00", "")


def _write_report(report: Execution | BrokerOrder | AllocationInstruction) -> dict[str, Any]:
    values = asdict(report)
    if "executions" in values:
        values["executions"] = values["executions"][:EXECUTIONS_KEPT_MAX]
    written: dict[str, Any] = json.loads(
        json.dumps(values, cls=DjangoJSONEncoder).replace("\\u0000", "")
    )
    return written


def resolve_reports(keys: Iterable[int], *, now: datetime, resolution: str) -> None:
    """Mark parked reports as settled by what came since."""
    models.ParkedReport.objects.filter(pk__in=list(keys), resolved_at__isnull=True).update(
        resolved_at=now, resolution=resolution[:300]
    )


def freeze_block(block: models.Block, *, kind: BreakKind, note: str) -> None:
    """Keep the security of a block from trading in every account that takes part in it."""
    for order in models.Order.objects.filter(block=block).order_by("account_id"):
        freeze_order(order, kind=kind, note=note)


def freeze_order(
    order: models.Order,
    *,
    kind: BreakKind,
    note: str,
    missing: Mapping[str, Decimal] | None = None,
) -> None:
    """Keep an order's security from trading in its account, until a person has looked.

    `missing` is what our books lack by the broker's word (below zero: hold too much), by the name
    of what differs: "shares", "cash".
    """
    missing = missing or {"shares": ZERO}
    for name, difference in missing.items():
        security_id = order.security_id if name == "shares" else None
        ours = get_our_quantity(order.account_id, security_id)
        open_break(
            account_id=order.account_id,
            security_id=security_id,
            kind=kind,
            source=name_break(order, name),
            ours=ours,
            theirs=ours + difference,
            note=note,
        )


def name_break(order: models.Order, name: str) -> str:
    """Return the source of an order's break: by it the proof finds what is not booked, and why."""
    return f"order:{order.client_order_id}:{name}"
