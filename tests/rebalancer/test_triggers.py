"""What makes an account due: schedules, bands, money that came or went, a new model; once each."""

import uuid
from datetime import date
from decimal import Decimal

import pytest

from accounts.operations.cash_needs import add_cash_need
from portfolios.models import CashBalance
from portfolios.operations import books
from rebalancer import models
from rebalancer.domain.kinds import Cause, CheckStatus
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.operations import policies
from rebalancer.queries.books import describe_policy
from rebalancer.queries.pages.looks import list_next_looks
from rebalancer.queries.work import DueLook, list_due_looks
from tests.rebalancer.world import DAY, make_world, publish

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
ON_TARGET = [
    ("USTM", "40", "3000", OLD),
    ("INTL", "50", "1900", OLD),
    ("BOND", "47", "3700", OLD),
]  # 4000 + 2000 + 3760 of 10,000 with 240 in cash
DRIFTED = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]


def checks_of(account) -> list[tuple[str, str, str]]:
    return list(
        models.Check.objects.filter(account=account)
        .order_by("id")
        .values_list("cause", "period_key", "status")
    )


def test_a_threshold_looks_every_session_and_acts_on_a_breach_only():
    world = make_world()
    calm, drifted = world.add_account("240", lots=ON_TARGET), world.add_account("0", lots=DRIFTED)
    world.look()
    world.look()
    assert checks_of(calm) == [(Cause.THRESHOLD, "2026-11-20", CheckStatus.QUIET)]
    assert checks_of(drifted) == [(Cause.THRESHOLD, "2026-11-20", CheckStatus.PROPOSED)]


def test_a_calendar_acts_without_a_breach_once_a_period():
    world = make_world(trigger="CALENDAR", schedule="MONTHLY", min_trade_amount=D("1"))
    account = world.add_account("1240", lots=ON_TARGET)
    world.look()
    assert checks_of(account) == [(Cause.CALENDAR, "MONTHLY-2026-11", CheckStatus.PROPOSED)]
    world.set_prices(date(2026, 11, 23))
    world.look(date(2026, 11, 23))
    assert len(checks_of(account)) == 1
    world.set_prices(date(2026, 12, 1))
    world.look(date(2026, 12, 1))
    assert checks_of(account)[1][1] == "MONTHLY-2026-12"


def test_combined_looks_on_its_schedule_and_acts_on_a_breach():
    world = make_world(trigger="COMBINED", schedule="CRON", cron_line="0 16 * * 5")
    calm, drifted = world.add_account("240", lots=ON_TARGET), world.add_account("0", lots=DRIFTED)
    world.set_prices(date(2026, 11, 24))
    world.look(date(2026, 11, 24))  # a Tuesday: the newest look is last Friday's
    assert checks_of(calm) == [(Cause.COMBINED, "CRON-2026-11-20", CheckStatus.QUIET)]
    assert checks_of(drifted)[0][2] == CheckStatus.PROPOSED
    world.set_prices(date(2026, 11, 25))
    world.look(date(2026, 11, 25))
    assert len(checks_of(calm)) == 1


@pytest.mark.parametrize(("trigger", "cause"), [("RISK", Cause.RISK), ("ECONOMIC", Cause.ECONOMIC)])
def test_risk_and_gain_are_looked_at_every_session_whatever_the_schedule(trigger, cause):
    world = make_world(trigger=trigger, schedule="ANNUAL")
    account = world.add_account("240", lots=ON_TARGET)
    for day in (DAY, date(2026, 11, 23)):
        found = list_due_looks(firm_id=world.firm.pk, price_date=day)
        assert found == [DueLook(account.pk, cause, day.isoformat())]
    assert list_next_looks(
        terms=describe_policy(world.policy), exchange="XNYS", after=DAY, count=2
    ) == [date(2026, 11, 23), date(2026, 11, 24)]


def test_after_downtime_only_the_newest_missed_look_is_made_up():
    world = make_world()
    account = world.add_account("240", lots=ON_TARGET)
    for day in (23, 24, 25):
        world.set_prices(date(2026, 11, day))
    world.look(date(2026, 11, 25))
    assert [key for _cause, key, _status in checks_of(account)] == ["2026-11-25"]


def test_a_deposit_is_looked_at_once_and_put_to_work_without_selling():
    world = make_world(trigger="COMBINED", schedule="ANNUAL")
    account = world.add_account("240", lots=ON_TARGET)
    world.look()
    books.deposit_cash(
        account_id=account.pk,
        amount=D("1000"),
        entry_date=DAY,
        token=uuid.uuid4(),
        actor_id=world.admin.pk,
    )
    world.look()
    world.look()
    cause, _key, status = checks_of(account)[-1]
    assert (cause, status) == (Cause.CASH_FLOW, CheckStatus.PROPOSED)
    assert len(checks_of(account)) == 2
    proposal = models.Proposal.objects.get(account=account, status=ProposalStatus.PENDING)
    assert set(proposal.trades.values_list("side", flat=True)) == {"BUY"}
    world.approve(proposal)
    world.trade()
    # The model holds two percent in cash; whole shares leave a little more.
    assert CashBalance.objects.get(account=account).amount < D("360")


def test_a_cash_need_inside_the_horizon_is_raised():
    world = make_world()
    account = world.add_account("240", lots=ON_TARGET)
    add_cash_need(
        account_id=account.pk,
        amount=D("2500"),
        due_date=date(2026, 12, 10),
        purpose="School fees",
        actor_id=world.admin.pk,
    )
    world.look()
    proposal = models.Proposal.objects.get(account=account)
    assert set(proposal.trades.values_list("side", flat=True)) == {"SELL"}
    assert proposal.cash_after >= D("2500")
    world.approve(proposal)
    world.trade()
    assert CashBalance.objects.get(account=account).amount >= D("2500")


def test_a_cash_need_beyond_the_horizon_is_left_alone():
    world = make_world()
    account = world.add_account("240", lots=ON_TARGET)
    add_cash_need(
        account_id=account.pk,
        amount=D("2500"),
        due_date=date(2027, 6, 1),
        purpose="A journey",
        actor_id=world.admin.pk,
    )
    world.look()
    assert checks_of(account)[0][2] == CheckStatus.QUIET


def test_a_new_model_version_is_looked_at_once():
    world = make_world(trigger="COMBINED", schedule="ANNUAL")
    account = world.add_account("240", lots=ON_TARGET)
    world.look()
    publish(
        world.firm,
        world.model_id,
        world.security_ids,
        {"USTM": "0.20", "INTL": "0.20", "BOND": "0.58"},
        author=world.admin,
        publisher=world.other_admin,
    )
    world.look()
    world.look()
    cause, _key, status = checks_of(account)[-1]
    assert (cause, status) == (Cause.MODEL_CHANGE, CheckStatus.PROPOSED)
    assert len(checks_of(account)) == 2


def test_what_is_back_inside_its_bands_needs_no_decision_any_more():
    world = make_world()
    account = world.add_account("240", lots=[("USTM", "52", "3000", OLD), *ON_TARGET[1:]])
    world.look()
    assert models.Proposal.objects.get(account=account).status == ProposalStatus.PENDING
    world.set_prices(date(2026, 11, 23), USTM="88")
    world.look(date(2026, 11, 23))
    proposal = models.Proposal.objects.get(account=account)
    assert (proposal.status, proposal.close_reason) == (
        ProposalStatus.EXPIRED,
        "The account is back inside its bands.",
    )


def test_a_missing_price_blocks_the_account_and_names_the_security():
    world = make_world()
    account = world.add_account("240", lots=ON_TARGET)
    world.firm.refresh_from_db()
    world.set_prices(date(2026, 12, 1), BOND="nan")  # the last good one is more than 5 days old
    world.look(date(2026, 12, 1))
    check = models.Check.objects.get(account=account)
    assert check.status == CheckStatus.BLOCKED
    assert check.reason == "no usable price for BOND on 2026-12-01"
    assert not models.Proposal.objects.exists()


def test_an_account_without_a_policy_in_force_is_not_looked_at():
    world = make_world()
    account = world.add_account("0", lots=DRIFTED)
    policies.save_policy(
        policy_id=world.policy.pk,
        firm_id=world.firm.pk,
        user_id=world.admin.pk,
        values={"is_active": False},
    )
    world.look()
    assert checks_of(account) == []


def test_to_the_band_edge_moves_less_than_to_the_target():
    turnover = {}
    for destination in ("TARGET", "BAND_EDGE"):
        world = make_world(destination=destination)
        account = world.add_account("100", lots=DRIFTED)
        world.look()
        proposal = models.Proposal.objects.get(account=account)
        turnover[destination] = proposal.turnover_amount
        for row in proposal.classes:
            assert D(row["low"]) - D("0.02") <= D(row["after"]) <= D(row["high"]) + D("0.02")
    assert turnover["BAND_EDGE"] < turnover["TARGET"]
