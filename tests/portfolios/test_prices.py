"""Prices are recorded once, judged against their own past, and refused with the reason."""

import gzip
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from accounts.domain.roles import Role
from portfolios import models
from portfolios.domain.kinds import PriceRefusal
from portfolios.domain.pricing import Quote
from portfolios.operations.prices import (
    PricesRefused,
    import_price_file,
    record_prices,
    release_refused_price,
)
from portfolios.operations.securities import create_unclassified
from portfolios.price_sources.csv_file import read_price_file
from portfolios.queries.prices import list_latest_prices, list_refused_prices
from robo.common.errors import Conflict, Refused
from tests.market import DATA_DIR, make_security, needs_data
from tests.people import make_firm, make_user

pytestmark = pytest.mark.django_db

NOW = datetime(2024, 12, 31, 23, 0, tzinfo=UTC)
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2024, 12, day) for day in (2, 3, 4, 5, 6))


def record(admin, *rows, source="test"):
    quotes = [Quote(symbol, day, quoted) for symbol, day, quoted in rows]
    return record_prices(
        firm_id=admin.firm_id, quotes=quotes, source=source, now=NOW, actor_id=admin.pk
    )


def on_record(symbol):
    rows = models.Price.objects.filter(security__symbol=symbol).order_by("price_date")
    return {row.price_date: row.price for row in rows}


def test_believed_quotes_are_recorded_once(admin):
    make_security(admin, "VTI")
    first = record(admin, ("VTI", MONDAY, "100"), ("VTI", TUESDAY, "101.1234567"))
    again = record(admin, ("VTI", MONDAY, "100.000000"), ("VTI", TUESDAY, "101.123457"))
    assert (first.recorded, first.unchanged, first.refused) == (2, 0, ())
    assert (again.recorded, again.unchanged, again.refused) == (0, 2, ())
    assert on_record("VTI") == {MONDAY: Decimal(100), TUESDAY: Decimal("101.123457")}


@pytest.mark.parametrize(
    ("symbol", "day", "quoted", "reason"),
    [
        ("VTI", TUESDAY, "0", PriceRefusal.NOT_POSITIVE),
        ("VTI", TUESDAY, "-5", PriceRefusal.NOT_POSITIVE),
        ("VTI", TUESDAY, "0.0000001", PriceRefusal.NOT_POSITIVE),
        ("VTI", TUESDAY, "NaN", PriceRefusal.NOT_A_NUMBER),
        ("VTI", TUESDAY, "Infinity", PriceRefusal.NOT_A_NUMBER),
        ("VTI", TUESDAY, "-Infinity", PriceRefusal.NOT_A_NUMBER),
        ("VTI", TUESDAY, "abc", PriceRefusal.NOT_A_NUMBER),
        ("VTI", TUESDAY, "", PriceRefusal.NOT_A_NUMBER),
        ("VTI", TUESDAY, "1e9", PriceRefusal.TOO_LARGE),
        ("VTI", TUESDAY, "126", PriceRefusal.JUMP),
        ("VTI", TUESDAY, "74", PriceRefusal.JUMP),
        ("VTI", TUESDAY, "1000", PriceRefusal.JUMP),
        ("VTI", date(2025, 1, 2), "100", PriceRefusal.FUTURE),
        ("VTI", date(2024, 12, 7), "100", PriceRefusal.NOT_A_SESSION),
        ("VTI", date(2024, 12, 25), "100", PriceRefusal.NOT_A_SESSION),
        ("VTI", MONDAY, "100.01", PriceRefusal.CONFLICT),
        ("XXX", TUESDAY, "100", PriceRefusal.UNKNOWN_SECURITY),
    ],
)
def test_a_bad_quote_is_kept_apart_once(admin, symbol, day, quoted, reason):
    make_security(admin, "VTI")
    record(admin, ("VTI", MONDAY, "100"))
    for _time in range(2):
        report = record(admin, (symbol, day, quoted))
        assert [bad.reason for bad in report.refused] == [reason]
        assert symbol in report.refused[0].quote.symbol
        assert report.recorded == 0
    [refused] = models.RefusedPrice.objects.all()
    assert (refused.symbol, refused.price_date, refused.reason) == (symbol, day, reason)
    assert on_record("VTI") == {MONDAY: Decimal(100)}


def test_one_bad_quote_does_not_hold_back_the_others(admin):
    make_security(admin, "VTI")
    make_security(admin, "BND")
    report = record(admin, ("VTI", MONDAY, "100"), ("BND", MONDAY, "NaN"), ("BND", TUESDAY, "72"))
    assert report.recorded == 2
    assert on_record("BND") == {TUESDAY: Decimal(72)}


def test_older_history_is_not_judged_by_newer_prices(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", FRIDAY, "100"))
    report = record(admin, ("VTI", MONDAY, "10"), ("VTI", TUESDAY, "10.5"))
    assert (report.recorded, report.refused) == (2, ())


def test_history_is_judged_within_itself(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", FRIDAY, "100"))
    report = record(admin, ("VTI", MONDAY, "10"), ("VTI", TUESDAY, "100"), ("VTI", THURSDAY, "10"))
    assert [bad.quote.price_date for bad in report.refused] == [TUESDAY]


def test_a_gap_is_judged_by_the_price_before_it(admin):
    """Monday 10, Wednesday 100 (on a person's word), Friday missing: Friday follows Wednesday."""
    make_security(admin, "VTI")
    record(admin, ("VTI", MONDAY, "10"))
    record(admin, ("VTI", WEDNESDAY, "100"))
    release(admin)
    report = record(
        admin,
        ("VTI", MONDAY, "10"),
        ("VTI", TUESDAY, "11"),
        ("VTI", WEDNESDAY, "100"),
        ("VTI", FRIDAY, "99"),
    )
    assert (report.recorded, report.unchanged, report.refused) == (2, 2, ())


def release(admin, reason="fund split 1:10"):
    refused = models.RefusedPrice.objects.get(reason=PriceRefusal.JUMP, price_date=WEDNESDAY)
    return release_refused_price(
        refused_price_id=refused.pk, reason=reason, now=NOW, actor_id=admin.pk
    )


def test_a_released_jump_brings_the_quotes_after_it(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", MONDAY, "10"))
    record(admin, ("VTI", WEDNESDAY, "100"), ("VTI", THURSDAY, "101"), ("VTI", FRIDAY, "200"))
    report = release(admin)
    assert report.recorded == 1
    assert on_record("VTI") == {
        MONDAY: Decimal(10),
        WEDNESDAY: Decimal(100),
        THURSDAY: Decimal(101),
    }
    still = [row for row in list_refused_prices(admin.firm_id) if row["price_on_record"] is None]
    assert [row["price_date"] for row in still] == [FRIDAY]
    assert audit_actions(admin)[-2:] == [
        "portfolios.price.released",
        "portfolios.prices.recorded",
    ]


def audit_actions(admin):
    from accounts.models import AuditEntry

    entries = AuditEntry.objects.filter(firm_id=admin.firm_id).order_by("pk")
    return [entry.action for entry in entries]


def test_a_release_needs_a_reason_and_happens_once(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", MONDAY, "10"), ("VTI", WEDNESDAY, "100"))
    with pytest.raises(Refused, match="Say why"):
        release(admin, reason="  ")
    release(admin)
    with pytest.raises(Conflict, match="VTI on 2024-12-04"):
        release(admin)


def test_only_a_jump_can_be_released(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", WEDNESDAY, "-1"))
    refused = models.RefusedPrice.objects.get()
    with pytest.raises(Refused, match="jump"):
        release_refused_price(
            refused_price_id=refused.pk, reason="sure", now=NOW, actor_id=admin.pk
        )


def test_firms_do_not_share_securities_or_prices(admin):
    stranger = make_user(make_firm(name="Other"), Role.ADMIN)
    make_security(stranger, "VTI")
    report = record(admin, ("VTI", MONDAY, "100"))
    assert [bad.reason for bad in report.refused] == [PriceRefusal.UNKNOWN_SECURITY]
    assert models.Price.objects.count() == 0


def test_recording_takes_the_same_queries_for_few_and_for_many(admin):
    create_unclassified(
        firm_id=admin.firm_id, names={f"S{n}": "x" for n in range(50)}, actor_id=admin.pk
    )
    counts = []
    for day, size in ((MONDAY, 1), (TUESDAY, 50)):
        rows = [(f"S{n}", day, "100") for n in range(size)]
        with CountQueries() as counted:
            record(admin, *rows)
        counts.append(counted.count)
    assert counts[0] == counts[1] < 20


class CountQueries:
    """Counts the statements that Django sends."""

    def __enter__(self):
        from django.test.utils import CaptureQueriesContext

        self.context = CaptureQueriesContext(connection)
        self.context.__enter__()
        return self

    def __exit__(self, *exception):
        self.context.__exit__(*exception)
        self.count = len(self.context)


def test_latest_prices_say_what_is_missing(admin):
    make_security(admin, "VTI")
    make_security(admin, "BND")
    record(admin, ("VTI", MONDAY, "100"), ("VTI", TUESDAY, "101"))
    rows = list_latest_prices(admin.firm_id).values_list("symbol", "latest_date", "latest_price")
    assert list(rows) == [("BND", None, None), ("VTI", TUESDAY, Decimal(101))]


def test_prices_refuse_update_and_delete_in_the_database(admin):
    make_security(admin, "VTI")
    record(admin, ("VTI", MONDAY, "100"))
    with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE portfolios_price SET price = 1")


# --- Files ---------------------------------------------------------------------------------------


def price_file(*lines):
    return read_price_file(BytesIO("\n".join(["date,ticker,close", *lines]).encode()))


def import_file(admin, file, **terms):
    terms = {"create_missing": False, "skip_refused": False, **terms}
    return import_price_file(
        firm_id=admin.firm_id,
        price_file=file,
        source="prices.csv",
        now=NOW,
        actor_id=admin.pk,
        **terms,
    )


def test_a_file_is_taken_whole_or_not_at_all(admin):
    make_security(admin, "VTI")
    file = price_file("2024-12-02,VTI,100", "2024-12-03,VTI,NaN", "2024-12-04,NEW,5")
    with pytest.raises(PricesRefused) as caught:
        import_file(admin, file)
    assert [(row.line, row.culprit) for row in caught.value.refused] == [(3, "VTI"), (4, "NEW")]
    assert models.Price.objects.count() == models.RefusedPrice.objects.count() == 0


def test_a_file_can_skip_what_is_refused_and_take_on_what_is_new(admin):
    make_security(admin, "VTI")
    file = price_file("2024-12-02,VTI,100", "2024-12-03,VTI,NaN", "2024-12-04,NEW,5")
    done = import_file(admin, file, create_missing=True, skip_refused=True)
    assert (done.recorded, len(done.refused)) == (2, 1)
    assert models.Security.objects.get(symbol="NEW").asset_class.is_unclassified


@needs_data
@pytest.mark.data
def test_twenty_years_of_35_funds_import_in_seconds_and_only_once(admin):
    content = (DATA_DIR / "etf_daily.csv.gz").read_bytes()
    file = read_price_file(BytesIO(content))
    seen = []
    started = time.monotonic()
    done = import_price_file(
        firm_id=admin.firm_id,
        price_file=file,
        source="etf_daily.csv.gz",
        create_missing=True,
        skip_refused=False,
        now=NOW,
        actor_id=admin.pk,
        on_progress=seen.append,
    )
    seconds = time.monotonic() - started
    assert (done.recorded, done.unchanged, done.refused) == (154_825, 0, ())
    assert models.Price.objects.count() == 154_825
    assert seen[-1] == 150_000
    assert seconds < 30
    with gzip.open(DATA_DIR / "etf_daily.csv.gz", "rt") as lines:
        last = lines.readlines()[-1].split(",")
    stored = models.Price.objects.get(security__symbol=last[1], price_date=last[0])
    assert stored.price == Decimal(last[3])
    again = import_file(admin, file)
    assert (again.recorded, again.unchanged) == (0, 154_825)


# --- The command ---------------------------------------------------------------------------------


def run(*arguments):
    """Return (exit status, what was printed)."""
    out = StringIO()
    try:
        call_command("import_prices", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("date,ticker,close\n2024-12-02,VTI,100\n2024-12-03,VTI,NaN\n2024-12-02,NEW,5\n")
    return str(path)


def test_the_command_is_a_dry_run_first_and_names_every_refused_row(admin, file):
    make_security(admin, "VTI")
    for extra in ([], ["--dry-run"], ["--apply"]):
        status, said = run(file, *extra)
        assert status == 1
        assert "line 3: VTI: price 'NaN' is not a finite number" in said
        assert "line 4: NEW: UNKNOWN_SECURITY" in said
    assert models.Price.objects.count() == models.RefusedPrice.objects.count() == 0


def test_the_command_records_what_is_good_when_told_to(admin, file):
    make_security(admin, "VTI")
    status, said = run(file, "--create-securities", "--skip-refused")
    assert status == 0
    assert "New unclassified securities: NEW" in said
    assert "2 prices would be recorded" in said
    assert models.Price.objects.count() == 0
    status, said = run(file, "--create-securities", "--skip-refused", "--apply")
    assert status == 0
    assert "2 prices recorded, 0 on record already, 1 rows refused" in said
    assert on_record("VTI") == {MONDAY: Decimal(100)}
    status, said = run(file, "--skip-refused", "--apply")
    assert "0 prices recorded, 2 on record already" in said


def test_the_command_caps_a_long_report(admin, tmp_path):
    path = tmp_path / "long.csv"
    rows = [f"2024-12-02,S{number},5" for number in range(60)]
    path.write_text("\n".join(["date,symbol,price", *rows]))
    status, said = run(str(path))
    assert status == 1
    assert said.count("UNKNOWN_SECURITY") == 50
    assert "and 10 more" in said


def test_the_command_says_what_is_wrong_with_its_arguments(admin, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run(str(tmp_path / "missing.csv"))
    junk = tmp_path / "junk.csv"
    junk.write_text("a,b\n1,2\n")
    with pytest.raises(CommandError, match="junk.csv: unknown header"):
        run(str(junk))
    with pytest.raises(CommandError, match="no firm named"):
        run(str(junk), "--firm", "Nowhere")
    with pytest.raises(CommandError, match="not allowed with"):
        run(str(junk), "--apply", "--dry-run")
