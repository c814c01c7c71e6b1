"""What must not be believed: whole files and single rows are refused, and the culprit is named."""

import gzip
import time
import zipfile
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portfolios.statements import StatementUnreadable, read_statement

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "statements"
NAMES = ["fidelity.csv", "schwab.csv", "vanguard.csv", "ibkr.xml", "sgml.ofx", "xml.ofx"]
CONTENTS = {name: (FIXTURES / name).read_bytes() for name in NAMES}
TEXTS = {name: content.decode() for name, content in CONTENTS.items()}


def zipped(content: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("positions.csv", content)
    return out.getvalue()


def entities() -> str:
    lines = ['<!ENTITY a0 "ha">']
    lines += [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)]
    return f"<?xml version='1.0'?><!DOCTYPE x [{''.join(lines)}]><FlexQueryResponse>&a9;"


def in_flex(body: str) -> str:
    return f"<FlexQueryResponse><FlexStatements>{body}</FlexStatements></FlexQueryResponse>"


VANGUARD_HEADER = "Account Number,Investment Name,Symbol,Shares,Share Price,Total Value\n"

UNREADABLE = {
    "empty": (b"", "is empty"),
    "blank lines only": (b"\xef\xbb\xbf\r\n  \n", "is empty"),
    "zip archive": (zipped(CONTENTS["schwab.csv"]), "zip archive or Excel"),
    "zip bomb": (zipped(b"0" * 5_000_000), "zip archive or Excel"),
    "gzip": (gzip.compress(CONTENTS["schwab.csv"]), "gzip archive"),
    "pdf": (b"%PDF-1.7 ...", "a PDF"),
    "old excel": (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel"),
    "png": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "NUL byte": (b"Symbol,Qty\n\x00\x01", "line 2 holds the control character 0x00"),
    "utf-16 without mark": (TEXTS["schwab.csv"].encode("utf-16-le"), "control character 0x00"),
    "utf-32": (TEXTS["schwab.csv"].encode("utf-32"), "UTF-32"),
    "truncated utf-16": (TEXTS["schwab.csv"].encode("utf-16")[:-1], "wrong encoding: byte"),
    "utf-8 mark, other bytes": (b"\xef\xbb\xbfSymbol \xff", "wrong encoding: byte"),
    "no known encoding": (b"Symbol \x81\x8d", "byte 8 is neither UTF-8 nor Windows-1252"),
    "too large": (b"x" * (25 * 1024 * 1024 + 1), "25.0 MB; at most 25 MB"),
    "unknown headers": (b"Ticker,Shares Held,Weight\nAAA,1,2\n", "'Ticker', 'Shares Held'"),
    "known layouts are listed": (b"a,b\n", "Schwab positions .*Fidelity.*Vanguard.*Flex.*OFX"),
    "prose": (b"Dear client, here are your holdings.", "unknown layout"),
    "open quote": (VANGUARD_HEADER.encode() + b'1,"AAA,2,3,4\n', "line 2 is not valid CSV"),
    "huge cell": (VANGUARD_HEADER.encode() + b"1," + b"A" * 200_000, "line 2 is not valid CSV"),
    "too many rows": (VANGUARD_HEADER.encode() + b"1,A,B,1,1,1\n" * 200_000, "200,000 rows"),
    "too many columns": (b"Symbol" + b",x" * 2_000, "line 1 has 2,001 columns"),
    "column named twice": (
        VANGUARD_HEADER.replace("Shares,", "Shares,Shares,").encode(),
        "line 1: the header names 'Shares' twice",
    ),
    "table without account": (
        b"Symbol,Quantity,Price,Market Value\nAAA,1,1,1\n",
        "line 1: a table of positions without a title",
    ),
    "title without number": (
        TEXTS["schwab.csv"].replace("IRA ...222", "IRA").encode(),
        "line 11: a table of positions without a title",
    ),
    "second header unknown": (
        "Amount".join(TEXTS["schwab.csv"].rsplit("Qty (Quantity)", 1)).encode(),
        "line 11: under the title of account ...222 stands no header .*Description, Amount",
    ),
    "one number, two accounts": (
        TEXTS["fidelity.csv"].replace("X20000002", "X10000001").encode(),
        "line 6: account X10000001 is called 'Roth IRA'",
    ),
    "foreign xml": (b"<html><body/></html>", "XML root is 'html'"),
    "xml entities": (entities().encode(), "document type or entities"),
    "xml external entity": (
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><FlexQueryResponse/>',
        "document type or entities",
    ),
    "broken xml": (CONTENTS["ibkr.xml"][:-40], "line 2[0-9] is not valid XML"),
    "flex without statement": (in_flex("").encode(), "no FlexStatement"),
    "flex without account": (in_flex("<FlexStatement/>").encode(), "without accountId"),
    "too many elements": (in_flex("<a/>" * 200_000).encode(), "more than 200,000 XML elements"),
    "ofx header alone": (b"OFXHEADER:100\nDATA:OFXSGML\n", "no <OFX> element"),
    "ofx of a bank": (b"OFXHEADER:100\n\n<OFX><BANKMSGSRSV1></BANKMSGSRSV1></OFX>", "INVSTMTRS"),
    "ofx cut off": (
        CONTENTS["sgml.ofx"].replace(b"</OFX>", b""),
        "<OFX> of line 11 is never closed",
    ),
    "ofx crossing": (b"<OFX><A><B></A></B></OFX>", "line 1: </B> closes nothing"),
    "ofx stray text": (b"OFXHEADER:100\n<OFX>\n<A>1</A> tail\n</OFX>", "line 3: text 'tail'"),
    "ofx declaration": (b"<OFX><!DOCTYPE x></OFX>", "is not an OFX tag"),
    "ofx too deep": (b"<OFX>" + b"<A>" * 60 + b"</A>" * 60 + b"</OFX>", "above 40 deep"),
    "ofx in euro": (
        TEXTS["xml.ofx"].replace("USD", "EUR").encode(),
        "line 4: CURDEF is EUR; only USD",
    ),
    "ofx without account": (
        TEXTS["xml.ofx"].replace("<ACCTID>900-2</ACCTID>", "").encode(),
        "without ACCTID",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_cannot_be_read_are_refused_with_the_culprit(case):
    content, reason = UNREADABLE[case]
    with pytest.raises(StatementUnreadable, match=rf"^upload\.csv: .*{reason}"):
        read_statement(content, "folder/upload.csv")


# file, what to replace, by what, line of the refused row, its culprit, and words of the reason
ROWS = {
    "short position": ("vanguard.csv", ",100.25,", ",-100.25,", 2, "AAA", "negative: short"),
    "zero price": ("vanguard.csv", ",50.00,", ",0.00,", 2, "AAA", "price 0.00 is not above zero"),
    "negative price": ("vanguard.csv", ",50.00,", ",-50.00,", 2, "AAA", "not above zero"),
    "price missing": ("vanguard.csv", ",50.00,", ",,", 2, "AAA", "price is missing"),
    "quantity missing": ("vanguard.csv", ",100.25,", ",--,", 2, "AAA", "quantity is missing"),
    "value missing": ("vanguard.csv", ",5012.50,", ",n/a,", 2, "AAA", "market value is missing"),
    "zero quantity": ("vanguard.csv", ",100.25,", ",0,", 2, "AAA", "quantity is zero but"),
    "too fine": ("vanguard.csv", "100.25,", "100.250000001,", 2, "AAA", "more than 8 decimal"),
    "does not multiply": ("vanguard.csv", "5012.50", "5045.00", 2, "AAA", "5012.50, but the value"),
    "NaN": ("vanguard.csv", ",100.25,", ",NaN,", 2, "AAA", "quantity 'NaN' is not a finite"),
    "infinite": ("vanguard.csv", ",50.00,", ",Infinity,", 2, "AAA", "price 'Infinity' is not a"),
    "scientific": ("vanguard.csv", ",100.25,", ",1e2,", 2, "AAA", "'1e2' is in scientific"),
    "decimal comma": ("vanguard.csv", ",100.25,", ',"100,25",', 2, "AAA", "'100,25' is not a num"),
    "formula": ("vanguard.csv", ",AAA,100", ",=1+1,100", 2, "=1+1", "'=1+1' is not a ticker"),
    "symbol missing": ("vanguard.csv", ",AAA,100", ",,100", 2, "10000009", "symbol is missing"),
    "account missing": ("vanguard.csv", "10000009,ALPHA", ",ALPHA", 2, "AAA", "account number is"),
    "surplus cell": ("vanguard.csv", ",AAA,100", ",x,AAA,100", 2, "x", "has 7 cells, but"),
    "cut off row": ("vanguard.csv", ",AAA,100.25,50.00,5012.50,", "", 2, "10000009", "symbol is"),
    "money fund off par": ("vanguard.csv", "75.5,1.0", "75.5,2.0", 3, "VMFXX", "is 151.00, but"),
    "trade date": ("vanguard.csv", "2030-03-01", "2030-02-30", 6, "AAA", "'2030-02-30' is not a"),
    "trade sum": ("vanguard.csv", ",1.00,197.00", ",1.00,150.00", 6, "AAA", "the net is 150.00"),
    "trade without shares": ("vanguard.csv", "-4.00000", "0", 6, "AAA", "without quantity"),
    "net missing": ("vanguard.csv", "0.0,197.00", "0.0,", 7, "VMFXX", "net amount is missing"),
    "account total": ("schwab.csv", "$5,224.84", "$6,224.84", 8, "total of account ...111",
                      "prints 6224.84, but the rows read add up to 5224.84"),
    "total is no number": ("schwab.csv", "$5,224.84", "lots", 8, "Account Total", "'lots'"),
    "negative cash": ("schwab.csv", "$12.34", "-$12.34", 7, "Cash & Cash Investments", "margin"),
    "cash is no number": ("schwab.csv", "$12.34", "much", 7, "Cash & Cash Investments", "'much'"),
    "cost is no number": ("schwab.csv", '"$4,000.00","ETF', '"free","ETF', 5, "AAA",
                          "cost basis 'free' is not a number"),
    "negative cost": ("fidelity.csv", "$4,000.00", "-$4,000.00", 3, "AAA", "cost basis -4000.00"),
    "lots differ": ("ibkr.xml", 'position="20"', 'position="21"', 12, "AAA",
                    "lots add up to 31 shares, but the holding is 30"),
    "lot costs differ": ("ibkr.xml", "900.25", "901.25", 12, "AAA", "lots cost 1201.50 together"),
    "lot date": ("ibkr.xml", "20290405", "20291305", 12, "AAA", "lot on line 13: openDateTime"),
    "lots alone": ("ibkr.xml", '"SUMMARY"', '"LOT"', 12, "AAA", "without its SUMMARY row"),
    "short side": ("ibkr.xml", '"Long" levelOfDetail="SUMMARY"', '"Short" levelOfDetail="SUMMARY"',
                   12, "AAA", "side is Short"),
    "foreign position": ("ibkr.xml", 'OpenPosition accountId="U0000009" currency="USD"',
                         'OpenPosition accountId="U0000009" currency="CHF"', 12, "AAA", "CHF"),
    "option": ("ibkr.xml", 'assetCategory="STK" symbol="AAA" desc',
               'assetCategory="OPT" symbol="AAA" desc', 12, "AAA", "OPT is neither"),
    "multiplier": ("ibkr.xml", 'multiplier="1"', 'multiplier="100"', 12, "AAA", "is 100, not 1"),
    "foreign cash": ("ibkr.xml", '"EUR" endingCash="0"', '"EUR" endingCash="7"', 9,
                     "cash EUR of U0000009", "cash of 7 is in EUR"),
    "neither side": ("ibkr.xml", 'buySell="SELL"', 'buySell="SWAP"', 17, "AAA", "'SWAP'"),
    "short in ofx": ("sgml.ofx", "LONG<UNITS>3", "SHORT<UNITS>3", 21, "222222222", "SHORT"),
    "option in ofx": ("sgml.ofx", "POSSTOCK", "POSOPT", 21, "222222222", "options"),
    "comma in ofx": ("sgml.ofx", "<UNITS>3", "<UNITS>3,5", 21, "222222222", "'3,5' is not a"),
    "ambiguous": ("sgml.ofx", "</MFINFO>", "</MFINFO><MFINFO><SECINFO><SECID><UNIQUEID>111111111"
                  "</SECID><SECNAME>Twin<TICKER>ZZZ</SECINFO></MFINFO>", 20, "111111111",
                  "tickers AAA and ZZZ"),
    "margin in ofx": ("sgml.ofx", "<AVAILCASH>", "<AVAILCASH>-", 23, "INVBAL", "margin loans"),
    "balance is no number": ("xml.ofx", "</INVBAL>", "</INVBAL><INV401KBAL><TOTAL>much</TOTAL>"
                             "</INV401KBAL>", 13, "TOTAL", "'much' is not a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_cannot_be_believed_are_refused_with_the_culprit(case):
    name, old, new, line, culprit, reason = ROWS[case]
    assert old in TEXTS[name]
    statement = read_statement(TEXTS[name].replace(old, new).encode(), name)
    refused = [row for row in statement.refused_rows if row.line == line]
    assert [row.culprit for row in refused] == [culprit]
    assert reason in refused[0].reason
    kept = {holding.line for account in statement.accounts for holding in account.holdings}
    assert not kept & {row.line for row in statement.refused_rows}


def test_a_symbol_listed_twice_is_refused_on_both_lines():
    content = TEXTS["fidelity.csv"].replace(",BBB,", ",AAA,")
    statement = read_statement(content.encode(), "f.csv")
    assert [(row.line, row.culprit) for row in statement.refused_rows] == [(3, "AAA"), (4, "AAA")]
    assert "lines 3, 4" in statement.refused_rows[0].reason
    assert statement.accounts[0].holdings == ()
    assert statement.accounts[1].holdings[0].symbol == "AAA"


def test_one_bad_row_leaves_the_others_and_shows_in_the_printed_total():
    content = TEXTS["schwab.csv"].replace('"100.25"', '"1.25"', 1)
    statement = read_statement(content.encode(), "s.csv")
    assert [row.culprit for row in statement.refused_rows] == ["AAA", "total of account ...111"]
    assert statement.accounts[0].total == Decimal("212.34")
    assert statement.accounts[1].total == Decimal("100.00")


def test_the_tolerance_is_a_dollar_or_half_a_per_cent():
    def refused(value: str) -> bool:
        content = TEXTS["vanguard.csv"].replace("5012.50", value)
        return bool(read_statement(content.encode(), "v").refused_rows)

    assert not refused("5037.56")  # 5012.50 * 1.005, rounded down
    assert refused("5037.57")
    small = VANGUARD_HEADER + "1,A,AAA,1,10,{}\n"
    assert not read_statement(small.format("11.00").encode(), "v").refused_rows
    assert read_statement(small.format("11.01").encode(), "v").refused_rows


def test_hostile_files_take_no_more_than_linear_time():
    many = 40_000
    tags = "".join(f"<A{i}></B{i}>" for i in range(many))
    hostile = [
        f"OFXHEADER:100\n\n<OFX>{tags}</OFX>",
        "OFXHEADER:100\n\n<OFX><INVSTMTRS>" + "<X>1" * many + "</INVSTMTRS></OFX>",
        '"Positions for account ' + " " * 100_000 + '"\n' + '" . . x"\n' * many,
        VANGUARD_HEADER + f"1,A,AAA,{'1,' * 50_000},1,1\n",
        VANGUARD_HEADER + "1,A,B,1,1,1\n" * many,
    ]
    started = time.perf_counter()
    for text in hostile:
        try:
            read_statement(text.encode(), "hostile")
        except StatementUnreadable:
            continue
    assert time.perf_counter() - started < 10


def assert_reads_or_refuses(content: bytes) -> None:
    try:
        statement = read_statement(content, "fuzz")
    except StatementUnreadable:
        return
    for account in statement.accounts:
        assert account.cash >= 0
        assert account.total == account.cash + sum(h.market_value for h in account.holdings)
        symbols = [holding.symbol for holding in account.holdings]
        assert len(symbols) == len(set(symbols))
        assert all(h.quantity > 0 and h.price > 0 for h in account.holdings)
    assert all(row.line > 0 and row.culprit and row.reason for row in statement.refused_rows)


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(content=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(content):
    assert_reads_or_refuses(content)


@FUZZ
@given(text=st.text(alphabet="<>/&;!?[]\"'=,\n\r\t .$%()-0123456789AaEeNnXxOoFf\u00e4\u2028"))
@example(text="<OFX></OFX>")
@example(text="<FlexQueryResponse/>")
@example(text="<OFX><A/><INVSTMTRS/></OFX>")
def test_random_markup_is_read_or_refused(text):
    assert_reads_or_refuses(text.encode())


SNIPPETS = [
    "",
    "NaN",
    "-1",
    "1e9",
    '"',
    ",",
    "\n",
    "<",
    ">",
    "</",
    "\x0b",
    "$",
    "(",
    "\u0660",
    "9" * 40,
]


@FUZZ
@given(
    name=st.sampled_from(NAMES),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(SNIPPETS)),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_files_are_read_or_refused(name, edits):
    text = TEXTS[name]
    for place, length, snippet in edits:
        start = int(place * len(text))
        text = text[:start] + snippet + text[start + length :]
    assert_reads_or_refuses(text.encode())
