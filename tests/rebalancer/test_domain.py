"""The plain rules of the decisions: life cycles, schedules, fills and the price of an execution."""

import itertools
from datetime import date, timedelta
from decimal import Decimal

import pytest

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer.domain.execution import (
    measure_amount,
    measure_daily_volatility,
    measure_expected_cost_bps,
    measure_fill_price,
    round_to_tick,
)
from rebalancer.domain.kinds import Schedule
from rebalancer.domain.lifecycle import (
    CLOSED_ORDER,
    CLOSED_PROPOSAL,
    OPEN_ORDER,
    OPEN_PROPOSAL,
    ORDER_TRANSITIONS,
    PROPOSAL_TRANSITIONS,
    OrderEvent,
    OrderStatus,
    ProposalEvent,
    ProposalStatus,
    TransitionRefused,
    advance_order,
    advance_proposal,
    advance_slice,
    follow_late,
)
from rebalancer.domain.schedule import CronLineRefused, check_cron_line, find_latest_look
from robo.common.market_calendar import list_sessions
from tests.rebalancer.cases import policy

D = Decimal
NYSE = list_sessions("XNYS")


# --- Life cycles ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transitions", "statuses", "events", "start", "advance"),
    [
        (
            PROPOSAL_TRANSITIONS,
            ProposalStatus,
            ProposalEvent,
            ProposalStatus.PENDING,
            advance_proposal,
        ),
        (ORDER_TRANSITIONS, OrderStatus, OrderEvent, OrderStatus.NEW, advance_order),
    ],
    ids=["proposal", "order"],
)
def test_every_state_is_reached_and_only_listed_steps_are_taken(
    transitions, statuses, events, start, advance
):
    reached, edge = {start}, {start}
    while edge:
        edge = {
            after for (before, _event), after in transitions.items() if before in edge
        } - reached
        reached |= edge
    assert reached == set(statuses)
    for status, event in itertools.product(statuses, events):
        if (status, event) in transitions:
            assert advance(status, event) is transitions[status, event]
        else:
            with pytest.raises(TransitionRefused, match=f"{event} is not possible while {status}"):
                advance(status, event)


def test_closed_is_what_nothing_leads_out_of():
    assert {
        ProposalStatus.COMPLETED,
        ProposalStatus.COMPLETED_ADJUSTED,
        ProposalStatus.REJECTED,
        ProposalStatus.EXPIRED,
        ProposalStatus.SUPERSEDED,
    } == CLOSED_PROPOSAL
    assert {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
    } == CLOSED_ORDER
    assert set(OrderStatus) == OPEN_ORDER | CLOSED_ORDER
    assert set(ProposalStatus) == OPEN_PROPOSAL | CLOSED_PROPOSAL


def test_nothing_is_sent_without_an_approval_or_a_block():
    before_execution = {
        status for (status, _e), after in PROPOSAL_TRANSITIONS.items() if after == "EXECUTING"
    }
    assert before_execution == {ProposalStatus.APPROVED}
    from_new = {after for (status, _e), after in ORDER_TRANSITIONS.items() if status == "NEW"}
    assert from_new == {"SUBMITTING", "CANCELLED", "EXPIRED"}
    with pytest.raises(TransitionRefused):
        advance_order(OrderStatus.SUBMITTING, OrderEvent.CLAIM)


def test_a_slice_that_was_released_may_turn_out_to_be_at_the_broker():
    assert advance_slice(OrderStatus.NEW, OrderEvent.FILL_PART) == OrderStatus.PARTIALLY_FILLED
    with pytest.raises(TransitionRefused):
        advance_order(OrderStatus.NEW, OrderEvent.FILL_PART)


@pytest.mark.parametrize("status", sorted(CLOSED_ORDER))
def test_after_the_end_only_fills_change_a_state_and_closed_it_stays(status):
    whole = follow_late(status, is_full=True)
    part = follow_late(status, is_full=False)
    assert whole == OrderStatus.FILLED
    assert part == (OrderStatus.CANCELLED if status == OrderStatus.FILLED else status)
    assert follow_late(part, is_full=True) == OrderStatus.FILLED


def test_what_is_open_does_not_end_by_a_late_word():
    with pytest.raises(TransitionRefused):
        follow_late(OrderStatus.SUBMITTED, is_full=True)


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="LOST"):
        advance_order("LOST", OrderEvent.CLAIM)


# --- Schedules --------------------------------------------------------------------------------


def look(schedule, day, cron_line=""):
    return find_latest_look(
        schedule=schedule, cron_line=cron_line, sessions=NYSE, market_date=date.fromisoformat(day)
    )


@pytest.mark.parametrize(
    ("schedule", "day", "session", "key"),
    [
        (Schedule.DAILY, "2026-11-20", "2026-11-20", "2026-11-20"),
        (Schedule.DAILY, "2026-11-22", "2026-11-20", "2026-11-20"),  # a Sunday
        (Schedule.DAILY, "2026-11-26", "2026-11-25", "2026-11-25"),  # Thanksgiving
        (Schedule.MONTHLY, "2026-11-20", "2026-11-02", "MONTHLY-2026-11"),  # 1 November: Sunday
        (Schedule.MONTHLY, "2026-11-01", "2026-10-01", "MONTHLY-2026-10"),
        (Schedule.QUARTERLY, "2026-11-20", "2026-10-01", "QUARTERLY-2026-10"),
        (Schedule.QUARTERLY, "2026-01-01", "2025-10-01", "QUARTERLY-2025-10"),  # New Year
        (Schedule.QUARTERLY, "2026-01-02", "2026-01-02", "QUARTERLY-2026-01"),
        (Schedule.ANNUAL, "2026-11-20", "2026-01-02", "ANNUAL-2026-01"),
        (Schedule.ANNUAL, "2026-01-01", "2025-01-02", "ANNUAL-2025-01"),
    ],
)
def test_a_look_falls_on_the_first_session_of_its_period(schedule, day, session, key):
    found = look(schedule, day)
    assert (found.session, found.period_key) == (date.fromisoformat(session), key)


@pytest.mark.parametrize(
    ("cron_line", "day", "session"),
    [
        ("0 18 15 * *", "2026-11-20", "2026-11-16"),  # the 15th is a Sunday
        ("0 18 15 * *", "2026-11-15", "2026-10-15"),  # its session has not come yet
        ("0 0 21 11 *", "2026-11-20", "2025-11-21"),  # midnight tomorrow is not today
        ("30 9 * * MON", "2026-11-20", "2026-11-16"),
        ("0 9 26 11 *", "2026-11-26", "2025-11-26"),  # Thanksgiving: the session after is not here
        ("0 9 26 11 *", "2026-11-27", "2026-11-27"),
        ("0 9 29 2 *", "2026-11-20", "2024-02-29"),
    ],
)
def test_a_cron_day_without_a_session_moves_to_the_next_one(cron_line, day, session):
    found = look(Schedule.CRON, day, cron_line)
    assert found.session == date.fromisoformat(session)
    assert found.period_key == f"CRON-{session}"


@pytest.mark.parametrize("schedule", list(Schedule))
def test_nothing_is_due_before_the_first_session(schedule):
    early = (NYSE[0] - timedelta(days=1)).isoformat()
    assert look(schedule, early, "0 9 * * *") is None


@pytest.mark.parametrize(
    ("schedule", "count"),
    [
        (Schedule.DAILY, 251),  # as the exchange counts 2026
        (Schedule.MONTHLY, 12),
        (Schedule.QUARTERLY, 4),
        (Schedule.ANNUAL, 1),
    ],
)
def test_a_year_of_evenings_has_one_look_each_period(schedule, count):
    days = [date(2026, 1, 2) + timedelta(days=n) for n in range(364)]
    looks = [look(schedule, day.isoformat()) for day in days]
    assert len({found.period_key for found in looks}) == count
    assert all(found.session <= day for found, day in zip(looks, days, strict=True))
    assert [found.session for found in looks] == sorted(found.session for found in looks)
    # After months without a worker, only the newest look is made up for: there is one answer.
    assert looks[-1] == look(schedule, "2026-12-31")


@pytest.mark.parametrize(
    "line", ["", "* * *", "61 * * * *", "0 9 31 2 *", "every day", "0 9 * * *; rm -rf"]
)
def test_bad_cron_lines_are_refused_by_name(line):
    with pytest.raises(CronLineRefused, match=r"'.*'"):
        check_cron_line(line)


def test_good_cron_lines_are_accepted():
    check_cron_line("0 18 1 */3 *")


# --- Policies ---------------------------------------------------------------------------------


def test_a_fingerprint_follows_every_term():
    terms = policy()
    assert terms.fingerprint() == policy().fingerprint()
    assert terms.fingerprint() != policy(band_floor=D("0.02")).fingerprint()


# --- Executions -------------------------------------------------------------------------------


def test_the_half_spread_is_always_against_us():
    price, spread = D("100"), D("2")
    bought = measure_fill_price(side=Side.BUY, price=price, half_spread_bps=spread)
    sold = measure_fill_price(side=Side.SELL, price=price, half_spread_bps=spread)
    assert (bought, sold) == (D("100.02"), D("99.98"))
    assert measure_fill_price(side=Side.BUY, price=price, half_spread_bps=ZERO) == price
    assert measure_amount(quantity=D("0.333"), fill_price=bought) == D("33.31")


def test_the_expected_cost_is_half_the_spread_and_the_square_root_of_the_size():
    # 2 bp and 1.5 % a day: methods.md gives 17.0 bp for 1 % of a day's volume, 49.43 for 10 %.
    terms = {
        "half_spread_bps": D(2),
        "daily_volume": D(1_000_000),
        "yearly_volatility": D("0.015") * D(252).sqrt(),
    }
    assert measure_expected_cost_bps(quantity=D(10_000), **terms) == D("17.0000")
    assert round(measure_expected_cost_bps(quantity=D(100_000), **terms), 2) == D("49.43")
    assert measure_expected_cost_bps(quantity=D(1), **terms | {"daily_volume": None}) == 2
    assert measure_daily_volatility(terms["yearly_volatility"]) == D("0.015")
    assert measure_daily_volatility(None) is None


@pytest.mark.parametrize(
    ("price", "up", "down"),
    [
        ("100", "100", "100"),
        ("100.001", "100.01", "100"),
        ("0.55555", "0.5556", "0.5555"),
        ("1", "1", "1"),
    ],
)
def test_a_limit_is_in_ticks(price, up, down):
    assert round_to_tick(D(price), up=True) == D(up)
    assert round_to_tick(D(price), up=False) == D(down)
