"""What the pages of the controls show: switches, limits and their use today, halts, hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from accounts.domain.roles import Role
from rebalancer import models
from rebalancer.domain.limits import (
    CHOICES,
    FIELD_NAMES,
    LABELS,
    UNITS,
    Limits,
    LimitStatus,
    SwitchScope,
)
from rebalancer.queries import controls

if TYPE_CHECKING:
    from accounts.models import Account, Firm, User

HISTORY_LENGTH = 8
SCOPE_RANKS = {scope.value: rank for rank, scope in enumerate(SwitchScope)}


@dataclass(frozen=True, slots=True)
class StopLine:
    """A switch that is on, as a person reads it."""

    switch: models.Switch
    what: str
    may_ask: bool
    may_clear: bool


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit: its figure, what was used of it today if that is counted, and what is proposed."""

    label: str
    unit: str
    value: Decimal | int | str
    used: Decimal | int | None
    proposed: Decimal | int | str | None

    @property
    def share(self) -> Decimal:
        """How much of it is used, from 0 to 1."""
        if self.used is None or not self.value:
            return Decimal(0)
        return min(Decimal(1), Decimal(self.used) / Decimal(self.value))


@dataclass(frozen=True, slots=True)
class LimitsPage:
    """The limits in force with today's use, what is proposed, and the revisions before."""

    lines: Sequence[LimitLine]
    in_force: models.LimitSet | None
    proposed: models.LimitSet | None
    history: Sequence[models.LimitSet]


@dataclass(frozen=True, slots=True)
class Banner:
    """What a page says at its top while something is stopped."""

    text: str
    is_everything: bool


def list_stops(
    *, switches: QuerySet[models.Switch], user: "User", may_set: set[str], may_clear: set[str]
) -> list[StopLine]:
    """Return what is stopped and what this person may do about it, the widest first."""
    rows = switches.select_related("account__household", "security", "set_by", "clear_asked_by")
    lines = []
    for row in sorted(rows.order_by("set_at"), key=lambda row: SCOPE_RANKS[row.scope]):
        setter = row.set_by
        is_client_s = setter is not None and setter.role == Role.CLIENT and setter.is_active
        lines.append(
            StopLine(
                switch=row,
                what=describe_stop(row),
                may_ask=row.clear_asked_by_id is None
                and row.scope in may_set
                and (not is_client_s or user.role == Role.CLIENT),
                may_clear=row.clear_asked_by_id not in (None, user.pk) and row.scope in may_clear,
            )
        )
    return lines


def describe_stop(row: models.Switch) -> str:
    """Return what a switch stops, as the start of a line."""
    match SwitchScope(row.scope):
        case SwitchScope.ALL:
            return "All trading, of every firm"
        case SwitchScope.FIRM:
            return "All trading of the firm"
        case SwitchScope.ACCOUNT if row.account:
            return f"{row.account.household.name}, {row.account.name}"
        case SwitchScope.SECURITY if row.security:
            return f"The security {row.security.symbol}"
    return f"Everything sent to {row.broker.title()}"


def load_limits_page(*, firm: "Firm", now: datetime) -> LimitsPage:
    """Return a firm's limits with what was used of them today."""
    rows = list(
        models.LimitSet.objects.filter(firm=firm)
        .select_related("proposed_by", "decided_by")
        .order_by("-revision")[:HISTORY_LENGTH]
    )
    in_force = next((row for row in rows if row.status == LimitStatus.IN_FORCE), None)
    proposed = next((row for row in rows if row.status == LimitStatus.PROPOSED), None)
    limits = controls.get_limits([firm.pk])[firm.pk]
    use = controls.get_use(
        firm_id=firm.pk, session_date=controls.find_session(firm, limits, now).session_date
    )
    counted: dict[str, Decimal | int] = {
        "firm_amount_max": use.amount,
        "firm_orders_max": use.order_count,
        "rate_per_minute": _get_rate(firm.pk, now),
    }
    wanted = controls.read_limits(proposed) if proposed else limits
    return LimitsPage(
        lines=[_build_line(name, limits, wanted, counted.get(name)) for name in FIELD_NAMES],
        in_force=in_force,
        proposed=proposed,
        history=[row for row in rows if row not in (in_force, proposed)],
    )


def _build_line(name: str, limits: Limits, wanted: Limits, used: Decimal | int | None) -> LimitLine:
    value, proposed = getattr(limits, name), getattr(wanted, name)
    if name in CHOICES:
        value, proposed = CHOICES[name][value], CHOICES[name][proposed]
    return LimitLine(
        label=LABELS[name],
        unit=UNITS.get(name, ""),
        value=value,
        used=used,
        proposed=proposed if proposed != value else None,
    )


def _get_rate(firm_id: int, now: datetime) -> int:
    """Return how many instructions went in the last minute that any went in, if that is now."""
    row = models.RateUse.objects.filter(firm_id=firm_id).first()
    return row.used if row and now - row.minute < timedelta(minutes=1) else 0


def find_account_stops(account: "Account") -> QuerySet[models.Switch]:
    """Return every switch under which nothing of this account is sent."""
    return models.Switch.objects.filter(is_stopped=True).filter(
        Q(scope=SwitchScope.ALL)
        | Q(scope=SwitchScope.FIRM, firm_id=account.firm_id)
        | Q(scope=SwitchScope.ACCOUNT, account=account)
    )


def build_banner(user: "User") -> Banner | None:
    """Return what is stopped, for the top of every page of this person; one query.

    Clients are told at the same time as staff, without the reasons that staff gave.
    """
    conditions = Q(scope=SwitchScope.ALL) | Q(firm_id=user.firm_id)
    if user.role == Role.CLIENT:
        conditions = Q(scope__in=[SwitchScope.ALL, SwitchScope.FIRM]) & conditions
        conditions |= Q(account__household_id=user.household_id)
    rows = sorted(
        models.Switch.objects.filter(conditions, is_stopped=True).values_list("scope", "reason"),
        key=lambda row: SCOPE_RANKS[row[0]],
    )
    if not rows:
        return None
    widest, reason = rows[0]
    is_everything = widest in (SwitchScope.ALL, SwitchScope.FIRM)
    if user.role == Role.CLIENT:
        what = "Trading is" if is_everything else "Trading of one of your accounts is"
        return Banner(f"{what} paused for now. What you own stays as it is.", is_everything)
    if is_everything:
        return Banner(f"All trading is stopped: {reason}", is_everything=True)
    return Banner(f"Stopped now: {_count(rows)}.", is_everything=False)


def _count(rows: Sequence[tuple[str, str]]) -> str:
    nouns = {
        SwitchScope.ACCOUNT: ("account", "accounts"),
        SwitchScope.SECURITY: ("security", "securities"),
        SwitchScope.BROKER: ("broker", "brokers"),
    }
    parts = []
    for scope, (one, many) in nouns.items():
        count = sum(row[0] == scope for row in rows)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)
