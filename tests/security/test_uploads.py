"""Files that people and feeds hand in: bounded before they are read, refused by name, no crash.

`FUZZ_INPUTS=1000000 pytest tests/security/test_uploads.py -k fuzz` tries a million.
"""

import bz2
import gzip
import io
import os
import random
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from accounts.domain.roles import Role
from portfolios.price_sources import csv_file
from portfolios.price_sources.csv_file import PriceFileUnreadable, read_price_file
from portfolios.statements import StatementUnreadable, read_statement
from tests.api.cast import sign_in
from tests.people import make_firm, make_user
from tests.security.figures import counts

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "statements"
STATEMENTS = {path.name: path.read_bytes() for path in sorted(FIXTURES.glob("*.[cxo][sfm][vxl]"))}
PRICES = (
    b"date,symbol,close,dividend\n2030-03-01,AAA,10.123456,0\n2030-03-01,BBB,20.5,0.25\n"
    b"2030-03-04,AAA,10.2,\n"
)
FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", "50000"))
MB = 1024 * 1024
SECONDS_MAX, MEMORY_MAX = 10, 300 * MB
HEADER = b"Account Number,Investment Name,Symbol,Shares,Share Price,Total Value\n"


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(20 * MB))
    return out.getvalue()


HOSTILE = {
    "empty": b"",
    "blank": b" \r\n \n",
    "NUL": b"\x00" * 1000,
    "NUL in a cell": HEADER + b"1,A\x00B,C,1,1,1\n",
    "gzip bomb": gzip.compress(bytes(60 * MB)),
    "gzip bomb of rows": gzip.compress(b"date,symbol,close\n" + b"2030-03-01,AAA,1\n" * 500_000),
    "gzip in gzip": gzip.compress(gzip.compress(bytes(30 * MB))),
    "bzip2": bz2.compress(bytes(5 * MB)),
    "zip bomb": zip_bomb(),
    "xz": b"\xfd7zXZ\x00" + bytes(100),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "rar": b"Rar!\x1a\x07\x00",
    "pdf": b"%PDF-1.7\n",
    "png": b"\x89PNG\r\n\x1a\n",
    "program": b"\x7fELF" + bytes(200),
    "50 MB cell": HEADER + b'1,"' + b"A" * (50 * MB) + b'",C,1,1,1\n',
    "20 MB cell": HEADER + b'1,"' + b"A" * (20 * MB) + b'",C,1,1,1\n',
    "200,000 columns": b"Symbol" + b",x" * 200_000 + b"\n" + b"1" + b",1" * 200_000,
    "200,000 columns of prices": b"date,symbol,close" + b",x" * 200_000 + b"\n2030-03-01,A,1\n",
    "3 MB of commas": b"," * (3 * MB),
    "quotes without end": b'"' * MB,
    "one line of 20 MB": b"x" * (20 * MB),
    "2,000,000 empty lines": b"\n" * 2_000_000,
    "250,000 short rows": HEADER + b"1,A,B,1,1,1\n" * 250_000,
    "utf-16 without mark": HEADER.decode().encode("utf-16-le"),
    "utf-16 cut off": HEADER.decode().encode("utf-16")[:-1],
    "utf-32": HEADER.decode().encode("utf-32"),
    "utf-7": b"+ADw-script+AD4-",
    "latin-1": HEADER + "1,Crédit,B,x,1,1\n".encode("latin-1"),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + HEADER,
    "billion laughs": (
        b'<?xml version="1.0"?><!DOCTYPE x ['
        + b"".join(
            b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10 if i else b"ha") for i in range(12)
        )
        + b"]><FlexQueryResponse>&a11;</FlexQueryResponse>"
    ),
    "external entity": b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><FlexQueryResponse/>',
    "XML too deep": b"<FlexQueryResponse>" + b"<a>" * 210_000,
    "XML attributes": b"<FlexQueryResponse " + b" ".join(b'a%d="1"' % i for i in range(200_000)),
    "OFX too deep": b"OFXHEADER:100\n<OFX>" + b"<A>" * 200_000,
    "OFX tags": b"OFXHEADER:100\n<OFX>" + b"<A>1" * 250_000,
    "OFX angle brackets": b"OFXHEADER:100\n<OFX>" + b"<" * MB,
    "digits": HEADER + b"1,A,B," + b"9" * 100_000 + b",1,1\n",
    "exponents": HEADER + b"1,A,B,1e999999999,1,1\n" * 100,
    "NaN and the like": HEADER + b"1,A,B,NaN,Infinity,-0\n",
    "words that pandas reads as nothing": HEADER + b"1,NA,NULL,1,1,1\n1,TRUE,nan,1,1,1\n",
    "formulas": HEADER + b"=1+1,@SUM(A1),=cmd|' /C calc'!A0,1,1,1\n",
    "one column too many": HEADER + b"1,A,B,1,1,1,9\n",
    "bidi and control signs": HEADER + "1,\u202eA\u200b,B,1,1,1\n".encode(),
    "half a surrogate": HEADER + b"1,\xed\xa0\x80,B,1,1,1\n",
}


def read_both(content: bytes) -> list[str]:
    """Give a file to both readers; return what each said, "" where it was read."""
    said = []
    for read, error in (
        (lambda: read_statement(content, "upload.csv"), StatementUnreadable),
        (lambda: read_price_file(io.BytesIO(content)), PriceFileUnreadable),
    ):
        try:
            read()
            said.append("")
        except error as refusal:
            said.append(refusal.reason)
    return said


def test_there_are_at_least_thirty_hostile_files():
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_cost_little_and_are_refused(case):
    content = HOSTILE[case]
    tracemalloc.start()
    started = time.process_time()
    try:
        said = read_both(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < SECONDS_MAX * 2  # tracing slows down
    assert peak < MEMORY_MAX + len(content)
    assert all(len(reason) < 1000 for reason in said)
    is_readable = case in READABLE
    assert bool(said[0]) is not is_readable, said
    assert said[1], "no price file among them"


# Their rows are refused one by one, with the culprit, not the file as a whole.
READABLE = {
    "digits",
    "exponents",
    "NaN and the like",
    "words that pandas reads as nothing",
    "formulas",
    "one column too many",
    "bidi and control signs",
    "half a surrogate",
    "latin-1",
}


@pytest.mark.parametrize("case", sorted(READABLE - {"words that pandas reads as nothing"}))
def test_bad_rows_of_a_readable_file_are_all_reported(case):
    try:
        statement = read_statement(HOSTILE[case], "upload.csv")
    except StatementUnreadable:
        return
    kept = [holding for account in statement.accounts for holding in account.holdings]
    assert len(statement.refused_rows) >= 1 or all(h.quantity.is_finite() for h in kept)


def test_words_are_words():
    """`NA`, `NULL`, `TRUE` and `nan` are what they look like: letters."""
    file = read_price_file(
        io.BytesIO(b"date,symbol,close\n2030-03-01,NA,1\n2030-03-01,TRUE,2\n2030-03-01,NULL,3\n")
    )
    assert file.symbols == ["NA", "TRUE", "NULL"]
    statement = read_statement(HOSTILE["words that pandas reads as nothing"], "upload.csv")
    symbols = [h.symbol for account in statement.accounts for h in account.holdings]
    assert "NULL" in symbols or statement.refused_rows


# --- By the doors that people use ----------------------------------------------------------------


@pytest.fixture
def admin(db):
    return sign_in(make_user(make_firm(), Role.ADMIN))


@pytest.mark.parametrize("address", ["/import/positions/", "/import/prices/"])
def test_pages_refuse_hostile_uploads_with_a_sentence(admin, address):
    from django.urls import reverse

    name = "import_positions" if "positions" in address else "import_prices"
    page = reverse(f"portfolios:{name}")
    for case in ("gzip bomb", "zip bomb", "NUL", "200,000 columns", "50 MB cell", "XML too deep"):
        file = SimpleUploadedFile("../../etc/up\r\nload.csv", HOSTILE[case])
        response = admin.post(page, {"file": file})
        assert response.status_code in (400, 422), case
        assert b"Traceback" not in response.content
        assert "etc/up" not in response.headers.get("Location", "")


def test_a_statement_that_waits_for_its_word_is_not_readable_in_the_cache(admin):
    from django.urls import reverse

    content = STATEMENTS["schwab.csv"]
    file = SimpleUploadedFile("schwab.csv", content)
    response = admin.post(reverse("portfolios:import_positions"), {"file": file})
    assert response.status_code == 302, response.content
    redis = cache._cache.get_client()
    marker = content[:20]
    for key in redis.scan_iter():
        assert marker not in (redis.dump(key) or b""), key
    assert admin.get(response["Location"]).status_code == 200


@pytest.mark.parametrize("command", ["import_positions", "import_prices"])
@pytest.mark.parametrize("case", ["gzip bomb", "zip bomb", "NUL", "200,000 columns", "empty"])
def test_commands_refuse_hostile_files_with_a_sentence(db, tmp_path, command, case):
    make_firm()
    path = tmp_path / "file.csv"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(CommandError):
        call_command(command, str(path))


# --- Fuzz ----------------------------------------------------------------------------------------

SNIPPETS = (
    b"",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b'"',
    b'""',
    b",",
    b";",
    b"\t",
    b"<",
    b">",
    b"</",
    b"&amp;",
    b"&#0;",
    b"<!DOCTYPE x>",
    b"NaN",
    b"-",
    b"1e999",
    b"1,234.56",
    b"(5.00)",
    b"$",
    b"%",
    b"99999999999999999999",
    b"2030-13-01",
    b"0000-00-00",
    "\u0661\u202e".encode(),
    b"=1+1",
    b"A" * 300,
)


def mutate(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with a few bytes changed, dropped, doubled, moved or put in its place."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(content) + 1)
        end = min(len(content), place + rng.choice((1, 2, 8, 40)))
        act = rng.randrange(5)
        if act == 0:
            content[place:end] = rng.choice(SNIPPETS)
        elif act == 1:
            content[place:place] = rng.choice(SNIPPETS)
        elif act == 2:
            content[place:place] = content[place:end]
        elif act == 3 and content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            del content[place:end]
    return bytes(content)


def test_fuzz_no_input_is_answered_by_anything_but_a_reading_or_a_refusal():
    """Seeded mutations of good files of every layout; what is read is finite and exact."""
    rng = random.Random(2026)
    # Small seeds reach more of a reader's turns in the same time.
    pieces = [cut for content in STATEMENTS.values() for cut in (content, content[:600])]
    read = refused = 0
    for number in range(FUZZ_INPUTS):
        try:
            if number % 2:
                file = read_price_file(io.BytesIO(mutate(rng, [PRICES])))
                assert all(price.is_finite() and price > 0 for price in file.prices)
            elif number % 40 == 0:
                read_statement(mutate(rng, pieces), "x.csv")
            else:
                read_statement(mutate(rng, [HEADER + b"1,Fund,AAA,1.5,2,3\n"]), "x.csv")
            read += 1
        except (StatementUnreadable, PriceFileUnreadable):
            refused += 1
    counts.update({"files tried": FUZZ_INPUTS, "files read": read, "files refused": refused})
    assert read + refused == FUZZ_INPUTS
    # The fuzzer does its work only if it reaches both ends.
    assert min(read, refused) > FUZZ_INPUTS // 20


def test_the_fuzz_would_see_a_crash(monkeypatch):
    def fail(*_):
        raise KeyError("a bug")

    monkeypatch.setattr(csv_file, "_read_price", fail)
    with pytest.raises(KeyError):
        test_fuzz_no_input_is_answered_by_anything_but_a_reading_or_a_refusal()
