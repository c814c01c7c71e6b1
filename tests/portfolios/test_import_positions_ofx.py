"""The OFX samples become books; the figures were read from the raw files by eye."""

from datetime import date
from decimal import Decimal

import pytest

from portfolios import models
from portfolios.operations.statements import ImportRefused
from portfolios.queries.books import check_books
from tests.market import DATA_DIR, needs_data
from tests.portfolios.test_import_positions import books, count_rows, plan, take
from tests.portfolios.test_import_positions_command import run

pytestmark = [pytest.mark.django_db, pytest.mark.data, needs_data]
OFX = DATA_DIR / "formats" / "ofx"
D = Decimal

# No file gives a cost basis: what each holding is worth stands for it. BAZ of the 401(k) is empty.
BOOKS = {
    "example_401k.ofx": {
        "12345678.123456-01": (
            D("0.00"),
            {"FOO": (D("17.604312"), D("396.40")), "BAR": (D("13.550983"), D("395.89"))},
        )
    },
    "td_ameritrade_masked.ofx": {
        "121212121": (
            D("0.00"),
            {"AMZN": (D(1), D("1000.00")), "912810RW0": (D(1000), D("1000.00"))},
        )
    },
    "vanguard_masked.ofx": {
        "01234567890": (
            D("0.00"),
            {"VFINX": (D("102.0"), D("10200.00")), "VFIAX": (D("142.2"), D("14279.72"))},
        )
    },
}
DAYS = {
    "example_401k.ofx": date(2014, 6, 30),
    "td_ameritrade_masked.ofx": date(2017, 12, 3),
    "vanguard_masked.ofx": date(2011, 7, 27),
}
# What the person who imports must be told, by words of the notes.
NOTES = {
    "example_401k.ofx": [
        "prints a balance of 1000.00 for account 12345678.123456-01, but its positions and cash "
        "add up to 792.29",
        "BAZ has no shares left",
        "states no cash",
    ],
    "td_ameritrade_masked.ofx": ["912810RW0 is priced at 100 % of its face value"],
    "vanguard_masked.ofx": [
        "012345678 stands for VFINX and VFIAX; its positions are taken in the order listed: "
        "102.0 as VFINX and 142.2 as VFIAX",
        "transactions of 012345678 keep it as their symbol",
        "states no cash",
    ],
}


@pytest.mark.parametrize("file_name", BOOKS)
def test_an_ofx_sample_becomes_the_books_it_says(firm, admin, household, file_name):
    content = (OFX / file_name).read_bytes()
    shown = plan(admin, content.decode(), household)
    assert shown.refused == ()
    for words in NOTES[file_name]:
        assert any(words in note for note in shown.notes), words
    done = take(admin, content, household)
    assert done.fingerprint == shown.fingerprint
    assert books(firm) == BOOKS[file_name]
    assert {lot.acquired_date for lot in models.Lot.objects.all()} == {DAYS[file_name]}
    for account in done.accounts:
        for holding in account.holdings:
            assert "no cost basis given, market value taken" in holding.note
    assert check_books(firm.pk) == []
    record = models.StatementImport.objects.get()
    assert record.summary["notes"] == list(shown.notes)


@pytest.mark.parametrize("file_name", BOOKS)
def test_an_ofx_sample_taken_twice_changes_nothing(firm, admin, household, file_name):
    content = (OFX / file_name).read_bytes()
    take(admin, content, household)
    before = count_rows()
    assert take(admin, content, household).imported_before
    assert count_rows() == before
    # Other bytes, same holdings: compared with the books instead of recognised as the same file.
    again = take(admin, content + b"\n\n", household)
    assert [account.state for account in again.accounts] == ["UNCHANGED"]
    assert not again.changes_anything
    assert books(firm) == BOOKS[file_name]
    assert check_books(firm.pk) == []


def test_all_ofx_samples_import_through_the_command(firm, household):
    for file_name in BOOKS:
        arguments = (str(OFX / file_name), "--household", "Reed", "--create-missing")
        before = count_rows()
        status, said = run(*arguments)
        assert (status, count_rows()) == (0, before)
        assert "Dry run" in said
        status, said = run(*arguments, "--apply")
        assert status == 0
        assert "Imported." in said
        for words in NOTES[file_name]:
            assert words in said
        after = count_rows()
        status, said = run(*arguments, "--apply")
        assert (status, count_rows()) == (0, after)
        assert "Nothing to do" in said
    assert books(firm) == {number: held for file in BOOKS.values() for number, held in file.items()}
    assert check_books(firm.pk) == []


def test_one_position_of_two_tickers_books_nothing(admin, household):
    content = (OFX / "vanguard_masked.ofx").read_text()
    start = content.index("<POSMF>")
    end = content.index("</POSMF>") + len("</POSMF>")
    before = count_rows()
    with pytest.raises(ImportRefused) as caught:
        take(admin, content[:start] + content[end:], household)
    [row] = caught.value.plan.refused
    assert row.culprit == "012345678"
    assert "VFINX and VFIAX" in row.reason
    assert count_rows() == before


def test_paired_positions_that_change_places_are_not_what_the_books_hold(firm, admin, household):
    content = (OFX / "vanguard_masked.ofx").read_text()
    take(admin, content, household)
    head, first, second, tail = content.partition("<POSMF>")[0], *_positions(content)
    with pytest.raises(ImportRefused) as caught:
        take(admin, head + second + first + tail, household)
    assert {(row.culprit, row.reason) for row in caught.value.plan.refused} == {
        ("VFINX", "books hold 102, statement says 142.2"),
        ("VFIAX", "books hold 142.2, statement says 102"),
    }
    assert books(firm) == BOOKS["vanguard_masked.ofx"]


def _positions(content):
    """Return both positions of the sample and what follows them."""
    _, _, rest = content.partition("<POSMF>")
    first, _, rest = rest.partition("<POSMF>")
    second, _, tail = rest.partition("</INVPOSLIST>")
    return "<POSMF>" + first, "<POSMF>" + second, "</INVPOSLIST>" + tail
