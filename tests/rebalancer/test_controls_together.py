"""Several at the gate at once: limits hold together, a stop and a claim never pass each other.

Also which cash is settled, as the ledger says.
"""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from rebalancer import models
from rebalancer.domain.limits import DEFAULTS, RefusalCode, SwitchScope
from rebalancer.operations import gate
from rebalancer.operations.controls import set_switch
from rebalancer.queries import controls as reads
from tests.rebalancer.controls_world import (
    amount_of,
    ask,
    codes,
    describe,
    give_limits,
    make_approved,
)
from tests.rebalancer.test_faults_together import run_together
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


# --- Several at once ----------------------------------------------------------------------------


def test_twenty_senders_at_once_do_not_pass_a_limit_together():
    world = make_world()
    for _ in range(20):
        world.add_account("1000")
    world.look()
    runs = []
    for proposal in models.Proposal.objects.order_by("pk"):
        world.approve(proposal)
        runs.append(list(proposal.orders.select_related("security", "trade")))
    assert len(runs) == 20
    each = amount_of(runs[0])
    give_limits(world, firm_amount_max=each * 7 + each / 2)
    refused = []

    def send(rows):
        if ask(rows):
            refused.append(rows[0].pk)

    errors = run_together(*(lambda rows=rows: send(rows) for rows in runs))
    assert errors == [None] * 20
    use = reads.get_use(firm_id=world.firm.pk, session_date=DAY)
    assert len(refused) == 13
    assert use.amount == each * 7
    assert use.order_count == models.EnteredOrder.objects.count()


def test_twenty_senders_at_once_do_not_pass_the_rate_together():
    world = make_world()
    give_limits(world, rate_per_minute=100)
    granted = []

    def take():
        with transaction.atomic():
            granted.append(gate.take_rate(firm_id=world.firm.pk, now=NOW, wanted=7))

    assert run_together(*[take] * 20) == [None] * 20
    assert sum(granted) == 100


def test_a_stop_waits_for_a_claim_that_is_open_and_no_claim_follows_it():
    world = make_world()
    orders = make_approved(world)
    is_claiming, may_commit, is_set = threading.Event(), threading.Event(), threading.Event()

    def claim():
        with transaction.atomic():
            assert gate.check_orders(orders=[describe(row) for row in orders], now=NOW) == {}
            is_claiming.set()
            assert may_commit.wait(20)
            assert not is_set.is_set()

    def stop():
        assert is_claiming.wait(20)
        set_switch(scope=SwitchScope.FIRM, user_id=world.admin.pk, reason="something is wrong")
        is_set.set()

    def look():
        assert is_claiming.wait(20)
        assert not is_set.wait(0.5), "the stop did not wait for the claim"
        # A sender that comes while a stop waits does not overtake it.
        may_commit.set()
        refusals = ask(orders)
        assert is_set.wait(20)
        again = ask(orders)
        assert codes(again) == {RefusalCode.STOPPED}
        assert refusals in ({}, again)

    assert run_together(claim, stop, look) == [None] * 3


def test_a_stop_is_not_starved_by_senders_who_keep_coming():
    world = make_world()
    orders = make_approved(world)
    is_over = threading.Event()
    claims = []

    def send():
        while not is_over.is_set():
            with transaction.atomic(), connection.cursor() as cursor:
                gate.hold_switches(firm_ids=[world.firm.pk])
                cursor.execute("SELECT pg_sleep(0.02)")
            claims.append(1)

    def stop():
        try:
            while len(claims) < 5:
                time.sleep(0.01)
            set_switch(
                scope=SwitchScope.ACCOUNT,
                account_id=orders[0].account_id,
                user_id=world.admin.pk,
                reason="stop",
            )
        finally:
            is_over.set()

    assert run_together(send, send, send, send, stop) == [None] * 5
    assert codes(ask(orders)) == {RefusalCode.STOPPED}


def test_a_switch_changed_by_hand_waits_for_the_claim_as_well():
    world = make_world()
    with transaction.atomic():
        gate.hold_switches(firm_ids=[world.firm.pk])
    errors = []

    def update_by_hand():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
                cursor.execute("UPDATE rebalancer_switch SET reason = reason WHERE scope = 'FIRM'")
        except Exception as error:
            errors.append(str(error))
        finally:
            connection.close()

    with transaction.atomic():
        gate.hold_switches(firm_ids=[world.firm.pk])
        thread = threading.Thread(target=update_by_hand)
        thread.start()
        thread.join(20)
    assert len(errors) == 1
    assert "lock timeout" in errors[0]


# --- Settled cash -------------------------------------------------------------------------------


def test_settled_cash_leaves_out_what_sales_bring_later():
    world = make_world()
    account = world.add_account("0", lots=[("USTM", "100", "4000", DAY.replace(year=2020))])
    world.look()
    world.approve(models.Proposal.objects.get(account=account))
    world.trade()
    from portfolios.models import CashBalance, JournalEntry, Transfer

    cash = CashBalance.objects.get(account=account).amount
    proceeds = sum(
        Transfer.objects.filter(
            entry__account=account, entry__kind="SELL", target_pocket="CASH"
        ).values_list("quantity", flat=True)
    )
    assert proceeds > 0
    tomorrow = gate.find_payment_date(exchange="XNYS", trade_date=DAY, limits=DEFAULTS)
    assert tomorrow.isoformat() == "2026-11-23", "the next session after a Friday"
    settle_by_hand(JournalEntry, account, tomorrow)

    def settled(day):
        return gate.measure_settled_cash(account_ids=[account.pk], on_date=day)[account.pk]

    assert settled(DAY) == cash - proceeds
    assert settled(tomorrow - timedelta(days=1)) == cash - proceeds
    assert settled(tomorrow) == cash


def settle_by_hand(rows, account, day):
    """Write settlement dates where the books did not write them yet."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE portfolios_journalentry DISABLE TRIGGER append_only_rows")
        rows.objects.filter(account=account, kind__in=["BUY", "SELL"]).update(settles_date=day)
        cursor.execute("ALTER TABLE portfolios_journalentry ENABLE TRIGGER append_only_rows")


def test_payment_is_due_after_as_many_sessions_as_the_firm_says():
    def due(days):
        limits = replace(DEFAULTS, settlement_days=days)
        return gate.find_payment_date(exchange="XNYS", trade_date=DAY, limits=limits).isoformat()

    # Thanksgiving lies between.
    assert [due(n) for n in (0, 1, 3, 4)] == [
        "2026-11-20",
        "2026-11-23",
        "2026-11-25",
        "2026-11-27",
    ]
