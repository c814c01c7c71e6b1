"""The report of an Answer: exact amounts, names instead of numbers, weights before and after."""

from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot
from rebalancer.domain.kinds import Mode, Path, TradeReason
from rebalancer.domain.plan import AccountTerms, SecurityTerms, WantedTrade, build_plan
from rebalancer.engine.answer import Answer, Certificate, NoTradeNote, Terms, TradeNote
from rebalancer.engine.case.book import build_named_book
from rebalancer.engine.case.normal import normalise_case
from rebalancer.engine.case.report import describe_answer
from rebalancer.engine.columns import SHARE_UNITS, from_units
from tests.rebalancer.engine.test_case import make_case

D = Decimal


def make_answer(named):
    """Return an answer made by hand: the joint account sells 40 VTI and buys 100 BND."""
    book = named.book
    lots, lot_security = {}, {}
    for row in range(book.lot_offsets[1], book.lot_offsets[2]):
        lot_id = int(book.lot_ids[row])
        lots[lot_id] = Lot(
            lot_id,
            from_units(book.lot_units[row], SHARE_UNITS),
            from_units(book.lot_cost_cents[row], 100),
            book.price_date.replace(year=2020),
        )
        lot_security[lot_id] = book.securities[book.lot_security[row]].security_id
    terms = AccountTerms(
        cash=D("1000"),
        required_cash=D(0),
        min_trade_amount=D(0),
        is_taxable=True,
        short_term_rate=D("0.35"),
        long_term_rate=D("0.15"),
        lots=lots,
        lot_security=lot_security,
        never_buy=frozenset(),
        never_sell=frozenset(),
    )

    def want(symbol, side, quantity, reason, picks=()):
        row = next(row for row in book.securities if row.symbol == symbol)
        security = SecurityTerms(
            row.security_id, symbol, row.price, row.half_spread_bps, row.share_step
        )
        return WantedTrade(security, side, D(quantity), reason, picks)

    lot_id = next(number for number, name in named.lot_ids.items() if name == "L1")
    plan = build_plan(
        terms=terms,
        wanted=[
            want("BND", Side.BUY, "100", TradeReason.UNDERWEIGHT),
            want("VTI", Side.SELL, "40", TradeReason.OVERWEIGHT, ((lot_id, D(40)),)),
        ],
        trade_date=book.price_date,
    )
    certificate = Certificate(
        plan=Terms(drift=10.0, tax=5.5),
        nothing=Terms(drift=100.25),
        buy_only=None,
        naive=Terms(drift=1, tax=300),
        bound=15.25,
        value=50_000.0,
        hurdle=1.0,
    )
    return Answer(
        mode=Mode.FULL,
        path=Path.ACCOUNT,
        path_reason="no limit ties its accounts together",
        plans={1: plan},
        short_by={0: D("12.50"), 1: D(0)},
        certificate=certificate,
        trades={(1, 2): TradeNote(3.25, D("1"), D("2"), "the smallest trade", "39 shares")},
        untraded={(0, 0): NoTradeNote("TAX", -1e-9, 1.0, 2.0, "too dear")},
        notes={0: ("one", "two"), 1: ()},
        blocked={},
        conflict="Not all can be met: account 2 needs 5.00; account 7 is none.",
    )


def make_report(**changes):
    named = build_named_book(normalise_case({**make_case(), **changes}))
    return describe_answer(named, make_answer(named), inputs_hash="abc")


def test_trades_are_named_and_exact():
    sell, buy = make_report()["trades"]
    assert [sell[key] for key in ("account", "symbol", "side", "quantity")] == [
        "joint",
        "VTI",
        "SELL",
        "40",
    ]
    # 300.10 less ten basis points.
    assert (sell["price"], sell["fill_price"], sell["amount"]) == ("300.1", "299.7999", "11992")
    [lot] = sell["lots"]
    assert (lot["id"], lot["cost"], lot["gain"]) == ("L1", "6000.2", "5991.8")
    assert lot["tax"] == sell["tax"] == "898.77"
    assert lot["is_long_term"] is True
    assert (sell["rule"], sell["next_best"]) == ("the smallest trade", "39 shares")
    assert sell["drift_removed"] == "3.25"
    assert (buy["lots"], buy["rule"], buy["drift_removed"]) == ([], "", "0")
    assert "Stocks" in sell["explanation"]
    assert "58.0%" in sell["explanation"]


def test_before_and_after_add_up():
    report = make_report()
    for standing in (report["before"], report["after"]):
        for part in (standing["household"], *standing["accounts"].values()):
            for key in ("classes", "securities"):
                total = sum(map(D, part[key].values())) + D(part["cash_weight"])
                assert abs(total - 1) <= D("4e-8")
    before, after = report["before"], report["after"]
    assert before["accounts"]["ira"] == after["accounts"]["ira"]
    assert before["accounts"]["joint"]["cash"] == "1000"
    assert after["accounts"]["joint"]["cash"] == str(D("1000") + D("11992") - D("7250.72"))
    # What is lost is the spread, to the cent.
    lost = D(before["household"]["value"]) - D(after["household"]["value"])
    assert abs(lost - D(report["cost"])) <= D("0.01")
    assert report["tax"] == {
        "short_term_gain": "0",
        "long_term_gain": "5991.8",
        "short_term_tax": "0",
        "long_term_tax": "898.77",
        "total": "898.77",
    }


def test_the_certificate():
    report = make_report()
    certificate = report["certificate"]
    assert certificate["plan"]["total"] == "15.5"
    assert certificate["buy_only"] is None
    assert certificate["naive"]["total"] == "301"
    assert (certificate["bound"], certificate["gap"]) == ("15.25", "0.25")
    assert certificate["gap_bps"] == "0.05"
    assert (certificate["gain"], certificate["hurdle"]) == ("84.75", "1")
    assert certificate["is_worth_it"] is True


def test_the_rest():
    report = make_report()
    assert report["cash_short"] == {"ira": "12.5"}
    assert report["notes"] == {"ira": ["one", "two"]}
    [note] = report["not_traded"]
    assert (note["account"], note["symbol"], note["amount"]) == ("ira", "BND", "0")
    assert report["inputs_hash"] == "abc"
    assert report["conflict"] == "Not all can be met: account joint needs 5.00; account 7 is none."


def test_an_empty_account_weighs_nothing():
    empty = {"id": "new", "tax_status": "TAX_FREE", "cash": "0"}
    accounts = [*make_case()["accounts"], empty]
    case = normalise_case({**make_case(), "accounts": accounts})
    named = build_named_book(case)
    index = named.account_ids.index("joint")
    answer = make_answer(build_named_book(normalise_case(make_case())))
    answer = Answer(
        **{n: getattr(answer, n) for n in Answer.__slots__} | {"plans": {}, "trades": {}}
    )
    report = describe_answer(named, answer, inputs_hash="")
    assert index == 2
    assert report["before"]["accounts"]["new"] == {
        "value": "0",
        "cash": "0",
        "cash_weight": "0",
        "classes": {},
        "securities": {},
    }
