"""What OFX leaves open: one identifier with several tickers, and balances that cover more."""

import time
from decimal import Decimal

import pytest

from portfolios.statements import read_statement

D = Decimal


def position(units, *, identifier="123", kind="POSMF", price="10", value=None):
    value = D(units) * D(price) if value is None else value
    return (
        f"<{kind}><SECID><UNIQUEID>{identifier}</UNIQUEID></SECID><POSTYPE>LONG</POSTYPE>"
        f"<UNITS>{units}</UNITS><UNITPRICE>{price}</UNITPRICE><MKTVAL>{value}</MKTVAL></{kind}>\n"
    )


def sale(identifier="123", *, total="10"):
    return (
        "<SELLMF><DTTRADE>20300303</DTTRADE>"
        f"<SECID><UNIQUEID>{identifier}</UNIQUEID></SECID><UNITS>-1</UNITS>"
        f"<UNITPRICE>10</UNITPRICE><TOTAL>{total}</TOTAL></SELLMF>\n"
    )


def account(*positions, number="7", trades="", balance=""):
    return (
        "<INVSTMTRS><DTASOF>20300304</DTASOF><CURDEF>USD</CURDEF>"
        f"<INVACCTFROM><ACCTID>{number}</ACCTID></INVACCTFROM>\n"
        f"<INVTRANLIST>{trades}</INVTRANLIST>\n<INVPOSLIST>\n{''.join(positions)}</INVPOSLIST>\n"
        f"<INVBAL><AVAILCASH>0</AVAILCASH></INVBAL>{balance}</INVSTMTRS>\n"
    )


def read(*accounts, tickers=("AAA", "BBB"), identifier="123"):
    """Read the accounts; every ticker is a SECLIST entry of the same identifier."""
    listed = "".join(
        f"<SECINFO><SECID><UNIQUEID>{identifier}</UNIQUEID></SECID>"
        f"<SECNAME>Fund {ticker}</SECNAME><TICKER>{ticker}</TICKER></SECINFO>"
        for ticker in tickers
    )
    text = f"OFXHEADER:100\n\n<OFX>{''.join(accounts)}<SECLIST>{listed}</SECLIST></OFX>"
    return read_statement(text.encode(), "statement.ofx")


def held(statement):
    return [
        (account.number, [(row.symbol, row.description, row.quantity) for row in account.holdings])
        for account in statement.accounts
    ]


def test_as_many_positions_as_tickers_are_paired_in_the_order_listed():
    # The file's order counts for the pairs, whatever kind of position each is.
    positions = (position("1", kind="POSOTHER"), position("2"), position("3", kind="POSSTOCK"))
    statement = read(account(*positions), tickers=("CCC", "AAA", "BBB"))
    paired = [("BBB", "Fund BBB", 3), ("AAA", "Fund AAA", 2), ("CCC", "Fund CCC", 1)]
    assert held(statement) == [("7", paired)]
    assert statement.refused_rows == ()
    assert statement.notes == (
        "account 7: 123 stands for CCC and AAA and BBB; its positions are taken "
        "in the order listed: 1 as CCC and 2 as AAA and 3 as BBB",
    )


@pytest.mark.parametrize("amounts", [("1",), ("1", "2", "3")])
def test_other_numbers_of_positions_than_tickers_stay_refused(amounts):
    other = position("9", identifier="OTHER")
    statement = read(account(*(position(units) for units in amounts), other))
    assert held(statement) == [("7", [("OTHER", "", 9)])]
    assert [row.culprit for row in statement.refused_rows] == ["123"] * len(amounts)
    assert all("AAA and BBB: which one is" in row.reason for row in statement.refused_rows)
    assert statement.notes == ()


def test_each_account_is_paired_on_its_own():
    whole = account(position("1"), position("2"), number="7")
    half = account(position("3"), number="8")
    statement = read(whole, half)
    assert held(statement) == [("7", [("AAA", "Fund AAA", 1), ("BBB", "Fund BBB", 2)]), ("8", [])]
    assert [row.culprit for row in statement.refused_rows] == ["123"]


def test_a_bad_position_of_a_pair_is_refused_under_its_ticker():
    statement = read(account(position("1", value="500"), position("2")))
    assert held(statement) == [("7", [("BBB", "Fund BBB", 2)])]
    [row] = statement.refused_rows
    assert row.culprit == "AAA"
    assert "but the value is 500" in row.reason


def test_a_ticker_that_another_position_has_too_is_listed_twice():
    statement = read(account(position("1"), position("2"), position("3", identifier="BBB")))
    assert held(statement) == [("7", [("AAA", "Fund AAA", 1)])]
    assert [row.culprit for row in statement.refused_rows] == ["BBB", "BBB"]


def test_securities_without_identifier_name_no_position():
    positions = (position("1", identifier=""), position("2", identifier=""))
    statement = read(account(*positions), identifier="")
    assert held(statement) == [("7", [])]
    assert [row.reason for row in statement.refused_rows] == ["symbol is missing"] * 2


def test_a_ticker_given_twice_is_one_ticker():
    statement = read(account(position("1")), tickers=("AAA", "aaa"))
    assert held(statement) == [("7", [("AAA", "Fund AAA", 1)])]
    assert (statement.refused_rows, statement.notes) == ((), ())


def test_transactions_keep_an_identifier_of_several_tickers_and_refuse_nothing():
    statement = read(account(trades=sale() + sale() + sale("OTHER")))
    assert [row.symbol for row in statement.transactions] == ["123", "123", "OTHER"]
    assert statement.refused_rows == ()
    assert statement.notes == (
        "account 7: transactions of 123 keep it as their symbol, for it stands for AAA and BBB",
    )


def test_transactions_that_contradict_themselves_are_refused_all_the_same():
    statement = read(account(trades=sale(total="70")))
    assert statement.transactions == ()
    [row] = statement.refused_rows
    assert (row.culprit, "the net is 70" in row.reason) == ("123", True)


INV401K = "<INV401KBAL><TOTAL>{}</TOTAL></INV401KBAL>"
LISTED = "<BALLIST><BAL><NAME>Account Value</NAME><VALUE>{}</VALUE></BAL></BALLIST>"


@pytest.mark.parametrize("layout", [INV401K, LISTED])
def test_a_printed_balance_of_something_else_is_a_note_with_both_figures(layout):
    statement = read(account(position("2"), balance=layout.format("1,000.00")), tickers=())
    assert statement.refused_rows == ()
    assert statement.accounts[0].total == 20
    assert statement.notes == (
        "line 8: the file prints a balance of 1000.00 for account 7, "
        "but its positions and cash add up to 20.00; these are taken",
    )


@pytest.mark.parametrize("printed", ["20", "20.02", "19.98"])
def test_a_printed_balance_that_agrees_to_the_cents_is_no_note(printed):
    statement = read(account(position("2"), balance=INV401K.format(printed)), tickers=())
    assert (statement.refused_rows, statement.notes) == ((), ())


def test_thousands_of_tickers_of_one_identifier_take_linear_time_and_short_notes():
    many = 12_000
    tickers = [f"T{number}" for number in range(many)]
    started = time.perf_counter()
    paired = read(account(*[position("1")] * many), tickers=tickers)
    refused = read(account(*[position("1")] * (many - 1)), tickers=tickers)
    assert time.perf_counter() - started < 20
    assert len(paired.accounts[0].holdings) == many
    assert paired.notes[0].endswith("1 as T3 and 1 as T4 and 11,995 more")
    assert len(refused.refused_rows) == many - 1
    assert "T3 and T4 and 11,995 more: which" in refused.refused_rows[0].reason


@pytest.mark.parametrize("borrowed", ["MARGINBALANCE", "SHORTBALANCE"])
def test_borrowed_money_is_refused_by_name(borrowed):
    owing = f"<INVBAL><AVAILCASH>0</AVAILCASH><{borrowed}>-250.00</{borrowed}></INVBAL>"
    statement = read(account(position("1"), balance=owing), tickers=("AAA",))
    [refused] = statement.refused_rows
    assert borrowed in refused.reason
