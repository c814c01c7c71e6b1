"""Price files that a feed leaves in a folder are taken in by themselves, and put away."""

from datetime import date

import pytest

from portfolios import tasks
from portfolios.models import Price, RefusedPrice
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db(transaction=True)
HEAD = "date,symbol,close\n"


@pytest.fixture
def folder(settings, tmp_path):
    settings.PRICE_INBOX = tmp_path
    folder = tmp_path / "northern-lights"
    folder.mkdir()
    return folder


def test_files_are_taken_in_oldest_first_and_put_away(folder):
    make_world(name="Northern Lights")
    (folder / "2026-11-19.csv").write_text(HEAD + "2026-11-19,USTM,99.50\n2026-11-19,BOND,nan\n")
    (folder / "2026-11-18.csv").write_text(HEAD + "2026-11-18,USTM,98.00\n2026-11-18,NOPE,1\n")
    (folder / "notes.txt").write_text("not a price file")
    tasks.collect_prices()
    prices = Price.objects.filter(security__symbol="USTM", price_date__lt=date(2026, 11, 20))
    assert list(prices.order_by("price_date").values_list("source", flat=True)) == [
        "2026-11-18.csv",
        "2026-11-19.csv",
    ]
    assert not Price.objects.filter(security__symbol="BOND", price_date=date(2026, 11, 19)).exists()
    assert RefusedPrice.objects.filter(symbol="NOPE").exists()
    assert sorted(path.name for path in (folder / "done").iterdir()) == [
        "2026-11-18.csv",
        "2026-11-19.csv",
    ]
    assert (folder / "notes.txt").exists()


def test_the_same_file_again_changes_nothing(folder):
    make_world(name="Northern Lights")
    for _ in range(2):
        (folder / "day.csv").write_text(HEAD + "2026-11-19,USTM,99.50\n")
        tasks.collect_prices()
    assert Price.objects.filter(price_date=date(2026, 11, 19)).count() == 1


def test_a_file_that_cannot_be_read_stands_aside(folder):
    make_world(name="Northern Lights")
    (folder / "a.csv").write_bytes(b"\x00\x01\x02")
    (folder / "b.csv").write_text(HEAD + "2026-11-19,USTM,99.50\n")
    tasks.collect_prices()
    assert [path.name for path in (folder / "unreadable").iterdir()] == ["a.csv"]
    assert Price.objects.filter(price_date=date(2026, 11, 19)).count() == 1


def test_without_an_inbox_nothing_happens(settings):
    settings.PRICE_INBOX = None
    tasks.collect_prices()
