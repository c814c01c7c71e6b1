"""What must hold of every plan, whatever the engine is given."""

import itertools
import json
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portfolios.domain.kinds import Side
from portfolios.domain.lots import is_long_term
from rebalancer.domain.kinds import BandLevel, Destination, Mode
from rebalancer.engine.book import NO_SELL, build_book
from rebalancer.engine.case.store import read_case, write_case
from rebalancer.engine.columns import from_units
from tests.rebalancer import cases
from tests.rebalancer.cases import open_accounts, pick_lots, random_books, solve

D = Decimal
moves = st.sampled_from(list(Mode))
# What these modes are asked not to sell, they do not sell for want of cash either.
NO_SALES = {Mode.BUY_ONLY, Mode.HARVEST_ONLY}
seeds = st.integers(0, 2**32 - 1)


def facts_of(answer):
    """Return everything that a proposal would store of a plan."""
    return (answer.plan, answer.short_by, answer.notes)


@settings(max_examples=25, deadline=None)
@given(random_books())
def test_every_plan_passes_the_exact_gate(book):
    for is_flow in (False, True):
        for account in open_accounts(book):
            for mode in Mode:
                answer = solve(book, account, mode, is_flow=is_flow)  # the gate refuses the rest
                assert answer.plan.cash_after >= 0


@settings(max_examples=25, deadline=None)
@given(random_books(), moves)
def test_only_what_is_held_is_sold_and_only_what_is_wanted_is_bought(book, move):
    for account in open_accounts(book):
        answer = solve(book, account, move)
        assert len(answer.trades) == len(answer.plan.trades)  # one trade in a security
        for trade in answer.plan.trades:
            security = book.index_of_security[trade.security.security_id]
            if trade.side is Side.BUY:
                assert answer.targets.weights[account, security] > 0
            else:
                held = from_units(book.held_units[account, security], 10**8)
                assert sum(lot.quantity for lot in trade.lots) == trade.quantity <= held


@settings(max_examples=25, deadline=None)
@given(random_books(), st.sampled_from([mode for mode in Mode if mode not in NO_SALES]))
def test_cash_falls_short_only_when_nothing_more_may_be_sold(book, move):
    for account in open_accounts(book):
        answer = solve(book, account, move)
        required = D(str(round(answer.targets.required_cash[account], 2)))
        short_by = max(required - answer.plan.cash_after, D(0))
        assert short_by == answer.short_by
        if short_by:
            after = cases.apply_plan(book, account, answer.plan)
            locks = after.locks_of(0)
            for security in np.flatnonzero(after.held_units[0]):
                is_worthless = after.held_values[0, security] < 0.01
                assert locks.get(int(security), 0) & NO_SELL or is_worthless


# --- The same inputs, the same answer -------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(random_books(), seeds)
def test_the_order_of_rows_never_matters(book, seed):
    dice = random.Random(seed)
    parts = {
        "price_date": book.price_date,
        "securities": list(book.securities),
        "models": [
            replace(model, weights=tuple(dice.sample(model.weights, len(model.weights))))
            for model in book.models
        ],
        "policies": list(book.policies),
        "households": list(book.households),
        "accounts": cases.list_accounts(book),
        "lots": cases.list_lots(book),
        "locks": cases.list_locks(book),
    }
    for rows in parts.values():
        if isinstance(rows, list):
            dice.shuffle(rows)
    shuffled = build_book(**parts)
    for account, move in itertools.product(open_accounts(book), Mode):
        assert facts_of(solve(shuffled, account, move)) == facts_of(solve(book, account, move))


@settings(max_examples=20, deadline=None)
@given(random_books(account_count=3))
def test_an_account_alone_gets_the_answer_it_gets_among_others(book):
    for account, move in itertools.product(open_accounts(book), Mode):
        row = cases.list_accounts(book)[account]
        alone = cases.rebuild(
            book,
            accounts=[row],
            lots=[lot for lot in cases.list_lots(book) if lot.account_id == row.account_id],
            locks=[lock for lock in cases.list_locks(book) if lock.account_id == row.account_id],
        )
        assert facts_of(solve(alone, 0, move)) == facts_of(solve(book, account, move))


# Securities neither held nor wanted that link two which are.
@example(cases.make_random_book(random.Random(68)), False)
@example(cases.make_random_book(random.Random(4428)), False)
@settings(max_examples=25, deadline=None)
@given(random_books(), st.booleans())
def test_a_stored_case_solves_to_the_very_same_plan(book, is_flow):
    """But for the numbers of rows, which the case does not keep."""
    for account, move in itertools.product(open_accounts(book), Mode):
        case = json.loads(json.dumps(write_case(book, [account])))
        again = read_case(case)
        expected = solve(book, account, move, is_flow=is_flow)
        found = solve(again, 0, move, is_flow=is_flow)
        assert found.short_by == expected.short_by
        assert found.plan.cash_after == expected.plan.cash_after
        assert [_describe(trade) for trade in found.plan.trades] == [
            _describe(trade) for trade in expected.plan.trades
        ]


def _describe(trade):
    lots = [(lot.quantity, lot.cost, lot.gain, lot.tax) for lot in trade.lots]
    return trade.security.symbol, trade.side, trade.quantity, trade.amount, trade.reason, lots


# --- Nearer the target, and quiet there -----------------------------------------------------


def rounding_allowance(answer):
    """Return how far rounding alone may leave an account from its target, as a weight.

    A trade stops within one step of what is wanted, or within the smallest trade. What a buy falls
    short of its target stays in cash, so each counts once in half the sum of distances. The spread
    is paid from cash, and every amount is rounded to a cent.
    """
    book, value = answer.book, float(answer.book.values[answer.account])
    least = float(book.policies[0].min_trade_amount)
    steps = [max(float(row.share_step * row.price), least) for row in book.securities]
    cost = sum(float(trade.cost) for trade in answer.plan.trades)
    return (sum(steps) + 2 * cost + 0.01 * len(steps)) / value


@settings(max_examples=25, deadline=None)
@given(random_books(with_locks=False))
def test_going_to_target_never_ends_further_away_than_rounding_explains(book):
    for account in open_accounts(book):
        answer = solve(book, account, Mode.FULL)
        before = float(answer.drift.drift_total[account])
        if not answer.short_by:
            assert answer.drift_after() <= before + rounding_allowance(answer) + 1e-9


@settings(max_examples=25, deadline=None)
@given(random_books(with_locks=False, is_smooth=True))
def test_without_friction_the_target_is_met(book):
    for account in open_accounts(book):
        answer = solve(book, account, Mode.FULL)
        wanted = answer.drift.rows_of(answer.level).targets[account]
        # Each amount is rounded to a cent; a trade of less than one is not made.
        allowance = 1e-6 + 0.01 * (len(book.securities) + 1) / book.values[account]
        assert np.abs(answer.rows_after() - wanted).max() <= allowance


@settings(max_examples=25, deadline=None)
@given(random_books(with_locks=False, min_trade_amount=D(1000)))
def test_an_executed_plan_leaves_nothing_to_do(book):
    """Without tax or spread, and with steps below the smallest trade, the second plan is empty.

    It may only let go of a whole holding, which is sold however small it is.
    """
    free = [
        replace(row, half_spread_bps=D(0), share_step=min(row.share_step, D(1)))
        for row in book.securities
    ]
    book = cases.rebuild(
        book, securities=free, accounts=cases.list_accounts(book, is_taxable=False)
    )
    for account in open_accounts(book):
        answer = solve(book, account, Mode.FULL)
        after = cases.apply_plan(book, account, answer.plan)
        if not open_accounts(after):
            continue
        for trade in solve(after, 0, Mode.FULL).plan.trades:
            assert (trade.side, trade.amount < 1000) == (Side.SELL, True)


@settings(max_examples=20, deadline=None)
@given(random_books(with_locks=False, min_trade_amount=D(1000)))
def test_what_a_second_plan_trades_is_bounded_by_what_the_first_one_cost(book):
    """The spread makes the account smaller, so targets move by at most the cost of the plan.

    Beyond that, whole steps and smallest trades may leave up to one of each too much or too little.
    """
    step = max(row.share_step * row.price for row in book.securities)
    book = cases.rebuild(book, accounts=cases.list_accounts(book, is_taxable=False))
    for account in open_accounts(book):
        first = solve(book, account, Mode.FULL)
        after = cases.apply_plan(book, account, first.plan)
        if not open_accounts(after) or first.short_by:
            continue
        cost = sum(trade.cost for trade in first.plan.trades)
        second = solve(after, 0, Mode.FULL)
        for trade in second.plan.trades:
            is_crumb = trade.quantity < trade.security.share_step
            assert is_crumb or trade.amount <= 2 * cost + 2 * step + 2000


@settings(max_examples=20, deadline=None)
@given(random_books(with_locks=False, is_smooth=True, account_count=1))
def test_ten_times_the_money_is_ten_times_the_trades(book):
    [row] = cases.list_accounts(book)
    tenfold = cases.rebuild(
        book,
        accounts=[replace(row, cash=row.cash * 10)],
        lots=[
            replace(lot, quantity=lot.quantity * 10, cost=lot.cost * 10)
            for lot in cases.list_lots(book)
        ],
        securities=[replace(row, share_step=row.share_step * 10) for row in book.securities],
    )
    for account, move in itertools.product(open_accounts(book), Mode):
        one, ten = solve(book, account, move), solve(tenfold, account, move)
        prices = {row.symbol: row.price for row in book.securities}
        for symbol, price in prices.items():
            gap = ten.trades.get(symbol, D(0)) - 10 * one.trades.get(symbol, D(0))
            # Floats decide: polishing stops where it gains less than a billionth of the value.
            noise = D(str(tenfold.values[account])) * D("0.0001")
            assert abs(gap * price) <= D("0.2") * (len(prices) + 1) + noise


# --- Band edges -----------------------------------------------------------------------------


def turnover_of(answer):
    """Return what changed places at the policy's level, cash included, as a weight."""
    before = answer.drift.rows_of(answer.level).weights[answer.account]
    return float(np.abs(answer.rows_after() - before).sum() / 2)


def least_turnover(answer):
    """Return the least one-way turnover into all bands, in weight: a linear programme's answer."""
    from scipy.optimize import linprog

    rows, a = answer.drift.rows_of(answer.level), answer.account
    count = rows.weights.shape[1]
    solved = linprog(
        np.concatenate([np.ones(count), np.ones(count)]) / 2,  # bought and sold, both counted
        A_eq=np.concatenate([np.ones(count), -np.ones(count)])[None, :],
        b_eq=[1 - rows.weights[a].sum()],
        A_ub=np.block([[np.eye(count), -np.eye(count)], [-np.eye(count), np.eye(count)]]),
        b_ub=np.concatenate([rows.high[a] - rows.weights[a], rows.weights[a] - rows.low[a]]),
    )
    assert solved.success, solved.message
    return float(solved.fun)


@settings(max_examples=25, deadline=None)
@given(
    random_books(
        with_locks=False,
        is_smooth=True,
        account_count=1,
        band_level=BandLevel.SECURITY,
        destination=Destination.BAND_EDGE,
    )
)
def test_the_way_to_the_edge_is_the_shortest_there_is(book):
    # Every security is wanted: what is not has to leave, however long the way.
    count = len(book.securities)
    weight = (D("0.95") / count).quantize(D("0.00000001"))
    weights = [(n, str(weight)) for n in range(1, count + 1)]
    book = cases.rebuild(book, models=[cases.model(str(1 - weight * count), *weights)])
    for account in open_accounts(book):
        edge = solve(book, account, Mode.BAND_EDGE)
        rows = edge.drift.rows_of(edge.level)
        allowance = 1e-6 + 0.02 * (count + 1) / book.values[account]
        assert turnover_of(edge) <= least_turnover(edge) + allowance
        assert (edge.rows_after() >= rows.low[account] - allowance).all()
        assert (edge.rows_after() <= rows.high[account] + allowance).all()


@settings(max_examples=20, deadline=None)
@given(random_books(with_locks=False, is_smooth=True, band_level=BandLevel.SECURITY))
def test_going_to_the_edge_never_turns_over_more_than_going_to_target(book):
    for account in open_accounts(book):
        edge, target = (solve(book, account, move) for move in (Mode.BAND_EDGE, Mode.FULL))
        allowance = 0.02 * len(book.securities) / book.values[account]
        assert turnover_of(edge) <= turnover_of(target) + allowance


# --- Lots -----------------------------------------------------------------------------------


def tax_of(book, units_by_lot):
    """Return the tax of selling so many whole shares of each lot, independently of the engine."""
    price = float(book.securities[0].price * (1 - book.securities[0].half_spread_bps / 10_000))
    account, tax = book.households[0], 0.0
    for lot, units in zip(cases.list_lots(book), units_by_lot, strict=True):
        long_term = is_long_term(acquired_date=lot.acquired_date, sold_date=book.price_date)
        rate = account.long_term_rate if long_term else account.short_term_rate
        tax += units * (price - float(lot.cost / lot.quantity)) * float(rate)
    return tax


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        # Older than any wash-sale window: else a loss is kept for its tax.
        st.tuples(st.integers(1, 5), st.integers(0, 150), st.integers(31, 900)),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_no_other_lots_would_cost_less_tax(rows, data):
    sold = data.draw(st.integers(1, sum(quantity for quantity, _cost, _age in rows)))
    book = cases.book(
        securities=[cases.security(1, "S1", "A", "50")],
        models=[cases.model("0.5", (1, "0.5"))],
        lots=[
            cases.lot(
                n,
                1,
                str(quantity),
                str(unit_cost * quantity),
                acquired=cases.TODAY - timedelta(days=age),
            )
            for n, (quantity, unit_cost, age) in enumerate(rows, start=1)
        ],
    )
    picks = {pick.lot_id: pick.units / 10**8 for pick in pick_lots(book, 0, 0, sold * 10**8)}
    chosen = tax_of(book, [picks.get(n, 0) for n in range(1, len(rows) + 1)])
    best = min(
        tax_of(book, units)
        for units in itertools.product(*(range(quantity + 1) for quantity, _c, _a in rows))
        if sum(units) == sold
    )
    assert chosen == pytest.approx(best, abs=1e-6)
