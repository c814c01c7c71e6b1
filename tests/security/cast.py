"""Two firms with a person of every relation to one household, and every text of the second marked.

`CANARY-B` stands in every text of the other firm, `CANARY-C` in those of another client of ours.
"""

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, models
from django.test import Client

from accounts.domain.disclosures import DisclosureKind
from accounts.domain.roles import Role, WishKind
from accounts.models import Firm, User
from accounts.operations import consents, support
from accounts.operations.cash_needs import add_cash_need
from accounts.operations.wishes import record_wish
from portfolios.domain.kinds import ActionKind, BreakKind
from portfolios.models import ModelVersion, RefusedPrice
from portfolios.operations.breaks import close_break, open_break
from portfolios.operations.corporate_actions import ActionDetails
from rebalancer.models import CycleRun, ParkedReport, ReconciliationRun
from robo.common.row_security import FIRM_COLUMN, find_condition, read_tables
from tests import people
from tests.api.cast import HEAVY, Cast, make_cast
from tests.portfolios.actions import announce_action
from tests.rebalancer.world import NOW

CANARY_B, CANARY_C = "CANARY-B", "CANARY-C"
# Texts that mean something to the program, or that PostgreSQL checks, are left as they are.
KEPT = frozenset(
    {
        "currency",
        "exchange",
        "password",
        "symbol",
        "cron_line",
        "body",
        "salt",
        "xid",
        "quoted",
        "detail",
    }
)


@dataclass
class Scene:
    """Our firm and another one, alike to the last row, and everybody who could come."""

    ours: Cast
    theirs: Cast
    people: dict[str, User] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    their_keys: dict[str, Any] = field(default_factory=dict)

    def browser(self, name: str) -> Client:
        """Return a browser in which this person, or nobody, is signed in."""
        client = Client()
        if name != "nobody":
            people.enter(client, self.people[name])
            if name == "disabled":
                User.objects.filter(pk=self.people[name].pk).update(is_active=False)
        return client


def make_scene() -> Scene:
    """Return two firms at work; the other one's texts, and another client's, are marked."""
    ours, theirs = make_cast(), make_cast("THEIRS")
    scene = Scene(ours, theirs)
    scene.keys, scene.their_keys = _furnish(ours), _furnish(theirs)
    firm, household = ours.world.firm, ours.world.household
    scene.people = {
        **ours.people,
        "spouse": people.make_client(household),
        "disabled": people.make_user(firm),
        "supervisor": people.make_user(firm, Role.SUPERVISOR),
        "model_admin": people.make_user(firm, Role.MODEL_ADMIN),
        "operator": people.make_user(firm, Role.OPERATOR),
        "granted_operator": people.make_user(firm, Role.OPERATOR),
    }
    people.people.assign_advisor(
        household_id=household.pk,
        advisor_id=scene.people["disabled"].pk,
        actor_id=ours.people["admin"].pk,
    )
    _grant(scene)
    for role in ("client", "advisor", "admin"):
        scene.people[f"stranger_{role}"] = theirs.people[role]
    scene.people["stranger_supervisor"] = people.make_user(theirs.world.firm, Role.SUPERVISOR)
    _mark_other_client(ours)
    mark_texts(theirs.world.firm)
    return scene


def _furnish(cast: Cast) -> dict[str, Any]:
    """Put a row of everything that an address can name into a firm; return their keys."""
    firm, admin = cast.world.firm, cast.people["admin"]
    client = cast.people["client"]
    need = add_cash_need(
        account_id=cast.account.pk,
        amount=Decimal(50),
        due_date=date(2026, 12, 1),
        purpose="a boat",
        actor_id=client.pk,
    )
    wish = record_wish(
        household_id=cast.world.household.pk,
        kind=WishKind.EXCLUDE,
        subject="fossil-fuels",
        note="please",
        actor_id=client.pk,
    )
    refused = RefusedPrice.objects.create(
        firm=firm, symbol=cast.symbol, quoted="x", reason="JUMP", detail="", source="feed"
    )
    run = CycleRun.objects.create(firm=firm, label="a run", requested_by=admin)
    ReconciliationRun.objects.create(
        firm=firm, broker="PAPER", day=NOW.date(), status="FAILED", error="no answer"
    )
    report = ParkedReport.objects.create(
        firm=firm, broker="PAPER", report_key=f"scene:{firm.pk}", reason="a strange one", report={}
    )
    version = ModelVersion.objects.get(pk=cast.proposal.model_version_id)
    action, settled = _put_on_record(cast)
    text = consents.draft_disclosure(
        firm_id=firm.pk,
        kind=DisclosureKind.FEES,
        title="What it costs",
        text="Ask us.",
        user_id=admin.pk,
    )
    return {
        **cast.keys,
        "disclosure": text.public_id,
        "action": action,
        "break": settled,
        "need": getattr(need, "pk", need),
        "wish": getattr(wish, "pk", wish),
        "refused": refused.pk,
        "run": run.public_id,
        "report": report.pk,
        "number": version.number,
        "version": version.pk,
        "policy": cast.world.policy.public_id,
        "security": cast.account.holdings.first().security.public_id,
        "advisor": cast.people["colleague"].public_id,
        "person": cast.people["unassigned"].public_id,
        "sha256": "0" * 64,
        "missing": uuid.uuid4(),
        "none": 0,
        "answer": "end",
    }


def _put_on_record(cast: Cast) -> tuple[uuid.UUID, uuid.UUID]:
    """Record a corporate action of next year, and a settled break: neither stops trading."""
    holding = cast.account.holdings.first()
    action = announce_action(
        firm_id=cast.world.firm.pk,
        details=ActionDetails(
            holding.security_id,
            ActionKind.CASH_DIVIDEND,
            date(2027, 6, 1),
            cash_per_share=Decimal("0.1"),
            source="a note of the issuer",
        ),
        market_date=NOW.date(),
        actor_id=cast.people["admin"].pk,
    )
    row = open_break(
        account_id=cast.account.pk,
        security_id=holding.security_id,
        kind=BreakKind.POSITION,
        source=f"scene:{cast.account.pk}",
        ours=holding.quantity,
        theirs=holding.quantity + 1,
        note="nightly look",
    )
    close_break(
        break_id=row.pk,
        user_id=cast.people["advisor"].pk,
        note="a slip of theirs",
        now=NOW,
        theirs=holding.quantity,
    )
    return action.public_id, row.public_id


def _grant(scene: Scene) -> None:
    operator, household = scene.people["granted_operator"], scene.ours.world.household
    grant = support.request_support(
        operator_id=operator.pk, household_id=household.pk, reason="a wrong figure", hours=24
    )
    # Long enough for whatever day a test believes it is.
    support.allow_support(
        grant_id=grant.pk,
        user_id=scene.people["supervisor"].pk,
        now=max(NOW, grant.__class__.objects.get(pk=grant.pk).requested_at) + timedelta(days=1),
    )
    scene.keys["grant"] = scene.their_keys["grant"] = grant.pk


def _mark_other_client(cast: Cast) -> None:
    """Give the other client of our firm an account at work, with its mark in every text."""
    client = cast.people["other_client"]
    world = cast.world
    home = client.household
    home.name = f"{CANARY_C} household"
    home.save()
    world.household, before = home, world.household
    account = world.add_account("900", lots=HEAVY, name=f"{CANARY_C} account")
    world.household = before
    world.look()
    User.objects.filter(pk=client.pk).update(name=f"{CANARY_C} person")
    add_cash_need(
        account_id=account.pk,
        amount=Decimal(70),
        due_date=date(2026, 12, 1),
        purpose=f"{CANARY_C} purpose",
        actor_id=client.pk,
    )


def mark_texts(firm: Firm, mark: str = CANARY_B) -> int:
    """Write the mark into every free text of a firm, whatever table it is in; return how many."""
    from django.apps import apps

    count = 0
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        tables = read_tables(cursor)
        cursor.execute("SELECT set_config('app.firm', %s, true)", [str(firm.pk)])
        for model in apps.get_models():
            table = model._meta.db_table
            if table not in tables or not find_condition(tables, table):
                continue
            texts = [column for column in model._meta.local_fields if _is_free(column)]
            where = _spell_out(tables, table)
            if not texts or not where:
                continue
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for column in texts:
                name = column.column
                cursor.execute(
                    f'UPDATE {table} SET "{name}" = left(%s || {_key(model)}::text, %s)'
                    f" WHERE \"{name}\" <> '' AND {where}",
                    [f"{mark}-", column.max_length or 200],
                )
                count += cursor.rowcount
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SELECT set_config('app.firm', '', true)")
    return count


def _key(model: type[models.Model]) -> str:
    return f'"{model._meta.pk.column}"'


def _is_free(column: Any) -> bool:
    is_text = isinstance(column, models.CharField | models.TextField)
    is_plain = not isinstance(column, models.EmailField) and not column.choices
    is_hash = "hash" in column.name or "digest" in column.name or "sha256" in column.name
    is_code = column.name.endswith(("_id", "_key", "action", "kind", "status", "code", "role"))
    return is_text and is_plain and not is_hash and not is_code and column.name not in KEPT


def _spell_out(tables: Any, table: str) -> str:
    """Return the condition for the firm of `app.firm` with parents spelled out, for the owner."""
    condition = find_condition(tables, table)
    for _ in range(4):
        if " AS parent WHERE " not in condition:
            return condition
        parent = condition.rsplit("FROM ", 1)[1].split(" AS parent")[0]
        inner = find_condition(tables, parent)
        column = FIRM_COLUMN if inner.startswith(FIRM_COLUMN) else None
        if column:
            return condition[:-1] + f" AND parent.{inner})"
        # A grandparent: ask for it in the same way, one level further in.
        middle = inner.replace(" AS parent WHERE parent.", " AS elder WHERE elder.").replace(
            f"{parent}.", "parent."
        )
        elder = inner.split("FROM ")[1].split(" AS parent")[0]
        last = find_condition(tables, elder)
        if not last.startswith(FIRM_COLUMN):
            return ""
        return condition[:-1] + f" AND {middle[:-1]} AND elder.{last}))"
    return ""
