"""The pages of reconciliation and of the broker: who sees what, and what takes two people."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import FirmSecret, LookOnly
from rebalancer import models
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.port import Abilities, BrokerUnavailable
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.reconciliation import RunStatus, SliceAnswer
from rebalancer.operations import orders, parked, reconciliation
from rebalancer.operations.connections import get_broker_kind, get_paper_broker
from rebalancer.operations.execution import sending
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.rebalancer.browsing import browser, get, post, text_of
from tests.rebalancer.test_controls_pages import go_stale
from tests.rebalancer.test_execution import get_sale, script
from tests.rebalancer.test_sending import form
from tests.rebalancer.world import NOW, expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]
OLD = date(2020, 1, 2)
LOTS = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
PAGE = "reconciliation"


@pytest.fixture
def world():
    return make_world()


def person(world, role=Role.SUPERVISOR):
    return people.make_user(world.firm, role)


def hold_strangers(account, *symbols):
    """Let the paper broker hold what is no security of the firm's."""
    for symbol in symbols:
        get_paper_broker().transfer(
            key=f"stranger:{account.public_id}:{symbol}",
            account_number=str(account.public_id),
            symbol=symbol,
            quantity=Decimal(4),
        )


def park_one(script):
    """Return a world with an order of which nobody knows, at a broker that takes ids twice."""
    script.abilities, script.is_silent = Abilities(has_unique_ids=False, has_blocks=True), True
    world = form(80)
    sending.send_slices(now=NOW)
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    assert get_sale(world).is_parked
    return world


# --- Comparisons ---------------------------------------------------------------------------------


def test_a_comparison_is_asked_for_made_and_shown(world):
    account = world.add_account("1000", lots=LOTS)
    supervisor = person(world)
    assert "Never compared" in text_of(get(supervisor, PAGE))
    assert post(supervisor, "reconcile").status_code == 302
    assert models.ReconciliationRun.objects.get().asked_by == supervisor
    second = post(supervisor, "reconcile")
    assert second.status_code == 409
    assert "being compared" in text_of(second)
    assert reconciliation.reconcile_due(now=NOW) == 1
    hold_strangers(account, "XYZ")
    get_paper_broker().transfer(
        key="lost", account_number=str(account.public_id), symbol="USTM", quantity=Decimal(-3)
    )
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    page = text_of(get(supervisor, PAGE))
    assert "1 open difference" in page
    assert "The broker holds 4 XYZ" in page
    assert account.name in page
    # Whoever may not read books learns no client's name here.
    page = text_of(get(world.admin, PAGE))
    assert "The broker holds 4 XYZ" in page
    assert account.name not in page
    assert "open difference" not in page


def test_it_is_not_everybodys(world):
    for user in (world.advisor, people.make_client(world.household), person(world, "MODEL_ADMIN")):
        assert get(user, PAGE).status_code == 404
        assert post(user, "reconcile").status_code == 404
    assert not models.ReconciliationRun.objects.exists()


def test_another_firms_runs_and_reports_are_not_shown(world):
    account = world.add_account("1000", lots=LOTS)
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    hold_strangers(account, "XYZ")
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    page = text_of(get(stranger, PAGE))
    assert "XYZ" not in page
    assert "Never compared" in page
    report = models.ParkedReport.objects.get()
    answer = post(stranger, "report_resolve", report.pk, resolution="mine")
    assert answer.status_code == 404
    # Nobody's report is the operators', who run the broker that all firms share.
    nobodys = models.ParkedReport.objects.create(
        broker="PAPER", report_key="x", reason="Nobody sent this", report={}
    )
    assert "Nobody sent this" not in text_of(get(person(world), PAGE))
    operator = person(world, Role.OPERATOR)
    assert "Nobody sent this" in text_of(get(operator, PAGE))
    assert post(operator, "report_resolve", nobodys.pk, resolution="a test").status_code == 302


def test_a_report_is_dealt_with_once_and_with_a_reason(world):
    account = world.add_account("1000", lots=LOTS)
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    hold_strangers(account, "XYZ")
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    report, supervisor = models.ParkedReport.objects.get(), person(world)
    assert post(supervisor, "report_resolve", report.pk, resolution=" ").status_code == 422
    assert post(world.admin, "report_resolve", report.pk, resolution="no").status_code == 404
    stale = go_stale(supervisor)
    url = reverse("rebalancer:report_resolve", args=[report.pk])
    assert stale.post(url, {"resolution": "late"}).url.startswith("/confirm/")
    answer = post(supervisor, "report_resolve", report.pk, resolution="a spin-off")
    assert answer.status_code == 302
    report.refresh_from_db()
    assert (report.resolved_by, report.resolution) == (supervisor, "a spin-off")
    # What a person has dealt with does not come back.
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    assert models.ParkedReport.objects.filter(resolved_at__isnull=True).count() == 0
    again = post(supervisor, "report_resolve", report.pk, resolution="again")
    assert again.status_code == 404


def test_look_only_is_released_only_after_a_comparison(world):
    LookOnly.objects.create(firm=world.firm, reason="restored")
    supervisor = person(world)
    client = browser(supervisor)
    assert "must be compared" in text_of(get(supervisor, PAGE))
    ask = reverse("accounts:release_ask")
    assert client.post(ask, {"note": "all agree"}).status_code == 422
    call_command("reconcile", firm=world.firm.name)
    assert "two people may let it go on" in text_of(get(supervisor, PAGE))
    assert client.post(ask, {"note": "all agree"}).status_code == 302


def test_the_command_prints_figures_and_fails_without_the_broker(world, monkeypatch, capsys):
    world.add_account("1000", lots=LOTS)
    call_command("reconcile", firm=world.firm.name)
    assert "accounts 1" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no firm"):
        call_command("reconcile", firm="Nobody & Sons")

    def silent(*_):
        raise BrokerUnavailable("no answer")

    monkeypatch.setattr(PaperBroker, "list_positions", silent)
    with pytest.raises(CommandError, match="1 of 1 firms were not compared"):
        call_command("reconcile", firm=world.firm.name)
    assert "did not answer" in capsys.readouterr().err


def test_the_page_takes_no_more_queries_with_more_rows(world):
    account = world.add_account("1000", lots=LOTS)
    supervisor = person(world)
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)

    def count():
        client = browser(supervisor)
        client.get(reverse(f"rebalancer:{PAGE}"))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse(f"rebalancer:{PAGE}"))
        return len(captured)

    hold_strangers(account, "AAA")
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    few = count()
    hold_strangers(account, "BBB", "CCC", "DDD", "EEE")
    reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    assert models.ParkedReport.objects.count() == 5
    assert count() == few


# --- Orders nobody knows of ----------------------------------------------------------------------


def test_sending_again_takes_two_people(script):
    world = park_one(script)
    sale, supervisor, operator = get_sale(world), person(world), person(world, Role.OPERATOR)
    said = {"answer": SliceAnswer.SEND, "reason": "Asked their desk."}
    assert post(world.advisor, "slice_answer", sale.pk, **said).status_code == 404
    assert post(supervisor, "slice_answer", sale.pk, answer="SEND", reason=" ").status_code == 422
    assert post(supervisor, "slice_answer", sale.pk, answer="BURN", reason="x").status_code == 422
    assert post(supervisor, "slice_answer", sale.pk, **said).status_code == 302
    assert get_sale(world).is_parked
    decision = models.SliceDecision.objects.get()
    page = text_of(get(supervisor, PAGE))
    assert "A second person confirms." in page
    assert reverse("rebalancer:slice_confirm", args=[decision.pk]) not in page
    assert post(supervisor, "slice_confirm", decision.pk).status_code == 403
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    assert post(stranger, "slice_confirm", decision.pk).status_code == 404
    assert "Asked their desk." in text_of(get(operator, PAGE))
    assert post(operator, "slice_confirm", decision.pk).status_code == 302
    assert post(operator, "slice_confirm", decision.pk).status_code == 409
    orders.submit_orders(now=NOW)
    assert [ticket.client_order_id for ticket in script.tickets] == [sale.client_order_id]
    decision.refresh_from_db()
    assert (decision.asked_by, decision.confirmed_by) == (supervisor, operator)


def test_what_is_dropped_is_never_sent(script):
    world = park_one(script)
    sale, one, two = get_sale(world), person(world), person(world)
    decision = parked.ask_slice_answer(
        slice_id=sale.pk, answer=SliceAnswer.DROP, user_id=one.pk, reason="Too late now."
    )
    parked.confirm_slice_answer(decision_id=decision.pk, user_id=two.pk, now=NOW)
    sale.refresh_from_db()
    assert sale.status == OrderStatus.CANCELLED
    orders.submit_orders(now=NOW)
    # The buys of the plan go, with the cash that there is; the sale is over.
    assert sale.client_order_id not in {ticket.client_order_id for ticket in script.tickets}
    assert models.Order.objects.get(block=sale.block).status == OrderStatus.CANCELLED


def test_a_word_is_void_once_it_was_sent_again_or_replaced(script):
    world = park_one(script)
    sale, one, two = get_sale(world), person(world), person(world)
    ask = {"slice_id": sale.pk, "user_id": one.pk}
    first = parked.ask_slice_answer(**ask, answer=SliceAnswer.SEND, reason="Never came.")
    second = parked.ask_slice_answer(**ask, answer=SliceAnswer.DROP, reason="No, drop it.")
    with pytest.raises(Conflict, match="meanwhile"):
        parked.confirm_slice_answer(decision_id=first.pk, user_id=two.pk, now=NOW)
    models.Slice.objects.filter(pk=sale.pk).update(attempt_count=7)
    with pytest.raises(Conflict, match="sent again"):
        parked.confirm_slice_answer(decision_id=second.pk, user_id=two.pk, now=NOW)
    assert "No, drop it." not in text_of(get(two, PAGE))
    with pytest.raises(Refused, match="how you know"):
        parked.ask_slice_answer(**ask, answer=SliceAnswer.SEND, reason="  ")
    with pytest.raises(NotAllowed):
        parked.ask_slice_answer(
            slice_id=sale.pk, answer=SliceAnswer.SEND, user_id=world.admin.pk, reason="x"
        )
    models.Slice.objects.filter(pk=sale.pk).update(is_parked=False)
    with pytest.raises(Conflict, match="no longer waits"):
        parked.ask_slice_answer(**ask, answer=SliceAnswer.SEND, reason="x")


def test_the_brokers_own_list_overrules_two_people(script):
    script.abilities, script.is_mute = Abilities(has_unique_ids=False, has_blocks=True), True
    world = form(80)
    get_orders, script.get_orders = script.get_orders, lambda names: {}
    sending.send_slices(now=NOW)
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    sale, one, two = get_sale(world), person(world), person(world)
    decision = parked.ask_slice_answer(
        slice_id=sale.pk, answer=SliceAnswer.SEND, user_id=one.pk, reason="Never came."
    )
    answer = post(two, "slice_confirm", decision.pk)
    assert answer.status_code == 409
    assert "names this order" in text_of(answer)
    script.get_orders = get_orders
    assert (get_sale(world).status, len(script.tickets)) == (OrderStatus.SUBMITTED, 1)


def test_one_person_may_say_that_the_broker_has_it(script):
    world = park_one(script)
    sale = get_sale(world)
    answer = post(person(world), "slice_answer", sale.pk, answer="TAKEN", reason="On their screen")
    assert answer.status_code == 302
    assert get_sale(world).status == OrderStatus.SUBMITTED
    assert script.tickets == []


# --- The broker ----------------------------------------------------------------------------------


@pytest.fixture
def keys(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    settings.BROKER_HOSTS = ["paper-api.alpaca.markets"]


ALPACA = {
    "kind": "ALPACA",
    "key_id": "PK1",
    "url": "https://paper-api.alpaca.markets",
    "secret_name": "broker.alpaca.secret_key",
    "secret_value": "hush-hush-4711",
}


def test_an_admin_connects_a_broker_and_nobody_sees_its_key(world, keys):
    assert "Paper broker" in text_of(get(world.admin, "broker"))
    assert "Key id" in text_of(get(world.admin, "broker", kind="ALPACA"))
    assert "SenderCompID" in text_of(get(world.admin, "broker", kind="FIX"))
    assert post(world.admin, "broker", **ALPACA).status_code == 302
    assert get_broker_kind(world.firm.pk) == "ALPACA"
    row = FirmSecret.objects.get()
    assert (row.status, row.set_by) == ("PENDING", world.admin)
    assert b"hush" not in bytes(str(row.sealed_value), "utf-8")
    for user in (world.admin, person(world, Role.OPERATOR)):
        page = text_of(get(user, "broker"))
        assert "New value waits" in page
        assert "PK1" in page
        assert "hush" not in page
    connected = models.BrokerConnection.objects.get()
    assert "hush" not in str(connected.settings)


def test_a_form_offers_the_hosts_of_its_own_kind(world, keys, settings):
    page = text_of(get(world.admin, "broker", kind="FIX"))
    assert "alpaca.markets" not in page
    assert "allows no host for FIX yet" in page
    settings.BROKER_HOSTS = ["paper-api.alpaca.markets", "fix.broker.example"]
    page = text_of(get(world.admin, "broker", kind="FIX"))
    assert '<option value="fix.broker.example">' in page
    assert "allows no host" not in page
    page = text_of(get(world.admin, "broker", kind="ALPACA"))
    assert '<option value="https://paper-api.alpaca.markets">' in page
    assert "fix.broker.example" not in page


def test_a_refused_form_shows_no_key_and_changes_nothing(world, keys):
    refused = post(world.admin, "broker", **ALPACA | {"url": "https://elsewhere.example"})
    assert refused.status_code == 422
    assert "hush" not in text_of(refused)
    refused = post(world.admin, "broker", **ALPACA | {"secret_name": "Not A Name"})
    assert refused.status_code == 422
    assert "cannot name a secret" in text_of(refused)
    assert post(world.admin, "broker", **ALPACA | {"secret_name": ""}).status_code == 422
    assert post(world.admin, "broker", kind="FIX", host="nowhere", port="x").status_code == 422
    assert not models.BrokerConnection.objects.exists()
    assert not FirmSecret.objects.exists()


def test_only_the_admin_connects_and_after_a_step_up(world, keys):
    operator = person(world, Role.OPERATOR)
    assert "Connect another" not in text_of(get(operator, "broker"))
    assert post(operator, "broker", **ALPACA).status_code == 404
    for user in (person(world), world.advisor, people.make_client(world.household)):
        assert get(user, "broker").status_code == 404
        assert post(user, "broker", **ALPACA).status_code == 404
    answer = go_stale(world.admin).post(reverse("rebalancer:broker"), ALPACA)
    assert answer.url.startswith("/confirm/")
    assert not models.BrokerConnection.objects.exists()


def test_a_run_that_was_long_ago_does_not_count_for_today(world):
    world.add_account("1000", lots=LOTS)
    assert reconciliation.reconcile_due(now=NOW) == 1
    models.ReconciliationRun.objects.update(day=world.firm.simulated_date - timedelta(days=1))
    assert reconciliation.reconcile_due(now=NOW) == 1
    assert models.ReconciliationRun.objects.filter(status=RunStatus.DONE).count() == 2
