"""The stage of a run: servers, a firm of small accounts, proposals, and people with browsers."""

import http.client
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import django

from robo.localservices import LocalServices
from robo.processes import Child
from tests.chaos.nursery import Nursery

PEOPLE = 2
OLD = date(2020, 1, 2)
# Not a limit that is to be tried here; a test of thousands of calls from one person.
BUDGET = "1000000"


@dataclass
class Stage:
    """Everything a run holds on to."""

    folder: Path
    nursery: Nursery
    rng: Random
    admin_url: str
    services: LocalServices | None = None
    firm: Any = None
    people: list[Any] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def broker_socket(self) -> str:
        """Return the broker's socket file."""
        return str(self.folder / "broker.sock")

    @property
    def broker_url(self) -> str:
        """Return where the broker's process listens."""
        return f"unix://{self.broker_socket}"

    @property
    def broker_path(self) -> str:
        """Return the broker's durable list."""
        return str(self.folder / "broker.sqlite3")

    def get_server(self, name: str) -> Child:
        """Return one of our own servers."""
        assert self.services is not None
        return next(child for child in self.services.children if child.name == name)

    def start(self, name: str) -> int:
        """Start a program by its name (what stands before a dash says which); return its number."""
        program = name.split("-")[0]
        terms: dict[str, Any] = {"url": self.broker_url}
        if program == "broker":
            terms = {"path": self.broker_path, "socket": self.broker_socket}
        elif program == "web":
            terms["bind"] = f"127.0.0.1:{self.port}"
        elif program == "beat":
            terms["schedule"] = str(self.folder / f"{name}-schedule")
        return self.nursery.start(name, program, **terms)


@contextmanager
def open_stage(seed: int, *, is_here: bool, fsync: bool = False) -> Iterator[Stage]:
    """Start servers (`is_here`: use those in the environment) and the nursery."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL's own user must reach the data when we are root
    services = None if is_here else LocalServices(folder, fsync=fsync)
    nursery = None
    try:
        if services is not None:
            services.start()
            from robo.pytest_services import point_settings_at

            point_settings_at(services.runtime_dir)
        os.environ |= {
            "EVENKEEL_API_READS_PER_MINUTE": BUDGET,
            "EVENKEEL_API_WRITES_PER_MINUTE": BUDGET,
            # Nobody is there to prove again who they are.
            "EVENKEEL_STEP_UP_MINUTES": "720",
            "EVENKEEL_IDLE_MINUTES_STAFF": "720",
            "LOG_LEVEL": "WARNING",
        }
        django.setup()
        from tests.chaos.programs import PROGRAMS

        _import_all()
        nursery = Nursery(PROGRAMS, folder / "logs")
        admin_url = os.environ["DATABASE_URL"].replace("//robo@", "//robo_admin@")
        stage = Stage(folder, nursery, Random(seed), admin_url, services)
        stage.port = _find_port()
        if services is not None:
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
        yield stage
    finally:
        if nursery is not None:
            nursery.close()
        if services is not None:
            services.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _import_all() -> None:
    """Import what the programs would each import at their start."""
    import importlib

    for name in ("robo.urls", "robo.api_urls", "robo.celery", "robo.wsgi", "gunicorn.app.wsgiapp"):
        importlib.import_module(name)
    for name in ("gunicorn.workers.gthread", "celery.bin.worker", "celery.apps.beat"):
        importlib.import_module(name)


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- The firm ------------------------------------------------------------------------------------


def make_firm(stage: Stage, accounts: int) -> None:
    """Make a firm of so many small accounts, with advisors who are signed in."""
    from django.test import override_settings

    from accounts.domain.roles import Role
    from rebalancer.operations import limits
    from tests import people
    from tests.faults.firm import SimFirm
    from tests.rebalancer.world import SECURITIES, make_world

    with override_settings(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ):
        world = make_world(name=f"Chaos {uuid.uuid4().hex[:8]}")
        supervisors = [people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2)]
        operator = people.make_user(world.firm, Role.OPERATOR)
    # The same trades come again every minute, which the detector would be right to refuse.
    row = limits.propose_limits(
        firm_id=world.firm.pk,
        user_id=world.admin.pk,
        values={"duplicate_minutes": 0, "account_turnover_max": Decimal(9)},
        reason="Tried out.",
    )
    limits.approve_limits(limit_set_id=row.pk, user_id=supervisors[0].pk)
    rng, opening_cash, opening_shares = stage.rng, {}, {}
    for _number in range(accounts):
        cash = str(rng.choice((500, 4000, 20000)))
        lots = [
            (symbol, str(rng.randint(20, 120)), str(rng.randint(900, 5000)), OLD)
            for symbol in SECURITIES
        ]
        account = world.add_account(cash, lots=lots)
        opening_cash[account.pk] = Decimal(cash)
        for symbol, quantity, _cost, _day in lots:
            opening_shares[account.pk, world.security_ids[symbol]] = Decimal(quantity)
    stage.firm = SimFirm(world, supervisors, operator, opening_cash, opening_shares)
    stage.people = [world.advisor, world.colleague]
    stage.cookies = [sign_in(user) for user in stage.people]


def bring_positions(stage: Stage) -> None:
    """Tell the broker what the accounts hold already; once, whatever happens."""
    from rebalancer.brokers.paper import PaperBroker

    broker = PaperBroker(Path(stage.broker_path), seed=7)
    symbols = {pk: symbol for symbol, pk in stage.firm.world.security_ids.items()}
    for account in stage.firm.world.accounts:
        moved = [("", stage.firm.opening_cash[account.pk])]
        moved += [
            (symbols[security_id], quantity)
            for (account_id, security_id), quantity in stage.firm.opening_shares.items()
            if account_id == account.pk
        ]
        for symbol, quantity in moved:
            broker.transfer(
                key=f"{account.pk}:{symbol}",
                account_number=str(account.public_id),
                symbol=symbol,
                quantity=quantity,
            )


def sign_in(user: Any) -> str:
    """Return the cookie of somebody who has just given their password."""
    from django.conf import settings
    from django.test import Client

    from tests.people import enter

    browser = Client()
    enter(browser, user)
    return f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"


def next_day(stage: Stage) -> None:
    """Go on to the next session, with prices that have moved a little."""
    from tests.rebalancer.world import SECURITIES

    firm, rng = stage.firm, stage.rng
    day = firm.today + timedelta(days=1 if firm.today.weekday() < 4 else 7 - firm.today.weekday())
    quotes = {
        symbol: str(
            (Decimal(price) * (1000 + rng.randint(-20, 20)) / 1000).quantize(Decimal("0.01"))
        )
        for symbol, (_class, price, _step) in SECURITIES.items()
    }
    firm.world.set_prices(day, **quotes)


def propose(stage: Stage, accounts: Sequence[Any]) -> int:
    """Prepare a proposal for each of these accounts that may have one; return how many."""
    from accounts.queries.people import get_service_user
    from rebalancer.domain.plan import PlanRefused
    from robo.common import clock
    from tests.faults.firm import prepare_proposal

    maker_id, made = get_service_user(stage.firm.pk).pk, 0
    for account in accounts:
        try:
            made += prepare_proposal(
                stage.firm, account, stage.rng, maker_id=maker_id, now=clock.now()
            )
        except PlanRefused:
            # A random plan may break a promise of plans, which is not what this is about.
            continue
    return made


def list_pending(stage: Stage) -> list[tuple[str, str]]:
    """Return (public id, content hash) of every proposal that waits for a decision."""
    from rebalancer.models import Proposal

    return [
        (str(public_id), content_hash)
        for public_id, content_hash in Proposal.objects.filter(
            firm_id=stage.firm.pk, status="PENDING"
        )
        .order_by("pk")
        .values_list("public_id", "content_hash")
    ]


# --- People with browsers ------------------------------------------------------------------------


def post_approval(stage: Stage, person: int, public_id: str, content_hash: str) -> tuple[int, str]:
    """Approve over HTTP; return (status, body), or (0, what happened) without an answer."""
    token = "t" * 32
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=30)
    try:
        connection.request(
            "POST",
            f"/api/v1/proposals/{public_id}/approve/",
            json.dumps({"content_hash": content_hash}),
            {
                "Content-Type": "application/json",
                "Cookie": f"{stage.cookies[person]}; csrftoken={token}",
                "X-CSRFToken": token,
                "Idempotency-Key": uuid.uuid4().hex,
            },
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def is_web_up(stage: Stage) -> bool:
    """Say whether the web server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)
    try:
        connection.request("GET", "/health/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
