"""One shard of the nightly run on a real PostgreSQL: 10,000 accounts checked and proposed for.

Run with `python -m benchmarks.shard [ACCOUNTS]`; it starts a database of its own and drops it.
"""

import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from robo.localservices import LocalServices

DEFAULT_ACCOUNTS = 10_000
OLD = date(2020, 1, 2)


def main(account_count: int) -> None:
    """Start the servers, measure and stop them."""
    with tempfile.TemporaryDirectory() as folder:
        runtime = Path(folder) / "bench"
        with LocalServices(runtime, fsync=False):
            os.environ |= {
                "EVENKEEL_RUNTIME_DIR": str(runtime),
                "DJANGO_SECRET_KEY": "benchmark",
                "DJANGO_SETTINGS_MODULE": "robo.settings",
            }
            import django

            django.setup()
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            measure(account_count)


def measure(account_count: int) -> None:
    """Clone one drifted account many times, then time each stage once."""
    from rebalancer.operations import checks, proposals
    from rebalancer.queries.books import load_book
    from tests.rebalancer.world import DAY, NOW, make_world

    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)])
    clone(world.accounts[0].pk, account_count - 1)
    firm_id = world.firm.pk
    ids = list(range(world.accounts[0].pk, world.accounts[0].pk + account_count))
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


def clone(account_id: int, count: int) -> None:
    """Copy an account with its books, model and policy; the copies' ids follow on from it."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(COPIES, {"source": account_id, "count": count})


COPIES = """
    WITH copies AS (
        INSERT INTO accounts_account (public_id, firm_id, household_id, name, number, custodian,
               tax_status, is_discretionary, opened_date, is_open)
        SELECT gen_random_uuid(), firm_id, household_id, name, number || '-' || n, custodian,
               tax_status, is_discretionary, opened_date, is_open
        FROM accounts_account, generate_series(1, %(count)s) n WHERE id = %(source)s
        RETURNING id),
    entries AS (
        INSERT INTO portfolios_journalentry (account_id, kind, entry_date, source, memo)
        SELECT c.id, e.kind, e.entry_date, 'copy:' || c.id || ':' || e.id, e.memo
        FROM portfolios_journalentry e, copies c WHERE e.account_id = %(source)s
        RETURNING id, account_id),
    lots AS (
        INSERT INTO portfolios_lot (account_id, security_id, opened_by_id, acquired_date,
               opened_quantity, opened_cost, quantity, cost)
        SELECT e.account_id, l.security_id, e.id, l.acquired_date, l.opened_quantity,
               l.opened_cost, l.quantity, l.cost
        FROM portfolios_lot l, entries e WHERE l.account_id = %(source)s RETURNING 1),
    cash AS (
        INSERT INTO portfolios_cashbalance (account_id, amount, books_version)
        SELECT c.id, b.amount, b.books_version
        FROM portfolios_cashbalance b, copies c WHERE b.account_id = %(source)s RETURNING 1),
    models AS (
        INSERT INTO portfolios_modelassignment (account_id, model_id)
        SELECT c.id, m.model_id FROM portfolios_modelassignment m, copies c
        WHERE m.account_id = %(source)s RETURNING 1)
    INSERT INTO rebalancer_policyassignment (account_id, policy_id)
    SELECT c.id, p.policy_id FROM rebalancer_policyassignment p, copies c
    WHERE p.account_id = %(source)s
"""

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ACCOUNTS)
