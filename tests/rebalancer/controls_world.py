"""Orders at the gate, made by the road itself, and what the gate says of them."""

from datetime import timedelta
from decimal import Decimal

from django.db import transaction

from portfolios.domain.kinds import Side
from rebalancer import models
from rebalancer.operations import gate
from rebalancer.operations import limits as limit_operations
from rebalancer.operations.gate import OrderFacts
from tests.rebalancer.world import DAY, NOW

D = Decimal


def give_limits(world, **values):
    """Put limits in force as two people do."""
    row = limit_operations.propose_limits(
        firm_id=world.firm.pk, user_id=world.admin.pk, values=values, reason="test"
    )
    limit_operations.approve_limits(limit_set_id=row.pk, user_id=world.other_admin.pk)


def make_approved(world, cash="10000"):
    """Return the orders of a new account's approved proposal, sells and buys."""
    account = world.add_account(cash)
    world.look()
    proposal = models.Proposal.objects.get(account=account)
    world.approve(proposal)
    return list(proposal.orders.select_related("security", "trade").order_by("pk"))


def describe(row, **facts):
    return OrderFacts(
        **{
            "order_id": row.pk,
            "firm_id": row.firm_id,
            "account_id": row.account_id,
            "proposal_id": row.proposal_id,
            "security_id": row.security_id,
            "symbol": row.security.symbol,
            "side": Side(row.side),
            "quantity": row.quantity,
            "price": row.trade.price,
            "half_spread_bps": row.security.half_spread_bps,
            "daily_volume": row.security.daily_volume,
            "broker": "PAPER",
            **facts,
        }
    )


def ask(rows, now=NOW, **facts):
    """Return what the gate says of these orders, in a transaction of its own."""
    with transaction.atomic():
        return gate.check_orders(orders=[describe(row, **facts) for row in rows], now=now)


def codes(refusals):
    return {refusal.code for refusal in refusals.values()}


def amount_of(rows):
    return sum((describe(row).amount for row in rows), D(0))


def make_twin(row):
    """Return an order equal to another, of a later proposal of the same account."""
    models.Proposal.objects.filter(pk=row.proposal_id).update(status="COMPLETED")
    proposal = models.Proposal.objects.get(pk=row.proposal_id)
    proposal.pk, proposal.status = None, "EXECUTING"
    proposal.public_id = proposal.household_plan = None
    proposal.public_id = models.Proposal._meta.get_field("public_id").get_default()
    proposal.household_plan = models.Proposal._meta.get_field("household_plan").get_default()
    proposal.save()
    trade = models.Trade.objects.get(pk=row.trade_id)
    trade.pk, trade.proposal = None, proposal
    trade.save()
    decision = models.Decision.objects.get(proposal_id=row.proposal_id)
    decision.pk, decision.proposal = None, proposal
    decision.save()
    return models.Order.objects.create(
        firm_id=row.firm_id,
        account_id=row.account_id,
        proposal=proposal,
        trade=trade,
        security_id=row.security_id,
        side=row.side,
        quantity=row.quantity,
        client_order_id=f"twin-{row.pk}",
    )


def advance(world, days):
    type(world.firm).objects.filter(pk=world.firm.pk).update(
        simulated_date=DAY + timedelta(days=days)
    )
