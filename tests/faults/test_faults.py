"""Some schedules and some seeded bugs in every run; `make faults` and `make mutants` run many."""

import logging
from collections import Counter

import pytest

from tests.faults import running
from tests.faults.mutants import MUTANTS, QUICK, kill
from tests.faults.mutating import Edit, mutated
from tests.faults.schedule import Violation, run_schedule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.two_clocks]
SEEDS, STEPS = range(1, 5), 30
# It stops at the first that finds it; sets have another order in every process, so seeds differ.
MUTANT_SEEDS, MUTANT_STEPS = range(1000, 1040), 50


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_whatever_dies_or_gets_lost_books_orders_and_broker_agree_in_the_end():
    figures = sum((run_schedule(seed, steps=STEPS) for seed in SEEDS), start=Counter())
    # A schedule in which nothing happens would prove nothing.
    assert figures["schedules"] == len(SEEDS)
    assert figures["steps"] == len(SEEDS) * STEPS
    assert min(figures["approvals"], figures["broker_orders"], figures["crashes"]) >= 3


def test_a_seed_gives_the_same_figures_again():
    first = run_schedule(3, steps=12)
    running.empty_tables()
    assert run_schedule(3, steps=12) == first


@pytest.mark.parametrize("name", QUICK)
def test_a_seeded_bug_is_found(name):
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    assert kill(mutant, seeds=MUTANT_SEEDS, steps=MUTANT_STEPS) is not None


@pytest.mark.parametrize(
    "killer",
    sorted(
        {row.killer for row in MUTANTS if row.name in QUICK and row.killer},
        key=lambda row: row.__name__,
    ),
    ids=lambda killer: killer.__name__,
)
def test_the_product_as_it_is_survives_every_killer(killer):
    killer()


def test_every_seeded_bug_still_fits_the_product():
    for mutant in MUTANTS:
        with mutated(*mutant.edits):
            pass


def test_a_mutant_that_fits_nothing_is_refused():
    edit = Edit("rebalancer.operations.approvals", "_approve", "no such text", "")
    with pytest.raises(LookupError, match="no such text"), mutated(edit):
        pass


def test_a_violation_names_its_seed_and_how_to_see_it_again(monkeypatch):
    from tests.faults import checks

    monkeypatch.setattr(checks, "find_faults", lambda _schedule: ["something is wrong"])
    with pytest.raises(Violation, match=r"seed 5, step 1: .*something is wrong") as caught:
        run_schedule(5, steps=3)
    assert "--seed 5 --seeds 1" in str(caught.value)
