"""One shard of the nightly run on a real PostgreSQL: 10,000 accounts checked and proposed for.

Run with `python -m benchmarks.shard [ACCOUNTS]`; it starts a database of its own and drops it.
"""

import sys
import time
from datetime import date
from typing import Any

from benchmarks.books import draw_book
from rebalancer.domain.kinds import Mode
from rebalancer.engine.answering import answer_households
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.outcome import Case
from rebalancer.engine.targets import resolve_targets
from tests.own_database import own_database

DEFAULT_ACCOUNTS = 10_000
OLD = date(2020, 1, 2)


def measure(account_count: int) -> None:
    """Clone one drifted account many times, then time each stage once."""
    from rebalancer.operations import checks, proposals
    from rebalancer.queries.books import load_book
    from tests.rebalancer.world import DAY, NOW, make_world

    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)])
    ids = clone(world.accounts[0].pk, account_count - 1)
    firm_id = world.firm.pk
    warm_up()
    print(f"{account_count:,} accounts with 2 lots each, all out of their bands")
    stages = (
        ("load_book", lambda: load_book(firm_id=firm_id, account_ids=ids, price_date=DAY)),
        (
            "find_due_checks",
            lambda: checks.find_due_checks(firm_id=firm_id, price_date=DAY, now=NOW),
        ),
        ("propose", lambda: proposals.propose(firm_id=firm_id, price_date=DAY, now=NOW)),
    )
    for name, work in stages:
        start = time.monotonic()
        answer = work()
        seconds = time.monotonic() - start
        found = dict(answer) if name != "load_book" else ""
        print(
            f"  {name:<16} {seconds:7.1f} s  {seconds / account_count * 1e6:8.0f} us each  {found}"
        )


def warm_up() -> None:
    """Load the compiled code: a worker does it once, not for every shard."""
    book = draw_book(20)
    targets = resolve_targets(book)
    answer_households(
        Case(book, targets, measure_drift(book, targets)), dict.fromkeys(range(20), Mode.FULL)
    )


def clone(account_id: int, count: int) -> list[int]:
    """Copy an account with its books, model and policy, each copy into a household of its own.

    Returns all accounts' ids. Columns are read from the models, so that none is left out.
    """
    from accounts.models import Account, Household
    from portfolios.models import CashBalance, JournalEntry, Lot, ModelAssignment
    from rebalancer.models import PolicyAssignment

    account = Account.objects.get(pk=account_id)
    fresh = {"public_id": "gen_random_uuid()"}
    copy(
        Household,
        f"s.id = {account.household_id}",
        f"generate_series(1, {count}) c(n)",
        {**fresh, "name": "s.name || ' ' || c.n"},
    )
    copy(
        Account,
        f"s.id = {account_id}",
        _count_after("accounts_household", account.household_id),
        {**fresh, "household_id": "c.id", "number": "s.number || '-' || c.n"},
    )
    source = "'copy:' || c.id || ':' || s."
    opened_by = f"SELECT e.id FROM portfolios_journalentry e WHERE e.source = {source}opened_by_id"
    for model, changes in (
        (JournalEntry, {"source": f"{source}id"}),
        (Lot, {"opened_by_id": f"({opened_by})"}),
        (CashBalance, {}),
        (ModelAssignment, {}),
        (PolicyAssignment, {}),
    ):
        copies = _count_after("accounts_account", account_id)
        copy(model, f"s.account_id = {account_id}", copies, {"account_id": "c.id", **changes})
    return [account_id, *Account.objects.filter(pk__gt=account_id).values_list("pk", flat=True)]


def _count_after(table: str, row_id: int) -> str:
    """Return the rows after one, numbered, as a table `c` with the columns `id` and `n`."""
    return f"(SELECT id, row_number() OVER (ORDER BY id) AS n FROM {table} WHERE id > {row_id}) c"


def copy(model: Any, condition: str, copies: str, changes: dict[str, str]) -> None:
    """Insert the rows `s` of a model's table that meet a condition, once for each of `copies`."""
    from django.db import connection

    fields = [f.column for f in model._meta.local_concrete_fields if not f.primary_key]
    values = ", ".join(changes.get(name, f's."{name}"') for name in fields)
    names = ", ".join(f'"{name}"' for name in fields)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) "
            f"SELECT {values} FROM {table} s, {copies} WHERE {condition}"
        )
        cursor.execute(f"ANALYZE {table}")


if __name__ == "__main__":
    with own_database():
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ACCOUNTS)
