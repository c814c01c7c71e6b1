"""Corporate actions and breaks on the road of a rebalance: what was approved no longer holds."""

from datetime import date
from decimal import Decimal

import pytest

from accounts.domain.roles import WishKind
from accounts.operations.firms import advance_simulated_date
from accounts.operations.wishes import record_wish
from portfolios import models as facts
from portfolios.domain.kinds import ActionKind, BreakKind
from portfolios.operations import breaks
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.engine.book import NO_BUY, NO_SELL
from rebalancer.operations import approvals, cycles
from rebalancer.queries.books import load_book
from tests.portfolios.actions import announce_action
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db
D = Decimal
OLD, NEXT = date(2020, 1, 2), date(2026, 11, 23)
LOTS = [("USTM", "60", "4000", OLD), ("BOND", "10", "900", OLD)]
ACTIONS = {
    ActionKind.SPLIT: ({"new_shares": 2, "old_shares": 1}, "50", "USTM splits 2 for 1"),
    ActionKind.REVERSE_SPLIT: ({"new_shares": 1, "old_shares": 4}, "400", "USTM splits 1 for 4"),
    ActionKind.SYMBOL_CHANGE: ({"new_symbol": "NEWT"}, None, "USTM is called NEWT"),
    ActionKind.CASH_DIVIDEND: ({"cash_per_share": D(30)}, "70", "USTM goes ex a dividend of 30"),
    ActionKind.CASH_MERGER: ({"cash_per_share": D("99.5")}, None, "USTM is bought out at 99.5"),
    ActionKind.DELISTING: ({}, None, "USTM is no longer listed"),
}


@pytest.fixture
def world(db):
    """Give an account far from its target, and the proposal that follows."""
    world = make_world()
    world.add_account("1000", lots=LOTS)
    world.look()
    return world


def find_proposal():
    return models.Proposal.objects.latest("id")


def announce(world, kind, terms):
    announce_action(
        firm_id=world.firm.pk,
        details=ActionDetails(world.security_ids["USTM"], kind, NEXT, **terms),
        market_date=DAY,
        actor_id=world.admin.pk,
    )


def let_the_day_come(world, price, *, is_applied):
    if price is None:
        advance_simulated_date(firm_id=world.firm.pk, simulated_date=NEXT)
    else:
        world.set_prices(NEXT, USTM=price)
    if is_applied:
        assert apply_actions(firm_id=world.firm.pk, on_date=NEXT) == 1


@pytest.mark.parametrize("is_applied", [False, True], ids=["due", "booked"])
@pytest.mark.parametrize("kind", ACTIONS)
def test_an_action_between_proposal_and_decision_lapses_it(world, kind, is_applied):
    terms, price, words = ACTIONS[kind]
    announce(world, kind, terms)
    proposal = find_proposal()
    assert approvals.list_changes_since(proposal) == []  # announced is not effective
    let_the_day_come(world, price, is_applied=is_applied)
    with pytest.raises(approvals.ProposalStale, match=words):
        world.approve(proposal)
    proposal.refresh_from_db()
    assert proposal.status != "APPROVED"
    assert not models.Order.objects.exists()
    assert check_books(world.firm.pk) == []


@pytest.mark.parametrize("is_applied", [False, True], ids=["due", "booked"])
@pytest.mark.parametrize("kind", ACTIONS)
def test_an_action_between_decision_and_sending_lapses_the_approval(world, kind, is_applied):
    terms, price, words = ACTIONS[kind]
    announce(world, kind, terms)
    proposal = find_proposal()
    world.approve(proposal)
    let_the_day_come(world, price, is_applied=is_applied)
    # This is what is asked before anything is sent.
    [first, *_rest] = approvals.list_changes_since(proposal)
    assert words in first


def test_an_action_on_another_security_changes_nothing(world):
    announce_action(
        firm_id=world.firm.pk,
        details=ActionDetails(
            world.security_ids["USLC"], ActionKind.SPLIT, NEXT, new_shares=2, old_shares=1
        ),
        market_date=DAY,
        actor_id=world.admin.pk,
    )
    world.set_prices(NEXT, USLC="25")
    world.approve(find_proposal())


def test_a_new_proposal_after_the_split_counts_in_new_shares(world):
    announce(world, ActionKind.SPLIT, {"new_shares": 2, "old_shares": 1})
    before = {t.security.symbol: t.quantity for t in find_proposal().trades.all()}
    let_the_day_come(world, "50", is_applied=True)
    with pytest.raises(approvals.ProposalStale):
        world.approve(find_proposal())
    fresh = find_proposal()
    after = {t.security.symbol: t.quantity for t in fresh.trades.all()}
    assert abs(after["USTM"] - 2 * before["USTM"]) <= 1
    assert after["INTL"] == before["INTL"]
    world.approve(fresh)


def test_an_account_does_not_trade_while_an_action_is_due_and_not_booked(world):
    announce(world, ActionKind.SPLIT, {"new_shares": 2, "old_shares": 1})
    let_the_day_come(world, "50", is_applied=False)
    book = load_book(firm_id=world.firm.pk, account_ids=[world.accounts[0].pk], price_date=NEXT)
    at = [row.symbol for row in book.securities].index("USTM")
    assert not book.prices[at] > 0
    world.look(NEXT)
    check = models.Check.objects.latest("id")
    assert "USTM" in check.reason


def test_the_cycle_books_what_is_due_before_it_looks(world):
    announce(world, ActionKind.SPLIT, {"new_shares": 2, "old_shares": 1})
    run = cycles.start_cycle(firm_id=world.firm.pk, user_id=world.admin.pk, price_date=DAY)
    cycles.run_cycle(cycle_run_id=run.pk, now=NOW)
    assert facts.Lot.objects.get(security__symbol="USTM").quantity == 60
    run = cycles.request_cycle(firm_id=world.firm.pk, user_id=world.admin.pk, move="NEXT_DAY")
    run = cycles.run_cycle(cycle_run_id=run.pk, now=NOW)
    # The simulated market splits the price with the shares, and no price is refused as a jump.
    assert run.figures["actions"] == 1
    assert run.figures["prices"] == 4
    assert not facts.RefusedPrice.objects.exists()
    lot = facts.Lot.objects.get(opened_by__kind="OPENING", security__symbol="USTM")
    assert lot.quantity == 120
    price = facts.Price.objects.get(security__symbol="USTM", price_date=NEXT).price
    assert 40 < price < 60
    assert check_books(world.firm.pk) == []


# --- Breaks --------------------------------------------------------------------------------------


def put_on_record(world, symbol):
    breaks.open_break(
        account_id=world.accounts[0].pk,
        security_id=world.security_ids[symbol] if symbol else None,
        kind=BreakKind.POSITION if symbol else BreakKind.CASH,
        source=f"recon:{symbol}",
        ours=D(0),
        theirs=D(1),
        note="",
    )


def load(world):
    book = load_book(firm_id=world.firm.pk, account_ids=[world.accounts[0].pk], price_date=DAY)
    names = [row.symbol for row in book.securities]
    return {names[key]: code for key, code in book.locks_of(0).items()}


def test_a_broken_security_is_locked_and_its_approval_lapses(world):
    assert load(world) == {}
    put_on_record(world, "USTM")
    assert load(world) == {"USTM": NO_BUY | NO_SELL}
    with pytest.raises(approvals.ProposalStale):
        world.approve(find_proposal())
    fresh = models.Proposal.objects.filter(status="PENDING").latest("id")
    assert "USTM" not in {trade.security.symbol for trade in fresh.trades.all()}


def test_with_cash_in_doubt_nothing_is_bought(world):
    put_on_record(world, None)
    assert set(load(world).values()) == {NO_BUY}
    assert len(load(world)) == 4
    with pytest.raises(approvals.ProposalStale):
        world.approve(find_proposal())
    pending = models.Proposal.objects.filter(status="PENDING")
    assert not models.Trade.objects.filter(proposal__in=pending, side="BUY").exists()


def test_wishes_and_caps_follow_a_change_of_symbol(world):
    record_wish(
        household_id=world.household.pk,
        kind=WishKind.NEVER_SELL,
        subject="USTM",
        actor_id=world.advisor.pk,
    )
    models.Policy.objects.filter(pk=world.policy.pk).update(
        caps=[{"kind": "SECURITY", "name": "USTM", "max_weight": "0.5"}]
    )
    announce(world, ActionKind.SYMBOL_CHANGE, {"new_symbol": "NEWT"})
    apply_actions(firm_id=world.firm.pk, on_date=NEXT)
    assert load(world) == {"NEWT": NO_SELL}
    book = load_book(firm_id=world.firm.pk, account_ids=[world.accounts[0].pk], price_date=DAY)
    [policy] = book.policies
    assert [cap.name for cap in policy.caps] == ["NEWT"]
