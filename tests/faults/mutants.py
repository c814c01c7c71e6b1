"""The seeded bugs, each with what must kill it: schedules, or a race or a case made for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.killers import (
    ask_while_it_is_sent,
    buy_in_another_account,
    cancel_a_strangers_order,
    correct_after_a_split,
    end_before_the_fills,
    fill_at_two_prices,
    lose_in_another_account,
    name_another_approver,
    offer_bad_prices,
    race_approvals,
    resend_what_was_taken,
    seal_out_of_order,
    send_after_a_split,
    trust_a_wrong_clock,
)
from tests.faults.mutating import Edit, mutated
from tests.faults.schedule import Violation, run_schedule

OPS = "rebalancer.operations"
RUN = "rebalancer.operations.execution"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug by name, the edits that make it, and a directed killer where schedules are none."""

    name: str
    edits: tuple[Edit, ...]
    killer: Callable[[], None] | None = None


MUTANTS = (
    Mutant(
        "approver = proposer allowed",
        (Edit(f"{OPS}.approvals", "_approve", "proposal.proposed_by_id == user_id", "False"),),
    ),
    Mutant(
        "a correction counts in the shares of its own day",
        (Edit(f"{RUN}.allocation", "_find_fill_date", ", kind=ExecutionKind.FILL", ""),),
        correct_after_a_split,
    ),
    Mutant(
        "an approval survives a split",
        (
            Edit(f"{RUN}.admission", "drop_lapsed", "is_other = bool(acted) or", "is_other ="),
            Edit(f"{RUN}.admission", "_find_lapse", "abs(moved) > ", "abs(moved) > 9 + "),
        ),
        send_after_a_split,
    ),
    Mutant(
        "stale inputs accepted",
        (
            Edit(
                f"{OPS}.approvals",
                "_approve",
                "changes = list_changes_since(proposal)",
                "changes = []",
            ),
        ),
    ),
    Mutant(
        "no reservation",
        (Edit(f"{RUN}.facts", "measure_open_buys", "in reserved.items()", "in ()"),),
    ),
    Mutant(
        "no lock on approve",
        (Edit(f"{OPS}.approvals", "_lock_for_decision", '.select_for_update(of=["self"])', ""),),
        race_approvals,
    ),
    Mutant(
        "outbox row written after commit",
        (
            Edit(
                f"{RUN}.sending",
                "_claim",
                'models.Slice.objects.bulk_update(going, ["status", "attempt_count"])',
                "pass",
            ),
            Edit(
                f"{RUN}.sending",
                "_renew_lease",
                "return bool(mine.update(lease_until=Now() + LEASE))",
                "return True",
            ),
        ),
    ),
    Mutant(
        "kill switch read only before it is sent",
        (
            Edit(
                f"{RUN}.sending",
                "_is_stopped",
                "return any(",
                "return False and any(",
            ),
        ),
    ),
    Mutant(
        "new client id on retry",
        (
            Edit(
                f"{RUN}.sending",
                "_build_sending",
                "client_order_id=row.client_order_id",
                'client_order_id=f"{row.client_order_id[:50]}-{row.attempt_count}"',
            ),
        ),
    ),
    Mutant(
        "duplicate-id answer taken as reject",
        (
            Edit(
                f"{RUN}.sending",
                "_send_batch",
                "= broker.submit(item.ticket)",
                "= __import__('dataclasses').replace(broker.submit(item.ticket), "
                "**({'status': 'REJECTED'} if item.attempt > 1 else {}))",
            ),
        ),
        resend_what_was_taken,
    ),
    Mutant(
        "bust ignored",
        (Edit(f"{RUN}.sitting", "sort_executions", "sitting.answers.append((row, told))", "pass"),),
    ),
    Mutant(
        "bust before fill accepted",
        (
            Edit(
                f"{RUN}.sitting",
                "write_answers",
                'park(sitting, row, told, f"early:{told.fill_id}", reason)',
                "_add(row, -told.quantity, -told.quantity * told.price)",
            ),
        ),
    ),
    Mutant(
        "late fill ignored",
        (
            Edit(
                f"{RUN}.sitting",
                "sort_executions",
                "    firm_id = row.block.firm_id\n",
                "    firm_id = row.block.firm_id\n    if row.closed_at is not None:\n"
                "        return\n",
            ),
        ),
    ),
    Mutant(
        "fill not de-duplicated",
        (Edit(f"{RUN}.sitting", "sort_executions", "if seen is not None:", "if False:"),),
    ),
    Mutant(
        "partial taken as full",
        (
            Edit(
                f"{RUN}.reports",
                "_follow_status",
                "is_full = row.filled_quantity >= row.quantity",
                "is_full = row.filled_quantity > 0",
            ),
        ),
    ),
    Mutant(
        "cash leg rounded differently from cost",
        (
            Edit(
                "portfolios.operations.fills",
                "_build_event",
                "bought = OpeningLot(fill.security_id, fill.quantity, fill.amount,",
                "bought = OpeningLot(fill.security_id, fill.quantity, round(fill.amount),",
            ),
        ),
    ),
    Mutant(
        "lots booked in a second transaction",
        (
            Edit(
                "portfolios.operations.entries",
                "write_events",
                "    _write_lots(list(zip(entries, events, strict=True)))\n",
                "    from django.db import transaction as late\n"
                "    late.on_commit(lambda: _write_lots(list(zip(entries, events))))\n",
            ),
        ),
    ),
    Mutant(
        "reservation released on status",
        (
            Edit(
                f"{RUN}.reports",
                "_follow_status",
                "elif is_level and (is_full or answer.status in ENDS):",
                "elif is_full or answer.status in ENDS:",
            ),
        ),
        end_before_the_fills,
    ),
    Mutant(
        "tenant filter missing in one action",
        (
            Edit(
                f"{RUN}.deciding",
                "_cancel_waiting",
                "visible_accounts(user).filter(pk=order.account_id).exists()",
                "True",
            ),
        ),
        cancel_a_strangers_order,
    ),
    Mutant(
        "audit row outside the transaction",
        (
            Edit(
                f"{OPS}.approvals",
                "_approve",
                '    audit_proposals(\n        [proposal], event="approved"',
                "    transaction.on_commit(lambda: 0)\n    late = lambda *a, **k: "
                "transaction.on_commit(lambda: audit_proposals(*a, **k))\n"
                '    late(\n        [proposal], event="approved"',
            ),
        ),
    ),
    Mutant(
        "sealer by id",
        (
            Edit(
                "accounts.operations.sealing",
                "_READY",
                "AND (e.xid < %(xmin)s::text::xid8 OR e.xid >= %(xmax)s::text::xid8)",
                "AND %(xmin)s <> 0 AND %(xmax)s <> 0 AND e.id > coalesce((SELECT max(k.entry_id) "
                "FROM accounts_journallink k WHERE k.firm_id = %(firm)s), 0)",
            ),
        ),
        seal_out_of_order,
    ),
    Mutant(
        "NaN check missing in one loader",
        (
            Edit(
                "portfolios.domain.pricing",
                "read_price",
                "if not price.is_finite():",
                "if False:",
            ),
        ),
        offer_bad_prices,
    ),
    Mutant(
        "limit counted on fills",
        (
            Edit(
                f"{OPS}.entering",
                "_count",
                "total = _read(counter).add(added)",
                "total = _read(counter)",
            ),
        ),
    ),
    Mutant(
        "lease by the worker's clock",
        (
            Edit(
                f"{RUN}.sending",
                "_claim",
                "update(lease_until=Now() + LEASE)",
                "update(lease_until=now - LEASE)",
            ),
            Edit(f"{RUN}.sending", "_renew_lease", "        lease_until__gt=Now(),\n", ""),
        ),
        ask_while_it_is_sent,
    ),
    Mutant(
        "session clock from the worker",
        (Edit("robo.common.clock", "database_now", "return row[0]", "return now()"),),
        trust_a_wrong_clock,
    ),
    Mutant(
        "serializer with a writable approver",
        (
            Edit(
                "rebalancer.serializers",
                "ApprovalSerializer",
                "    note = Text(",
                "    user_id = serializers.IntegerField(required=False)\n    note = Text(",
            ),
            Edit(
                "rebalancer.api.proposals",
                "ProposalApproval",
                "proposal_id=proposal.pk, user_id=user.pk, now=clock.database_now(), **decision",
                "proposal_id=proposal.pk, now=clock.database_now(),"
                ' **({"user_id": user.pk} | decision)',
            ),
        ),
        name_another_approver,
    ),
    Mutant(
        "wash sale per account: purchases",
        (
            Edit(
                "portfolios.queries.taxes",
                "_PURCHASES",
                "a.household_id = ANY(%(households)s)",
                "%(households)s::bigint[] IS NOT NULL AND a.id = ANY(%(accounts)s)",
            ),
        ),
        buy_in_another_account,
    ),
    Mutant(
        "wash sale per account: dividends",
        (
            Edit(
                "portfolios.queries.taxes",
                "_LOSERS",
                "a.household_id = mine.household_id",
                "a.id = mine.id",
            ),
        ),
        lose_in_another_account,
    ),
    Mutant(
        "average price per participant",
        (
            Edit(
                f"{RUN}.booking",
                "_build_fill",
                "price=round_price(block.filled_value / block.filled_quantity)",
                "price=round_price(change.share.amount / change.share.quantity)",
            ),
        ),
        fill_at_two_prices,
    ),
)
# What ten schedules or a directed case settle: in every run of the tests.
QUICK = (
    "a correction counts in the shares of its own day",
    "an approval survives a split",
    "stale inputs accepted",
    "outbox row written after commit",
    "tenant filter missing in one action",
    "session clock from the worker",
    "serializer with a writable approver",
    "wash sale per account: purchases",
    "wash sale per account: dividends",
)


def kill(mutant: Mutant, *, seeds: range, steps: int) -> tuple[int, str] | None:
    """Return after how many schedules a mutant is found, and by what; None: it survives."""
    with mutated(*mutant.edits):
        if mutant.killer is not None:
            try:
                mutant.killer()
            except Exception as error:
                return 1, f"{mutant.killer.__name__}: {error}"
            return None
        for number, seed in enumerate(seeds, start=1):
            try:
                run_schedule(seed, steps=steps)
            except Violation as violation:
                return number, str(violation).split("\n", maxsplit=1)[0]
    return None


def run_mutants(first: int, count: int, steps: int, only: str) -> int:
    """Look for every seeded bug; print a line for each, and return 1 when one survives."""
    from tests.faults import running

    chosen = [row for row in MUTANTS if any(part in row.name for part in only.split(","))]
    numbers, survivors, began = [], [], time.monotonic()
    for mutant in chosen:
        running.empty_tables()
        found = kill(mutant, seeds=range(first, first + count), steps=steps)
        if found is None:
            survivors.append(mutant.name)
            running.say(f"SURVIVES  {mutant.name}")
            continue
        if mutant.killer is None:
            numbers.append(found[0])
        running.say(f"killed    {mutant.name}: after {found[0]}, {found[1][:160]}")
    running.empty_tables()
    median = statistics.median(numbers) if numbers else 0
    running.say(
        f"{len(chosen) - len(survivors)} of {len(chosen)} killed, after {median} schedules in the "
        f"median, in {time.monotonic() - began:.0f} s; survivors: {survivors}"
    )
    return min(1, len(survivors))
