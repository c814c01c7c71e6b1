"""Which broker a firm's orders go to: who may say so, what is refused, what door opens."""

import json
import threading
from datetime import date

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from accounts.operations import secrets
from accounts.operations.secrets import SecretMissing
from rebalancer.brokers.alpaca import AlpacaBroker
from rebalancer.brokers.fix import FixBroker
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.paper.client import PaperClient
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.models import BrokerConnection, Order, Proposal
from rebalancer.operations import connections, switches
from robo.common.errors import Conflict, NotAllowed, Refused
from tests.people import make_firm, make_user
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db
ALPACA = {"key_id": "PK1", "url": "https://paper-api.alpaca.markets"}
FIX = {"host": "127.0.0.1", "port": 9876, "sender": "ROBO", "target": "BRKR", "has_tls": False}
SECRET = "broker.alpaca.secret_key"


@pytest.fixture(autouse=True)
def installation(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    settings.BROKER_HOSTS = ["paper-api.alpaca.markets", "127.0.0.1", "fix.example.com"]


@pytest.fixture
def firm():
    return make_firm()


@pytest.fixture
def admin(firm):
    return make_user(firm, Role.ADMIN)


def connect(firm, actor, kind=BrokerKind.ALPACA, values=ALPACA, secret_name=SECRET):
    return connections.connect_broker(
        firm_id=firm.pk,
        kind=kind,
        connection_settings=values,
        secret_name=secret_name,
        actor_id=actor.pk,
    )


def keep_secret(firm, admin, value="top-secret"):
    row = secrets.set_secret(firm_id=firm.pk, name=SECRET, value=value, actor_id=admin.pk)
    secrets.confirm_secret(secret_id=row.pk, actor_id=make_user(firm, Role.SUPERVISOR).pk)


def test_a_firm_without_a_connection_uses_the_paper_broker(firm, settings):
    assert connections.get_broker_kind(firm.pk) is BrokerKind.PAPER
    broker = connections.get_broker(firm_id=firm.pk)
    assert isinstance(broker, PaperBroker)
    assert broker.path == settings.PAPER_BROKER_PATH
    settings.PAPER_BROKER_URL = "unix:///somewhere.sock"
    assert isinstance(connections.get_broker(firm_id=firm.pk), PaperClient)


def test_a_connection_opens_the_right_door_and_leaves_a_trace(firm, admin):
    connect(firm, admin)
    assert connections.get_broker_kind(firm.pk) is BrokerKind.ALPACA
    with pytest.raises(SecretMissing):
        connections.get_broker(firm_id=firm.pk)
    keep_secret(firm, admin)
    assert isinstance(connections.get_broker(firm_id=firm.pk), AlpacaBroker)
    entry = AuditEntry.objects.get(firm=firm, action="rebalancer.broker.connected")
    assert entry.actor_id == admin.pk
    assert entry.detail["kind"] == "ALPACA"
    assert "top-secret" not in str(entry.detail)
    assert "top-secret" not in str(BrokerConnection.objects.values().get())
    # Another firm is not concerned.
    assert connections.get_broker_kind(make_firm().pk) is BrokerKind.PAPER


def test_a_fix_connection_says_what_its_broker_can_do(firm, admin, settings, tmp_path):
    settings.BROKER_STATE_DIR = tmp_path
    connect(firm, admin, BrokerKind.FIX, FIX, "")
    broker = connections.get_broker(firm_id=firm.pk)
    assert isinstance(broker, FixBroker)
    assert not broker.abilities.has_unique_ids
    assert broker.abilities.has_blocks
    connect(firm, admin, BrokerKind.FIX, {**FIX, "has_unique_ids": True, "has_blocks": False}, "")
    broker = connections.get_broker(firm_id=firm.pk)
    assert broker.abilities.has_unique_ids
    assert not broker.abilities.has_blocks


def test_going_back_to_the_paper_broker_needs_nothing(firm, admin):
    connect(firm, admin)
    connect(firm, admin, BrokerKind.PAPER, {}, "")
    assert isinstance(connections.get_broker(firm_id=firm.pk), PaperBroker)
    assert BrokerConnection.objects.count() == 1


@pytest.mark.parametrize("role", [Role.ADVISOR, Role.SUPERVISOR, Role.OPERATOR, Role.MODEL_ADMIN])
def test_only_an_admin_of_the_firm_connects(firm, role):
    with pytest.raises(NotAllowed):
        connect(firm, make_user(firm, role))
    with pytest.raises(NotAllowed):
        connect(firm, make_user(make_firm(), Role.ADMIN))
    assert not BrokerConnection.objects.exists()


@pytest.mark.parametrize(
    ("kind", "values", "secret_name", "word"),
    [
        (BrokerKind.ALPACA, {}, SECRET, "key_id"),
        (BrokerKind.ALPACA, {"key_id": ""}, SECRET, "key_id"),
        (BrokerKind.ALPACA, ALPACA, "", "name of the secret"),
        (BrokerKind.ALPACA, ALPACA, "Not A Name!", "cannot name a secret"),
        (BrokerKind.ALPACA, ALPACA | {"secret_key": "x"}, SECRET, "secret_key"),
        (BrokerKind.ALPACA, ALPACA | {"url": "https://evil.example.com"}, SECRET, "evil"),
        (BrokerKind.ALPACA, ALPACA | {"url": "http://paper-api.alpaca.markets"}, SECRET, "https"),
        (BrokerKind.ALPACA, ALPACA | {"url": "https://a@127.0.0.1"}, SECRET, "https"),
        (BrokerKind.ALPACA, ALPACA | {"url": "https://127.0.0.1/v2/x"}, SECRET, "https"),
        (BrokerKind.ALPACA, ALPACA | {"key_id": 5}, SECRET, "key_id"),
        (BrokerKind.ALPACA, ALPACA | {"key_id": "ä"}, SECRET, "plain text"),
        (BrokerKind.FIX, FIX | {"host": "169.254.169.254"}, "", "169.254"),
        (BrokerKind.FIX, FIX | {"host": "fix.example.com"}, "", "without TLS"),
        (BrokerKind.FIX, FIX | {"port": 0}, "", "port"),
        (BrokerKind.FIX, FIX | {"port": True}, "", "port"),
        (BrokerKind.FIX, FIX | {"heartbeat_seconds": 0}, "", "heartbeat"),
        (BrokerKind.FIX, {"host": "127.0.0.1", "port": 1, "sender": "A"}, "", "target"),
        (BrokerKind.PAPER, {"path": "/etc"}, "", "neither"),
        (BrokerKind.PAPER, {}, SECRET, "neither"),
    ],
)
def test_settings_that_make_no_sense_are_refused(firm, admin, kind, values, secret_name, word):
    with pytest.raises(Refused, match=word):
        connect(firm, admin, kind, values, secret_name)
    assert not BrokerConnection.objects.exists()


def test_the_command_connects_for_an_admin_and_says_what_is_wrong(firm, admin, capsys):
    def run(**changes):
        options = {"firm": firm.name, "kind": "FIX", "admin": admin.email}
        options["values"] = json.dumps(FIX)
        call_command("connect_broker", **{**options, **changes})

    for changes, word in [
        ({"firm": "Nobody"}, "Nobody"),
        ({"admin": "nobody@example.com"}, "nobody@example.com"),
        ({"values": "{"}, "not JSON"),
        ({"values": "[]"}, "object"),
        ({"values": "{}"}, "needs host"),
        ({"admin": make_user(firm).email}, "Only an admin"),
    ]:
        with pytest.raises(CommandError, match=word):
            run(**changes)
    run()
    assert connections.get_broker_kind(firm.pk) is BrokerKind.FIX
    entry = AuditEntry.objects.get(firm=firm, action="rebalancer.broker.connected")
    assert entry.detail["through"] == "manage.py connect_broker"
    assert "orders go to FIX" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_orders_under_way_keep_the_firm_at_its_broker():
    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", date(2020, 1, 2))])
    world.look()
    world.approve(Proposal.objects.get(firm=world.firm))
    # Not yet sent: such an order goes to whichever broker the firm has by then.
    connect(world.firm, world.admin)
    Order.objects.filter(firm=world.firm).update(status=OrderStatus.SUBMITTING)
    with pytest.raises(Conflict, match="present broker"):
        connect(world.firm, world.admin, BrokerKind.PAPER, {}, "")
    assert connections.get_broker_kind(world.firm.pk) is BrokerKind.ALPACA


@pytest.mark.django_db(transaction=True)
def test_another_broker_waits_for_whoever_puts_orders_into_blocks(firm, admin):
    done = threading.Event()

    def change():
        try:
            connect(firm, admin)
            done.set()
        finally:
            connection.close()

    changing = threading.Thread(target=change)
    with transaction.atomic():
        switches.hold_switches(firm_ids=[firm.pk])
        changing.start()
        assert not done.wait(timeout=1)
        assert connections.get_broker_kind(firm.pk) is BrokerKind.PAPER
    changing.join(timeout=30)
    assert done.is_set()
    assert connections.get_broker_kind(firm.pk) is BrokerKind.ALPACA
