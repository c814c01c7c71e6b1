"""The engine behind the road: checks by risk and benefit, hurdles, households solved together."""

from datetime import date
from decimal import Decimal

import pytest

from accounts.domain.roles import TaxStatus
from accounts.models import Household
from portfolios.models import Security
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus, Mode, Path
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.operations import proposals
from rebalancer.operations.approvals import list_changes_since
from rebalancer.operations.solving import Wanted, read_wanted
from robo.common.errors import Refused
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
ON_TARGET = [("USTM", "40", "3000", OLD), ("INTL", "50", "1900", OLD), ("BOND", "47", "3700", OLD)]
SKEWED = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
GAINLESS = [("USTM", "80", "7900", OLD), ("BOND", "10", "900", OLD)]
OFF = [("USTM", "48", "4700", OLD), ("INTL", "50", "1900", OLD), ("BOND", "37", "2950", OLD)]


def give_volatility(world, value="0.16"):
    Security.objects.filter(firm=world.firm).update(volatility=D(value))


def the_check(account) -> models.Check:
    return models.Check.objects.get(account=account)


def test_a_tracking_error_above_its_limit_calls_for_trades():
    world = make_world(trigger="RISK", tracking_error_max=D("0.01"))
    give_volatility(world)
    calm, risky = world.add_account("240", lots=ON_TARGET), world.add_account("240", lots=OFF)
    world.look()
    # Independent funds of 16 % each: the root of the sum of squared distances, times 16 %.
    distances = [D("4800") / 10000 - D("0.40"), 0, D("2960") / 10000 - D("0.38")]
    expected = D("0.16") * sum(d * d for d in distances).sqrt()
    assert the_check(risky).tracking_error == pytest.approx(expected, abs=D("1e-6"))
    assert the_check(risky).status == CheckStatus.PROPOSED
    assert the_check(calm).status == CheckStatus.QUIET
    assert "limit 1.00%" in the_check(calm).reason


def test_without_any_measure_of_risk_the_check_says_which_security_lacks_it():
    world = make_world(trigger="RISK")
    account = world.add_account("240", lots=OFF)
    world.look()
    assert the_check(account).status == CheckStatus.BLOCKED
    assert "the risk of" in the_check(account).reason


def test_the_economic_trigger_compares_the_gain_with_the_hurdle_and_keeps_both():
    patient = make_world(trigger="ECONOMIC", willingness=D("0.025"), hurdle_bps=D("50"))
    account = patient.add_account("240", lots=OFF)
    patient.look()
    check = the_check(account)
    assert check.status == CheckStatus.QUIET
    assert 0 < D(check.certificate["gain"]) < D(check.certificate["hurdle"]) == D("50.00")

    eager = make_world(trigger="ECONOMIC", willingness=D("0.025"), hurdle_bps=D("1"))
    other = eager.add_account("240", lots=OFF)
    eager.look()
    assert the_check(other).status == CheckStatus.PROPOSED
    assert D(the_check(other).proposals.get().certificate["gain"]) > 1


def test_a_breach_whose_best_plan_is_within_the_hurdle_gets_no_proposal_but_its_numbers():
    world = make_world(absolute_band=D("0.02"), willingness=D("0.025"), hurdle_bps=D("50"))
    account = world.add_account("240", lots=OFF)
    world.look()
    check = the_check(account)
    assert (check.status, check.is_breached) == (CheckStatus.NO_TRADE, True)
    assert "not more than the hurdle of 50.00" in check.reason
    assert D(check.certificate["nothing"]["total"]) > D(check.certificate["plan"]["total"])


def test_the_proposal_keeps_its_certificate_and_reasons():
    world = make_world()
    account = world.add_account(
        "240", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
    )
    world.look()
    proposal = models.Proposal.objects.get(account=account)
    certificate = proposal.certificate
    assert D(certificate["bound"]) <= D(certificate["plan"]["total"])
    assert D(certificate["plan"]["total"]) < D(certificate["nothing"]["total"])
    assert proposal.path in {Path.ACCOUNT, Path.NETTED}
    assert all(trade.rule and trade.next_best for trade in proposal.trades.all())
    assert sum(trade.drift_removed_amount for trade in proposal.trades.all()) > 0


@pytest.fixture
def together():
    """A household of two accounts managed as one; what one lacks the other has."""
    world = make_world()
    Household.objects.filter(pk=world.household.pk).update(is_together=True)
    accounts = [
        world.add_account("240", lots=[("USTM", "90", "8900", OLD)]),
        world.add_account(
            "240",
            lots=[("BOND", "90", "7000", OLD), ("INTL", "50", "1900", OLD)],
            tax_status=TaxStatus.TAX_DEFERRED,
        ),
    ]
    return world, accounts


def test_accounts_managed_together_are_measured_and_solved_together(together):
    world, accounts = together
    world.look()
    rows = [models.Proposal.objects.get(account=account) for account in accounts]
    assert {row.path for row in rows} == {Path.HOUSEHOLD}
    assert rows[0].household_plan == rows[1].household_plan
    assert [row.drift_after for row in rows] == [rows[0].drift_after] * 2
    assert rows[0].drift_after < rows[0].drift_before
    # Each alone would be far off its target; together they only have to move a little.
    assert sum(row.turnover_amount for row in rows) < D("6000")
    assert {len(row.inputs["accounts"]) for row in rows} == {2}


def test_a_sibling_whose_trades_are_done_first_leaves_the_other_proposal_standing(together):
    world, accounts = together
    world.look()
    first, second = (models.Proposal.objects.get(account=account) for account in accounts)
    world.approve(first)
    world.trade()
    first.refresh_from_db()
    assert first.status == ProposalStatus.COMPLETED
    world.approve(second)
    second.refresh_from_db()
    assert second.status == ProposalStatus.APPROVED


def test_another_mode_makes_a_fresh_proposal_whose_maker_may_not_approve_it():
    world = make_world()
    account = world.add_account(
        "2240", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
    )
    world.look()
    old = models.Proposal.objects.get(account=account)
    fresh = proposals.choose_alternative(
        proposal_id=old.pk,
        user_id=world.advisor.pk,
        wanted=Wanted(mode=Mode.BUY_ONLY),
        now=NOW,
    )
    assert {trade.side for trade in fresh.trades.all()} == {"BUY"}
    assert (fresh.mode, read_wanted(fresh.wanted).mode) == (Mode.BUY_ONLY, Mode.BUY_ONLY)
    assert fresh.proposed_by == world.advisor
    world.approve(fresh, world.colleague)
    fresh.refresh_from_db()
    assert fresh.status == ProposalStatus.APPROVED


def test_an_approved_budget_of_its_own_is_not_taken_for_a_change():
    world = make_world(willingness=D("0.5"))
    account = world.add_account(
        "240", lots=[("USTM", "80", "7900", OLD), ("BOND", "10", "900", OLD)]
    )
    world.look()
    fresh = proposals.choose_alternative(
        proposal_id=models.Proposal.objects.get(account=account).pk,
        user_id=world.advisor.pk,
        wanted=Wanted(gains_budget=D("50")),
        now=NOW,
    )
    assert sum(t.short_term_gain + t.long_term_gain for t in fresh.trades.all()) <= 50
    world.approve(fresh, world.colleague)
    fresh.refresh_from_db()
    assert fresh.status == ProposalStatus.APPROVED


def test_an_alternative_that_leaves_nothing_to_do_is_refused():
    world = make_world()
    account = world.add_account("0", lots=SKEWED)
    world.look()
    with pytest.raises(Refused, match="nothing worth trading"):
        proposals.choose_alternative(
            proposal_id=models.Proposal.objects.get(account=account).pk,
            user_id=world.advisor.pk,
            wanted=Wanted(mode=Mode.BUY_ONLY),
            now=NOW,
        )


def test_what_was_just_sold_at_a_loss_is_not_bought_back_by_another_account():
    """A wash sale across accounts: the taxable one lost on BOND today, the other lacks BOND."""
    world = make_world()
    seller = world.add_account("0", lots=[("BOND", "100", "12000", OLD)])
    world.look()
    world.approve(models.Proposal.objects.get(account=seller))
    world.trade()
    lacking = world.add_account(
        "0", lots=[("USTM", "90", "4000", OLD)], tax_status=TaxStatus.TAX_FREE
    )
    world.set_prices(date(2026, 11, 23))
    world.look(date(2026, 11, 23))
    proposal = models.Proposal.objects.get(account=lacking)
    bought = {t.security.symbol for t in proposal.trades.all() if t.side == "BUY"}
    assert "BOND" not in bought
    assert any("BOND would wash a loss just realised" in note for note in proposal.notes)
    assert date(2026, 11, 23) > DAY


def test_what_a_sibling_bought_lately_is_in_the_stored_case_of_each_account():
    """Both accounts are due at once: the purchase is a lot of the Book, and of one case only."""
    world = make_world()
    recent = date(2026, 11, 9)
    taxable = world.add_account("0", lots=[("USTM", "90", "11000", OLD), ("BOND", "2", "170", OLD)])
    sheltered = world.add_account(
        "0", lots=[("USTM", "90", "8900", recent)], tax_status=TaxStatus.TAX_FREE
    )
    world.look()
    proposal = models.Proposal.objects.filter(account=taxable).first()
    check = the_check(taxable)
    # The loss on USTM would be denied, so that the taxable account may not sell it.
    assert proposal is None
    assert check.status == CheckStatus.NO_TRADE
    other = models.Proposal.objects.get(account=sheltered)
    assert list_changes_since(other) == []
    assert [row["id"] for row in other.inputs["accounts"]] == [str(sheltered.pk)]
