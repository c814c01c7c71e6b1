"""The journal on a real PostgreSQL: entries written, sealed and verified in a second.

Run with `python -m benchmarks.journal [ENTRIES]`; it starts a database of its own and drops it.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.own_database import own_database

DEFAULT_ENTRIES = 50_000
# As a batch of the nightly run writes them: one transaction, one statement.
ENTRIES_TOGETHER = 200


def measure(entry_count: int) -> None:
    """Write, seal and verify so many entries of one firm, each once."""
    from django.db import transaction

    from accounts.operations.audit import AuditRecord, record_audit_entries
    from accounts.operations.sealing import seal_journal
    from accounts.queries.people import get_service_user
    from accounts.queries.proofs import prove_journal
    from tests import people

    firm = people.make_firm()
    engine = get_service_user(firm.pk)

    def write() -> None:
        for start in range(0, entry_count, ENTRIES_TOGETHER):
            with transaction.atomic():
                record_audit_entries(
                    [
                        AuditRecord(
                            firm_id=firm.pk,
                            actor_id=engine.pk,
                            action="rebalancer.check.done",
                            object_id=str(number),
                            summary=f"Looked at account {number}: within its bands",
                            detail={"drift": "0.0123", "cause": "SCHEDULED"},
                        )
                        for number in range(start, start + ENTRIES_TOGETHER)
                    ]
                )

    show("written", entry_count, write)
    show("sealed", entry_count, lambda: seal_journal(firm_id=firm.pk))
    proof = show("verified", entry_count, lambda: prove_journal(firm))
    print(f"  fault: {proof.fault}; {proof.entry_count} entries, {proof.waiting_count} wait")


def show(name: str, entry_count: int, work: Callable[[], Any]) -> Any:
    """Do the work, print how many entries a second it took in, and return its answer."""
    start = time.monotonic()
    answer = work()
    seconds = time.monotonic() - start
    print(f"  {name:<10} {entry_count / seconds:9,.0f} entries in a second")
    return answer


if __name__ == "__main__":
    with own_database():
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ENTRIES)
