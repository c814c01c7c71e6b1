"""Which broker a firm's orders go to, and the door to it."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.domain.roles import Role
from accounts.domain.secret_names import is_secret_name
from accounts.operations.audit import record_audit_entry
from accounts.operations.secrets import read_secret, set_secret
from accounts.queries import people
from rebalancer import models
from rebalancer.brokers.fix import FixBroker, FixConnection, FixStore
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.paper.client import PaperClient
from rebalancer.brokers.paper.dial import parse_dial
from rebalancer.brokers.paper.server import PaperServer
from rebalancer.brokers.port import Abilities, Broker
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus
from rebalancer.operations.switches import lock_for_change
from robo.common.errors import Conflict, NotAllowed, Refused

_TEXT_LENGTH_MAX = 120
_PORT_MAX = 65535
_SERVER_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class AlpacaSettings:
    """How to reach an account at Alpaca; the secret is the key's secret part."""

    key_id: str
    url: str = "https://paper-api.alpaca.markets"


@dataclass(frozen=True, slots=True)
class FixSettings:
    """How to reach a FIX session; the secret, if any, is the password of the log-on."""

    host: str
    port: int
    sender: str
    target: str
    username: str = ""
    has_tls: bool = True
    heartbeat_seconds: int = 30
    has_unique_ids: bool = False
    has_fractions: bool = False
    has_blocks: bool = True


_Settings = TypeVar("_Settings", AlpacaSettings, FixSettings)


# --- Which one -----------------------------------------------------------------------------------


def get_broker_kind(firm_id: int) -> BrokerKind:
    """Return which broker a firm's orders go to; a firm without a connection uses the paper one."""
    kind = (
        models.BrokerConnection.objects.filter(firm_id=firm_id)
        .values_list("kind", flat=True)
        .first()
    )
    return BrokerKind.PAPER if kind is None else BrokerKind(kind)


def get_paper_broker() -> PaperBroker | PaperClient:
    """Return the paper broker: the process at PAPER_BROKER_URL, or one inside ours."""
    if settings.PAPER_BROKER_URL:
        return PaperClient(settings.PAPER_BROKER_URL)
    return PaperBroker(settings.PAPER_BROKER_PATH, seed=settings.PAPER_BROKER_SEED)


def get_broker(*, firm_id: int) -> Broker:
    """Return the door to a firm's broker.

    :raises Refused: when its connection lacks something, such as a secret nobody has confirmed.
    """
    connection = models.BrokerConnection.objects.filter(firm_id=firm_id).first()
    if connection is None or connection.kind == BrokerKind.PAPER:
        return get_paper_broker()
    if connection.kind == BrokerKind.ALPACA:
        # Half a second of imports that only firms at Alpaca have to wait for.
        from rebalancer.brokers.alpaca import AlpacaBroker

        alpaca = _read_settings(AlpacaSettings, connection.settings)
        secret = read_secret(firm_id=firm_id, name=connection.secret_name)
        return AlpacaBroker(key_id=alpaca.key_id, secret_key=secret, url=alpaca.url)
    return _make_fix_broker(connection)


def _make_fix_broker(connection: models.BrokerConnection) -> FixBroker:
    fix = _read_settings(FixSettings, connection.settings)
    password = ""
    if connection.secret_name:
        password = read_secret(firm_id=connection.firm_id, name=connection.secret_name)
    # Another session of the same firm has numbers, and ids of executions, of its own.
    session = f"{connection.firm_id}:{fix.host}:{fix.sender}:{fix.target}"
    digest = hashlib.sha256(session.encode()).hexdigest()
    name = f"fix-{connection.firm_id}-{digest[:10]}.sqlite3"
    return FixBroker(
        FixConnection(
            host=fix.host,
            port=fix.port,
            sender=fix.sender,
            target=fix.target,
            username=fix.username,
            password=password,
            has_tls=fix.has_tls,
            heartbeat_seconds=fix.heartbeat_seconds,
        ),
        FixStore(Path(settings.BROKER_STATE_DIR) / name, prefix=digest[:10]),
        abilities=Abilities(
            has_unique_ids=fix.has_unique_ids,
            has_fractions=fix.has_fractions,
            has_limit_orders=True,
            has_blocks=fix.has_blocks,
        ),
    )


# --- Connecting ----------------------------------------------------------------------------------


@transaction.atomic
def connect_broker(
    *,
    firm_id: int,
    kind: BrokerKind,
    connection_settings: Mapping[str, Any],
    secret_name: str,
    actor_id: int,
    secret_value: str = "",
    through: str = "",
) -> models.BrokerConnection:
    """Send a firm's future orders to another broker; its key waits in the firm's secrets.

    A `secret_value` is kept there encrypted, and not used before a second person confirms it.

    `through` is for the journal: how the admin was asked, where that was not a signed-in page.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    :raises Refused: for settings that are incomplete, unknown, secret, or of a host not allowed.
    :raises Conflict: while orders are at the broker that the firm has now.
    """
    actor = people.get_user(actor_id)
    if actor.firm_id != firm_id or actor.role != Role.ADMIN or not actor.is_active:
        raise NotAllowed("Only an admin of the firm may connect a broker.")
    _check_settings(kind, connection_settings, secret_name)
    # Whoever puts orders into blocks for the present broker is waited for, and then counted.
    lock_for_change(firm_id)
    under_way = OPEN_ORDER - {OrderStatus.NEW}
    if models.Order.objects.filter(firm_id=firm_id, status__in=under_way).exists():
        raise Conflict(
            "Orders are still at the present broker: connect another when they are closed."
        )
    if secret_value:
        if not secret_name:
            raise Refused("Name the secret that you gave a value for.")
        set_secret(firm_id=firm_id, name=secret_name, value=secret_value, actor_id=actor_id)
    connection, _is_new = models.BrokerConnection.objects.update_or_create(
        firm_id=firm_id,
        defaults={
            "kind": kind,
            "settings": dict(connection_settings),
            "secret_name": secret_name,
            "connected_by_id": actor_id,
            "connected_at": Now(),
        },
    )
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        action="rebalancer.broker.connected",
        object_id=str(firm_id),
        summary=f"Orders go to the broker {kind} from now on",
        detail={
            "kind": kind.value,
            "settings": dict(connection_settings),
            "secret": secret_name,
            "through": through,
        },
    )
    return connection


def _check_settings(kind: BrokerKind, values: Mapping[str, Any], secret_name: str) -> None:
    if secret_name and not is_secret_name(secret_name):
        raise Refused(f"{ascii(secret_name[:80])} cannot name a secret: write it like broker.key.")
    match kind:
        case BrokerKind.ALPACA:
            alpaca = _read_settings(AlpacaSettings, values)
            parts = urlsplit(alpaca.url)
            is_plain = parts.scheme == "https" or _is_local(parts.hostname)
            if not is_plain or parts.username or parts.query or parts.path.strip("/"):
                raise Refused("Alpaca's address is https://host, with nothing behind it.")
            _check_host(parts.hostname)
            if not secret_name:
                raise Refused("Alpaca needs the name of the secret that holds the key.")
        case BrokerKind.FIX:
            fix = _read_settings(FixSettings, values)
            _check_host(fix.host)
            if not fix.has_tls and not _is_local(fix.host):
                raise Refused("FIX without TLS is only for a broker on this machine.")
            if not 0 < fix.port <= _PORT_MAX or not 1 <= fix.heartbeat_seconds <= 300:
                raise Refused("The port is 1 to 65535, the heartbeat 1 to 300 seconds.")
        case _:
            if values or secret_name:
                raise Refused("The paper broker has neither settings nor a secret.")


def _is_local(host: str | None) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


def _check_host(host: str | None) -> None:
    if not host or host not in settings.BROKER_HOSTS:
        raise Refused(
            f"{ascii(str(host)[:80])} is not among the brokers' hosts that this installation allows"
            " (EVENKEEL_BROKER_HOSTS)."
        )


def _read_settings(kind: type[_Settings], values: Mapping[str, Any]) -> _Settings:
    """Return settings of a kind. Refused: a name or a value is not what it should be."""
    known = {field.name: field for field in fields(kind)}
    for name, value in values.items():
        field = known.get(name)
        if field is None:
            raise Refused(f"{ascii(name[:40])} is no setting of this broker; a secret never is.")
        if type(value) is not field.type:
            raise Refused(f"{name} cannot be {ascii(value)[:40]}.")
        if isinstance(value, str) and (not value.isascii() or len(value) > _TEXT_LENGTH_MAX):
            raise Refused(f"{name} is a plain text of up to {_TEXT_LENGTH_MAX} characters.")
    missing = [
        name
        for name, field in known.items()
        if field.default is MISSING and values.get(name) in (None, "")
    ]
    if missing:
        raise Refused(f"This broker needs {missing[0]}.")
    return kind(**values)


def serve_paper_broker(
    *,
    path: Path,
    address: tuple[str, int] | Path,
    tick_seconds: float,
    dial: Mapping[str, Any] | None,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Serve the paper broker until `stop` is set. OSError: it cannot listen there."""
    broker = PaperBroker(path, seed=settings.PAPER_BROKER_SEED)
    if dial is not None:
        broker.set_dial(parse_dial(dial))
    with PaperServer(address, broker) as server:
        serving = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": _SERVER_POLL_SECONDS}
        )
        serving.start()
        try:
            ready()
            if tick_seconds > 0:
                server.tick_forever(tick_seconds, stop)
            else:
                stop.wait()
        finally:
            server.shutdown()
            serving.join()
