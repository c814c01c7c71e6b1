"""The commands that record corporate actions and close the books."""

from datetime import date

import pytest
from django.core.management import CommandError, call_command

from portfolios import models
from portfolios.operations.corporate_actions import confirm_action
from portfolios.tasks import apply_actions
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db
OLD = date(2020, 1, 2)


@pytest.fixture
def world():
    """Give a firm whose market day is 20 November 2026."""
    return make_world()


def record(world, *args, **options):
    call_command("record_action", *args, firm=world.firm.name, **options)


def confirm_all(world):
    for row in models.CorporateAction.objects.filter(status="RECORDED"):
        confirm_action(action_id=row.pk, actor_id=world.admin.pk)


def test_what_the_command_records_waits_for_a_person(world, capsys):
    world.add_account("10", lots=[("USTM", "12", "900", OLD)])
    record(world, "USTM", "SPLIT", "2026-11-20", ratio="3:1")
    assert capsys.readouterr().out.splitlines() == [
        "On record: USTM splits 3 for 1 on 20 Nov 2026. It waits for a person to confirm it."
    ]
    apply_actions()
    assert models.Holding.objects.get().quantity == 12
    confirm_all(world)
    apply_actions()
    assert models.Holding.objects.get().quantity == 36


def test_the_beat_books_what_is_due(world):
    world.add_account("10", lots=[("USTM", "12", "900", OLD)])
    record(world, "USTM", "CASH_DIVIDEND", "2026-11-20", cash="0.5")
    record(world, "BOND", "SPLIT", "2026-11-23", ratio="2:1")
    confirm_all(world)
    apply_actions()
    assert models.CashBalance.objects.get().amount == 16
    assert models.CorporateAction.objects.get(status="ANNOUNCED").kind == "SPLIT"


@pytest.mark.parametrize(
    ("args", "options", "said"),
    [
        (("NOPE", "DELISTING", "2026-11-20"), {}, "NOPE is not one of the securities"),
        (("USTM", "SPLIT", "2026-11-20"), {"ratio": "2"}, "2 is not NEW:OLD"),
        (("USTM", "SPLIT", "2026-11-20"), {"ratio": "-2:1"}, "-2:1 is not NEW:OLD"),
        (("USTM", "SPLIT", "2026-11-20"), {"ratio": "0:1"}, "two whole numbers"),
        (("USTM", "CASH_DIVIDEND", "2026-11-20"), {"cash": "abc"}, "abc is not an amount"),
        (("USTM", "CASH_DIVIDEND", "2026-11-20"), {"cash": "NaN"}, "above zero"),
        (("USTM", "SYMBOL_CHANGE", "2026-11-20"), {"new_symbol": "BOND"}, "another of your"),
        (("USTM", "DELISTING", "2016-11-20"), {}, "is the year right"),
    ],
)
def test_nonsense_is_refused_by_name(world, args, options, said):
    with pytest.raises(CommandError, match=said):
        record(world, *args, **options)
    assert not models.CorporateAction.objects.exists()


def test_books_are_closed_once(world, capsys):
    for day, said in (("2026-12-31", "has not ended"), ("2026-11-20", "")):
        if said:
            with pytest.raises(CommandError, match=said):
                call_command("close_books", day, firm=world.firm.name)
        else:
            call_command("close_books", day, firm=world.firm.name)
    assert "closed through 2026-11-20" in capsys.readouterr().out
    with pytest.raises(CommandError, match="closed through 2026-11-20 already"):
        call_command("close_books", "2026-11-19", firm=world.firm.name)
