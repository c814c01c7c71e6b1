"""The paper broker as an outside check needs it: it does what was asked, for as long as it lasts.

Only a broker inside this process can be told; one in a process of its own is its owner's to dial.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rebalancer.brokers.paper import PaperBroker
from rebalancer.operations.connections import get_paper_broker


@contextmanager
def turned_dial(*, reject_share: float = 0.0, part_quantity: int = 0) -> Iterator[bool]:
    """Let the paper broker reject this share of orders, and fill the others in parts of so many.

    Without parts every order fills as a whole. Yields whether the broker could be told.
    """
    broker = get_paper_broker()
    if not isinstance(broker, PaperBroker):
        yield False
        return
    before = broker.get_dial()
    broker.set_dial(
        replace(before, reject_share=reject_share, partial_share=0.0, part_quantity=part_quantity)
    )
    try:
        yield True
    finally:
        broker.set_dial(before)


@contextmanager
def silent_broker() -> Iterator[bool]:
    """Let the paper broker answer nobody: what is sent meanwhile has an unknown outcome.

    Whoever asks it waits ten seconds. Yields whether the broker could be told.
    """
    broker = get_paper_broker()
    if not isinstance(broker, PaperBroker):
        yield False
        return
    with broker.exchange():
        yield True
