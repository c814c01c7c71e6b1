"""The brokers of blocks: how to reach them, and which slices are whose."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from uuid import UUID

from rebalancer import models
from rebalancer.brokers.port import Broker, BrokerUnavailable
from rebalancer.domain.kinds import BrokerKind
from rebalancer.operations.connections import get_broker, get_broker_kind, get_paper_broker
from robo.common.errors import Refused


def reach_broker(kind: BrokerKind, firm_id: int) -> Broker:
    """Return the door to the broker that has a firm's slices.

    :raises BrokerUnavailable: when the firm is connected to another one now, or its connection
        lacks something.
    """
    if kind is BrokerKind.PAPER:
        return get_paper_broker()
    if get_broker_kind(firm_id) is not kind:
        raise BrokerUnavailable(f"firm {firm_id} is not connected to {kind} any more")
    try:
        return get_broker(firm_id=firm_id)
    except Refused as error:
        raise BrokerUnavailable(f"the connection of firm {firm_id}: {error}") from error


def name_account(kind: str, number: str, public_id: UUID) -> str:
    """Return the number under which a broker knows an account.

    It is the custodian's. The paper broker is one for all firms, whose custodians may well have
    given the same number twice: there an account goes by our own id.
    """
    return str(public_id) if kind == BrokerKind.PAPER else number


def group_by_broker(
    slices: Iterable[models.Slice],
) -> Iterator[tuple[BrokerKind, int, list[models.Slice]]]:
    """Yield (kind, firm id, slices) for each broker connection; the blocks are at hand."""

    def key(row: models.Slice) -> tuple[str, int]:
        return row.block.broker, row.block.firm_id

    for (kind, firm_id), rows in groupby(sorted(slices, key=key), key=key):
        yield BrokerKind(kind), firm_id, list(rows)
