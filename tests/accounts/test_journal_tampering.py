"""Whoever owns the tables changes the journal behind our back: each time it is found, and where.

Thirteen kinds, 40 trials of each (`JOURNAL_TRIALS` sets another number). They run as owner,
on a sealed journal with signed checkpoints outside, each in a transaction that is rolled back.
"""

import os
import random
from contextlib import contextmanager

import pytest
from django.db import transaction

from accounts import models
from accounts.operations.sealing import seal_journal
from accounts.queries.proofs import prove_journal
from robo.common.tracing import traced
from tests import people
from tests.accounts.journal_world import use_own_key, write_entries
from tests.accounts.tampering import KINDS, TABLES, Sealed, read, run, set_triggers

pytestmark = pytest.mark.django_db(transaction=True)
TRIALS = int(os.environ.get("JOURNAL_TRIALS", "40"))
BATCHES = (7, 9, 6, 8)


@pytest.fixture
def sealed(settings, tmp_path):
    use_own_key(settings, tmp_path)
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    firm = people.make_firm("Tampered")
    household = people.make_household(firm)
    other = people.make_user(firm)
    for count in BATCHES:
        with traced("5f0c7be2-request", acting_for_id=other.pk):
            write_entries(firm, count, household=household, actor=other)
        seal_journal(firm_id=firm.pk)
    # The last entries are sealed, and no checkpoint covers them.
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1000
    write_entries(firm, 4, household=household)
    seal_journal(firm_id=firm.pk)
    links = list(models.JournalLink.objects.filter(firm=firm).order_by("seq").values())
    rows = {row["id"]: row for row in read("SELECT * FROM accounts_auditentry")}
    sizes = models.JournalCheckpoint.objects.filter(firm=firm).order_by("size")
    world = Sealed(
        firm,
        [rows[link["entry_id"]] for link in links],
        links,
        list(sizes.values_list("size", flat=True)),
    )
    assert prove_journal(firm).fault is None
    assert world.count > world.covered > 30
    with _without_foreign_keys():
        yield world


@contextmanager
def _without_foreign_keys():
    """Take off what an owner can take off anyway, and put it back: no proof relies on it."""
    keys = read(
        "SELECT conrelid::regclass::text AS home, conname, pg_get_constraintdef(oid) AS terms"
        " FROM pg_constraint WHERE contype = 'f' AND (conrelid::regclass::text = ANY(%s)"
        " OR confrelid::regclass::text = ANY(%s))",
        list(TABLES),
        list(TABLES),
    )
    for key in keys:
        run(f"ALTER TABLE {key['home']} DROP CONSTRAINT {key['conname']}")
    try:
        yield
    finally:
        for key in keys:
            run(f"ALTER TABLE {key['home']} ADD CONSTRAINT {key['conname']} {key['terms']}")


def test_tampering_is_found_and_located(sealed):
    missed, misplaced = [], []
    for kind, tamper in KINDS.items():
        rng = random.Random(f"tamper {kind}")
        for trial in range(TRIALS):
            with transaction.atomic():
                set_triggers("DISABLE")
                low, high = tamper(rng, sealed)
                set_triggers("ENABLE")
                fault = prove_journal(sealed.firm).fault
                transaction.set_rollback(True)
            if fault is None:
                missed.append((kind, trial, low))
            elif fault.number > high or fault.until < low:
                misplaced.append((kind, trial, low, fault))
    assert missed == []
    assert misplaced == []
    assert prove_journal(sealed.firm).fault is None
