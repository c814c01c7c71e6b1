"""Cases made for seeded bugs that no single process can come upon: races, strangers, bad prices."""

import json
import threading
import uuid
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from types import ModuleType
from typing import Any
from unittest import mock

import time_machine
from django.db import connections, transaction
from django.test import Client, override_settings
from django.urls import path

from accounts.domain.roles import Role
from portfolios.domain.kinds import ActionKind, Side
from portfolios.domain.pricing import Quote
from portfolios.models import Holding, Lot
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.operations.fills import FillToBook, book_fills
from portfolios.operations.prices import record_prices
from portfolios.queries import taxes
from rebalancer import api, models, tasks
from rebalancer.brokers.port import BrokerStatus
from rebalancer.domain.kinds import ExecutionKind
from rebalancer.operations import approvals, orders
from rebalancer.operations.execution import asking, begin, blocks, brokers, deciding, sending
from robo.common import clock
from robo.common.errors import NotAllowed
from tests import people
from tests.faults import companies
from tests.faults.firm import OLD, make_firm, prepare_proposal
from tests.portfolios.actions import announce_action
from tests.rebalancer.scripted import ScriptedBroker
from tests.rebalancer.world import DAY, NOW, SECURITIES, World, expire_leases, make_world


def race_approvals() -> None:
    """Two advisors approve the same proposal in the same moment, ten times over."""
    firm = make_firm(Random(1))
    rng = Random(2)
    for _ in range(10):
        for account in firm.world.accounts:
            service = firm.world.admin.pk
            prepare_proposal(firm, account, rng, maker_id=service, now=NOW)
        for proposal in models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING"):
            _race(proposal, [firm.world.advisor.pk, firm.world.colleague.pk])
            models.Order.objects.filter(proposal=proposal).update(status="CANCELLED")
            models.Proposal.objects.filter(pk=proposal.pk).update(status="EXECUTING")
            models.Proposal.objects.filter(pk=proposal.pk).update(status="COMPLETED_ADJUSTED")


def _race(proposal: models.Proposal, user_ids: list[int]) -> None:
    barrier, errors = threading.Barrier(2), []

    def approve(user_id: int) -> None:
        try:
            barrier.wait(20)
            approvals.approve_proposal(
                proposal_id=proposal.pk,
                user_id=user_id,
                content_hash=proposal.content_hash,
                note="",
                now=NOW,
            )
            errors.append("approved")
        except Exception as error:
            errors.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=approve, args=(user_id,)) for user_id in user_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(errors) == ["Conflict", "approved"], errors


def offer_bad_prices() -> None:
    """A feed offers what is no price."""
    firm = make_firm(Random(1))
    symbol = next(iter(SECURITIES))
    for bad in ("NaN", "Infinity", "-Infinity", "0", "-1", ""):
        report = record_prices(
            firm_id=firm.pk,
            quotes=[Quote(symbol, firm.today, bad)],
            source="feed",
            now=NOW,
            actor_id=firm.world.admin.pk,
        )
        assert len(report.refused) == 1, bad


def seal_out_of_order() -> None:
    """An entry with a lower number is committed after higher ones were sealed."""
    from tests.accounts import test_journal_sealing as sealing

    sealing.test_an_entry_of_a_transaction_that_commits_late_is_not_passed_over()


def cancel_a_strangers_order() -> None:
    """An advisor of another firm asks to cancel an order."""
    firm, rng = make_firm(Random(1)), Random(2)
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    for account in firm.world.accounts:
        prepare_proposal(firm, account, rng, maker_id=firm.world.admin.pk, now=NOW)
    for proposal in models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING"):
        firm.world.approve(proposal)
    order = models.Order.objects.filter(firm_id=firm.pk).first()
    assert order is not None
    try:
        deciding.cancel_order(order_id=order.pk, user_id=stranger.pk, reason="Mine.", now=NOW)
    except NotAllowed:
        return
    raise AssertionError("another firm's supervisor cancelled it")


def name_another_approver() -> None:
    """An advisor sends a colleague's id beside an approval."""
    firm, rng = make_firm(Random(1)), Random(2)
    mallory, victim = firm.world.advisor, firm.world.colleague
    client = Client()
    people.enter(client, mallory)
    for account in firm.world.accounts:
        prepare_proposal(firm, account, rng, maker_id=firm.world.admin.pk, now=clock.now())
    # Addresses of our own, for those of the product hold the view as it was at first.
    urls: Any = ModuleType("urls")
    urls.urlpatterns = [path("<uuid:public_id>/", api.ProposalApproval.as_view())]
    with override_settings(ROOT_URLCONF=urls):
        for row in models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING"):
            client.post(
                f"/{row.public_id}/",
                json.dumps({"content_hash": row.content_hash, "user_id": victim.pk}),
                content_type="application/json",
                headers={"Idempotency-Key": uuid.uuid4().hex},
            )
    decided = models.Decision.objects.filter(proposal__firm_id=firm.pk, decided_by=victim)
    assert not decided.exists(), "somebody else was written down as the approver"


def buy_in_another_account() -> None:
    """Another account of the household has bought what this one might sell at a loss."""
    world, bought, other = _share_a_household()
    standing = taxes.load_tax_standing(
        regimes={world.household.pk: world.household.tax_regime},
        account_ids=[other],
        day=DAY,
    )
    seen = [row for row in standing.recent_trades if row.side is Side.BUY]
    assert [row.account_id for row in seen] == [bought], "the purchase went unseen"


def lose_in_another_account() -> None:
    """Another account of the household has sold at a loss what a dividend might buy."""
    world, seller, other = _share_a_household()
    security_id = world.security_ids["USTM"]
    [lot] = Lot.objects.filter(account_id=seller)
    with transaction.atomic():
        book_fills(
            fills=[
                FillToBook(
                    source="killer",
                    account_id=seller,
                    security_id=security_id,
                    side=Side.SELL,
                    quantity=Decimal(5),
                    amount=Decimal(10),
                    fill_date=DAY,
                    picks=((lot.pk, Decimal(5)),),
                )
            ],
            currency="USD",
        )
    losers = taxes.list_recent_losers([other], security_id, DAY)
    assert losers == {other}, "the loss went unseen"


def _share_a_household() -> tuple[World, int, int]:
    """Return a world, its account that has bought lately, and another of the same household."""
    world = make_firm(Random(1)).world
    lots = [("USTM", "10", "2000", DAY - timedelta(days=10))]
    bought = world.add_account("100", lots=lots)
    return world, bought.pk, world.add_account("100").pk


def trust_a_wrong_clock() -> None:
    """A worker whose clock is two hours fast looks for what has expired."""
    firm, rng = make_firm(Random(1)), Random(2)
    now = clock.now()
    for account in firm.world.accounts:
        prepare_proposal(firm, account, rng, maker_id=firm.world.admin.pk, now=now)
    pending = models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING")
    count = pending.update(expires_at=now + timedelta(hours=1))
    assert count
    with time_machine.travel(now + timedelta(hours=2)):
        tasks.expire_proposals()
    assert pending.count() == count, "a proposal expired before its hour"


def correct_after_a_split() -> None:
    """The broker corrects a fill of the day before a split, on the day after."""
    script = ScriptedBroker()
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        world = _approve_sale()
        orders.submit_orders(now=NOW)
        [sale] = models.Slice.objects.filter(block__firm=world.firm, block__side="SELL")
        script.say(sale.client_order_id, "F", sale.quantity, status=BrokerStatus.FILLED)
        orders.poll_broker(now=NOW)
        monday = _split_overnight(world)
        terms = {"kind": ExecutionKind.CORRECTION, "refers_to": "F", "fill_date": monday}
        script.say(sale.client_order_id, "C", sale.quantity, "101", **terms)
        orders.review_orders(now=NOW)
    held = Holding.objects.get(account=world.accounts[0], security_id=sale.block.security_id)
    assert held.quantity == 2 * (80 - sale.quantity), f"{held.quantity} shares are left"


def send_after_a_split() -> None:
    """What was approved and begun before a split may not go after it."""
    script = ScriptedBroker()
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        world = _approve_sale()
        begin.begin_executions(now=NOW)
        _split_overnight(world)
        orders.submit_orders(now=NOW)
    assert script.tickets == [], "an order was sent in the shares of yesterday"


def resend_what_was_taken() -> None:
    """An order is taken and the answer lost; the broker knows it when it comes a second time."""
    script = ScriptedBroker(is_mute=True)
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        world = _approve_sale()
        orders.submit_orders(now=NOW)
        script.is_mute = False
        with mock.patch.object(script, "get_orders", return_value={}):
            expire_leases()
            orders.resolve_unknown_orders(now=NOW)
        orders.submit_orders(now=NOW)
    [sale] = models.Slice.objects.filter(block__firm=world.firm, block__side="SELL")
    assert (sale.status, len(script.tickets)) == ("SUBMITTED", 2), sale.status


def end_before_the_fills() -> None:
    """The broker says that an order is over, with two shares traded, and reports them later."""
    script = ScriptedBroker()
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        world = _approve_sale()
        orders.submit_orders(now=NOW)
        [sale] = models.Slice.objects.filter(block__firm=world.firm, block__side="SELL")
        taken = script.orders[sale.client_order_id]
        ended = replace(taken, status=BrokerStatus.CANCELLED, filled_quantity=Decimal(2))
        script.orders[sale.client_order_id] = ended
        orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert sale.closed_at is None, "it was closed with two shares unrecorded"


def fill_at_two_prices() -> None:
    """Two accounts share a block that filled at two prices."""
    script = ScriptedBroker()
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        world = _approve_sale(80, 121)
        orders.submit_orders(now=NOW)
        [sale] = models.Slice.objects.filter(block__firm=world.firm, block__side="SELL")
        script.say(sale.client_order_id, "F1", 7, "99.337")
        rest = sale.quantity - 7
        script.say(sale.client_order_id, "F2", rest, "100.011", status=BrokerStatus.FILLED)
        orders.poll_broker(now=NOW)
    fills = models.Fill.objects.filter(order__block=sale.block)
    prices = set(fills.values_list("price", flat=True))
    assert (len(fills), len(prices)) == (2, 1), f"one block, several prices: {prices}"


def ask_while_it_is_sent() -> None:
    """Another worker looks for sendings that were cut short, while one is under way."""
    script = ScriptedBroker()
    with mock.patch.object(brokers, "get_paper_broker", return_value=script):
        _approve_sale()
        while begin.begin_executions(now=NOW):
            pass
        blocks.form_blocks(now=NOW)
        assert sending._claim(after=0, now=NOW).going
        assert asking.resolve_unknown(now=NOW) == 0, "its lease was over before it began"


def _approve_sale(*sizes: int) -> World:
    """Return a world whose accounts, of so many USTM (one of eighty), have approved sales."""
    world = make_world()
    for size in sizes or (80,):
        lots = [("USTM", str(size), "4000", OLD), ("BOND", "10", "900", OLD)]
        world.add_account("1000", lots=lots)
    world.look()
    for proposal in models.Proposal.objects.filter(firm=world.firm).order_by("pk"):
        world.approve(proposal)
    return world


def _split_overnight(world: World) -> date:
    """Split USTM two for one on the next session, and return that day."""
    monday = companies.find_next_session(DAY)
    announce_action(
        firm_id=world.firm.pk,
        details=ActionDetails(
            world.security_ids["USTM"], ActionKind.SPLIT, monday, new_shares=2, old_shares=1
        ),
        market_date=DAY,
        actor_id=world.admin.pk,
    )
    world.set_prices(monday, USTM="50")
    apply_actions(firm_id=world.firm.pk, on_date=monday)
    return monday
