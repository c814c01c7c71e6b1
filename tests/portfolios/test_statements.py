"""Every layout gives exactly what its file says, in whatever column order or encoding it comes."""

import csv
import hashlib
import io
import json
import os
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from ofxparse import OfxParser

from portfolios.domain.statements import Statement, StatementHolding, StatementTransaction
from portfolios.statements import read_statement

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "statements"
DATA = Path(os.environ.get("EVENKEEL_DATA_DIR", ROOT.parent / "shared" / "data"))
BROKER_DATA = DATA / "formats" / "brokers"
OFX_DATA = DATA / "formats" / "ofx"

OWN_FILES = ["fidelity.csv", "schwab.csv", "vanguard.csv", "ibkr.xml", "sgml.ofx", "xml.ofx"]
OWN_TABLES = [name for name in OWN_FILES if name.endswith(".csv")]
BROKER_FILES = [
    "fidelity_positions.csv",
    "schwab_positions.csv",
    "vanguard_download.csv",
    "ibkr_flex.xml",
]
D = Decimal


def sample(path: Path) -> bytes:
    if not path.exists():
        pytest.skip(f"{path.name}: the market data folder is absent (EVENKEEL_DATA_DIR)")
    return path.read_bytes()


def own(name: str) -> Statement:
    return read_statement((FIXTURES / name).read_bytes(), name)


def optional(text: str | None) -> Decimal | None:
    return None if text is None else D(text)


def assert_says(statement: Statement, expected: dict) -> None:
    """Compare every field; a number that `expected` leaves out must be absent or zero."""
    assert statement.broker == expected["broker"]
    assert str(statement.as_of or "None") == (expected["as_of"] or "None")
    assert statement.refused_rows == ()
    assert len(statement.accounts) == len(expected["accounts"])
    for account, wanted in zip(statement.accounts, expected["accounts"], strict=True):
        assert (account.number, account.name) == (wanted["id"], wanted["name"])
        assert (account.cash, account.total) == (D(wanted["cash"]), D(wanted["total"]))
        assert len(account.holdings) == len(wanted["holdings"])
        for holding, fields in zip(account.holdings, wanted["holdings"], strict=True):
            assert_holds(holding, fields)
    wanted_transactions = expected.get("transactions", [])
    assert len(statement.transactions) == len(wanted_transactions)
    numbers = {account.number for account in statement.accounts}
    for transaction, fields in zip(statement.transactions, wanted_transactions, strict=True):
        assert_moved(transaction, fields)
        assert transaction.account_number in numbers


def assert_holds(holding: StatementHolding, fields: dict) -> None:
    assert holding.symbol == fields["symbol"]
    assert holding.quantity == D(fields["quantity"])
    assert holding.price == D(fields["price"])
    assert holding.market_value == D(fields["market_value"])
    assert holding.cost_basis == optional(fields["cost_basis"])
    lots = [(str(lot.acquired_date), lot.quantity, lot.cost) for lot in holding.lots]
    assert lots == [
        (lot["acquired"], D(lot["quantity"]), D(lot["cost_basis"]))
        for lot in fields.get("lots", [])
    ]


def assert_moved(transaction: StatementTransaction, fields: dict) -> None:
    assert str(transaction.date) == fields["date"]
    assert (transaction.kind, transaction.symbol) == (fields["type"], fields["symbol"])
    assert transaction.quantity == optional(fields.get("quantity"))
    assert transaction.price == optional(fields.get("price"))
    assert (transaction.commission or 0) == D(fields.get("commission", "0"))
    assert transaction.net == D(fields["net"])


def without_lines(statement: Statement) -> Statement:
    """Leave out what may change when the same content is laid out differently."""
    accounts = tuple(
        replace(a, holdings=tuple(replace(h, line=0) for h in a.holdings))
        for a in statement.accounts
    )
    transactions = tuple(replace(t, line=0) for t in statement.transactions)
    return replace(
        statement, accounts=accounts, transactions=transactions, notes=(), content_sha256=""
    )


@pytest.mark.parametrize("name", OWN_FILES)
def test_own_samples_give_exactly_what_they_say(name):
    expected = json.loads((FIXTURES / "expected.json").read_text())[name]
    assert_says(own(name), expected)


@pytest.mark.data
@pytest.mark.parametrize("name", BROKER_FILES)
def test_broker_samples_give_exactly_what_they_say(name):
    expected = json.loads(sample(BROKER_DATA / "expected.json"))[name]
    assert_says(read_statement(sample(BROKER_DATA / name), "export"), expected)


@pytest.mark.parametrize("name", OWN_FILES)
def test_every_holding_names_the_physical_line_it_stands_on(name):
    lines = (FIXTURES / name).read_text().splitlines()
    for account in own(name).accounts:
        for holding in account.holdings:
            around = "".join(lines[holding.line - 1 : holding.line + 1])
            identifier = {"sgml.ofx": "111111111"}.get(name, holding.symbol)
            assert holding.symbol in around or identifier in around


def test_a_quoted_line_break_does_not_move_the_line_numbers():
    content = (FIXTURES / "fidelity.csv").read_text()
    broken = content.replace('"BETA BOND FUND, CLASS I"', '"BETA BOND FUND,\nCLASS I"')
    holdings = [h for a in read_statement(broken.encode(), "f").accounts for h in a.holdings]
    assert [(h.symbol, h.line) for h in holdings] == [("AAA", 3), ("BBB", 4), ("AAA", 8)]
    assert holdings[1].description == "BETA BOND FUND, CLASS I"


def test_pending_activity_is_a_note_and_not_money():
    assert own("fidelity.csv").notes == ("line 5: pending activity of $-25.00 is not counted",)


def test_the_hash_is_of_the_bytes_that_came():
    content = (FIXTURES / "schwab.csv").read_bytes()
    assert own("schwab.csv").content_sha256 == hashlib.sha256(content).hexdigest()


def shuffle_columns(content: str, seed: int, delimiter: str = ",") -> str:
    """Give every table of a file another column order and two columns nobody knows."""
    chance = random.Random(seed)
    order: list[int] = []
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    for cells in csv.reader(io.StringIO(content)):
        stripped = [cell for cell in cells if cell]
        if len(stripped) < 2:
            writer.writerow(cells)
            continue
        if "Symbol" in cells:
            header = [*[cell for cell in cells if cell], "Unknown A", "Unknown B"]
            order = chance.sample(range(len(header)), len(header))
            writer.writerow([header[i] for i in order])
            continue
        padded = [*cells[: len(order) - 2], *[""] * (len(order) - 2 - len(cells)), "x", "$9.99"]
        writer.writerow([padded[i] for i in order])
    return out.getvalue()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", OWN_TABLES)
def test_column_order_and_unknown_columns_change_nothing(name, seed):
    shuffled = shuffle_columns((FIXTURES / name).read_text(), seed)
    assert without_lines(read_statement(shuffled.encode(), name)) == without_lines(own(name))


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in BROKER_FILES if name.endswith(".csv")])
def test_column_order_changes_nothing_in_the_broker_samples(name):
    content = sample(BROKER_DATA / name)
    shuffled = read_statement(shuffle_columns(content.decode("utf-8-sig"), 3).encode(), name)
    assert without_lines(shuffled) == without_lines(read_statement(content, name))


@pytest.mark.parametrize("delimiter", ["\t", ";"])
@pytest.mark.parametrize("name", OWN_TABLES)
def test_other_delimiters_change_nothing(name, delimiter):
    content = shuffle_columns((FIXTURES / name).read_text(), 1, delimiter)
    assert without_lines(read_statement(content.encode(), name)) == without_lines(own(name))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", OWN_FILES)
def test_encodings_change_nothing(name, encoding):
    text = (FIXTURES / name).read_text()
    assert without_lines(read_statement(text.encode(encoding), name)) == without_lines(own(name))


def test_windows_1252_keeps_accents_and_says_how_it_was_read():
    content = (FIXTURES / "vanguard.csv").read_text().replace("ALPHA", "ALPHÉ").encode("cp1252")
    statement = read_statement(content, "v.csv")
    assert statement.accounts[0].holdings[0].description.startswith("ALPHÉ")
    assert any("Windows-1252" in note for note in statement.notes)


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("name", OWN_TABLES)
def test_line_endings_change_nothing(name, ending):
    content = (FIXTURES / name).read_text().replace("\n", ending)
    if ending == "\n\n" and name == "schwab.csv":
        content = content.replace('...111"\n\n', '...111"\n')
    assert without_lines(read_statement(content.encode(), name)) == without_lines(own(name))


@pytest.mark.parametrize("name", OWN_FILES)
def test_the_name_of_the_file_decides_nothing(name):
    content = (FIXTURES / name).read_bytes()
    assert read_statement(content, "report.pdf") == read_statement(content, name)


@pytest.mark.parametrize(("sweep", "is_cash"), [("VMFXX", True), ("VTSAX", False)])
def test_only_money_market_funds_count_as_cash(sweep, is_cash):
    content = (FIXTURES / "vanguard.csv").read_text().replace("VMFXX", sweep)
    account = read_statement(content.encode(), "v.csv").accounts[0]
    assert account.cash == (D("75.50") if is_cash else 0)
    assert (sweep in {h.symbol for h in account.holdings}) is not is_cash
    assert account.total == D("5088.00")


def test_symbols_that_look_like_missing_values_stay_symbols():
    for symbol in ("NAN", "TRUE", "NULL", "NA1"):
        content = (FIXTURES / "vanguard.csv").read_text().replace("AAA", symbol)
        assert read_statement(content.encode(), "v").accounts[0].holdings[0].symbol == symbol


def test_two_flex_statements_are_two_accounts():
    text = (FIXTURES / "ibkr.xml").read_text()
    start, end = text.index("  <FlexStatement "), text.index(" </FlexStatements>")
    twin = text[start:end].replace("U0000009", "U0000010").replace("Sample", "Example")
    statement = read_statement((text[:end] + twin + text[end:]).encode(), "x")
    assert [(a.number, a.name) for a in statement.accounts] == [
        ("U0000009", "Sample & Sons"),
        ("U0000010", "Example & Sons"),
    ]
    assert [a.total for a in statement.accounts] == [D("1520.50")] * 2


# The expected figures below were read from the raw files by eye, without any OFX library.


@pytest.mark.data
def test_ofx_of_td_ameritrade():
    statement = read_statement(sample(OFX_DATA / "td_ameritrade_masked.ofx"), "td.ofx")
    (account,) = statement.accounts
    assert (statement.broker, statement.as_of) == ("ofx", date(2017, 12, 3))
    assert (account.number, account.cash, account.total) == ("121212121", D(0), D(2000))
    figures = [(h.symbol, h.quantity, h.price, h.market_value) for h in account.holdings]
    # The bond is priced at 100 % of its face value: 1,000 of face are worth 1,000 dollars.
    assert figures == [("AMZN", 1, 1000, 1000), ("912810RW0", 1000, 1, 1000)]
    assert (statement.refused_rows, statement.transactions) == ((), ())


@pytest.mark.data
def test_ofx_of_a_401k():
    statement = read_statement(sample(OFX_DATA / "example_401k.ofx"), "401k.ofx")
    (account,) = statement.accounts
    assert (account.number, statement.as_of) == ("12345678.123456-01", date(2014, 6, 30))
    figures = [(h.symbol, h.quantity, h.price, h.market_value) for h in account.holdings]
    assert figures == [
        ("FOO", D("17.604312"), D("22.517211"), D("396.40")),
        ("BAR", D("13.550983"), D("29.214855"), D("395.89")),
    ]
    assert (account.cash, account.total) == (D(0), D("792.29"))
    # BAZ has no units left; the balance that the file prints is not the sum of its positions.
    assert statement.refused_rows == ()
    assert any("BAZ" in note for note in statement.notes)
    (note,) = [note for note in statement.notes if note.startswith("line 139: ")]
    assert "1000.00" in note
    assert "792.29" in note
    moves = [(str(t.date), t.kind, t.symbol, t.quantity, t.net) for t in statement.transactions]
    assert moves == [
        ("2014-06-17", "buy", "FOO", D("8.846699"), D("-197.20")),
        ("2014-06-30", "transfer_in", "BAR", D("6.800992"), 0),
        ("2014-06-30", "transfer_out", "BAZ", D("9.060702"), 0),
    ]


@pytest.mark.data
def test_ofx_of_vanguard_whose_masked_securities_share_one_number():
    statement = read_statement(sample(OFX_DATA / "vanguard_masked.ofx"), "vanguard.ofx")
    (account,) = statement.accounts
    assert (account.number, statement.as_of) == ("01234567890", date(2011, 7, 27))
    figures = [(h.symbol, h.description, h.quantity, h.market_value) for h in account.holdings]
    # Two positions and two tickers of one number: paired as listed, and said so.
    assert figures == [
        ("VFINX", "Name of the security", D("102.0"), D("10200.00")),
        ("VFIAX", "Name of share", D("142.2"), D("14279.72")),
    ]
    assert (account.cash, account.total) == (0, D("24479.72"))
    assert any("012345678 stands for VFINX and VFIAX" in note for note in statement.notes)
    # One sale: nobody can say of which of the two funds.
    assert [(t.symbol, t.kind, t.net) for t in statement.transactions] == [
        ("012345678", "sell", D("4212.30"))
    ]
    assert any("transactions of 012345678 keep it" in note for note in statement.notes)
    assert any("states no cash" in note for note in statement.notes)
    assert statement.refused_rows == ()


@pytest.mark.data
def test_ofx_of_vanguard_with_distinct_securities():
    content = sample(OFX_DATA / "vanguard_masked.ofx").decode()
    head, middle, tail = content.rpartition("<UNIQUEID>012345678")
    tail = middle.replace("012345678", "876543210") + tail
    head, middle, rest = head.rpartition("<UNITS>142.2")
    before, _, after = head.rpartition("<UNIQUEID>012345678")
    content = before + "<UNIQUEID>876543210" + after + middle + rest + tail
    statement = read_statement(content.encode(), "vanguard.ofx")
    (account,) = statement.accounts
    figures = [(h.symbol, h.quantity, h.price, h.market_value) for h in account.holdings]
    assert figures == [
        ("VFINX", D("102.0"), D("100.00"), D("10200.00")),
        ("VFIAX", D("142.2"), D("100.42"), D("14279.72")),
    ]
    (sale,) = statement.transactions
    assert (sale.date, sale.kind, sale.symbol) == (date(2011, 7, 15), "sell", "VFINX")
    assert (sale.quantity, sale.net) == (D("42.123"), D("4212.30"))
    assert statement.refused_rows == ()


def assert_library_agrees(content: bytes) -> None:
    """Hold our reading against ofxparse's, a library with another author and another method."""
    ours = read_statement(content, "ofx")
    theirs = OfxParser.parse(io.BytesIO(content))
    tickers = {s.uniqueid: s.ticker or s.uniqueid for s in theirs.security_list or []}
    assert [a.number for a in ours.accounts] == [a.account_id for a in theirs.accounts]
    for account, other in zip(ours.accounts, theirs.accounts, strict=True):
        positions = {
            (tickers.get(p.security, p.security), p.units, p.market_value)
            for p in other.statement.positions
            if p.units
        }
        assert {(h.symbol, h.quantity, h.market_value) for h in account.holdings} == positions
        trades = {
            (tickers.get(t.security, t.security), abs(t.units), t.total)
            for t in other.statement.transactions
            if hasattr(t, "units") and t.units
        }
        assert {(t.symbol, t.quantity, t.net) for t in ours.transactions if t.quantity} == trades


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ofxparse")
@pytest.mark.parametrize("name", ["td_ameritrade_masked.ofx", "example_401k.ofx"])
def test_a_second_reader_finds_the_same_in_the_samples(name):
    assert_library_agrees(sample(OFX_DATA / name))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ofxparse")
def test_a_second_reader_finds_the_same_in_sgml_without_closing_tags():
    # The library fails on an empty value, which SGML allows and we read; it gets a filled one.
    content = (FIXTURES / "sgml.ofx").read_bytes()
    assert_library_agrees(content.replace(b"<MEMO>", b"<MEMO>filled"))
