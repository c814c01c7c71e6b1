"""What the pages of the controls show: switches, limits and their use today, halts, hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Q, QuerySet, Value

from accounts.domain.roles import Role
from portfolios.queries.halts import halts_in_force
from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_ORDER, ProposalStatus
from rebalancer.domain.limits import (
    CHOICES,
    FIELD_NAMES,
    LABELS,
    UNITS,
    Limits,
    LimitStatus,
    SwitchScope,
)
from rebalancer.domain.stops import tell_client_paused
from rebalancer.queries import controls

if TYPE_CHECKING:
    from accounts.models import Account, Firm, User

HISTORY_LENGTH = 8
WAITING_SHOWN_MAX = 3
HALT = "HALT"  # beside the scopes of switches
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
    """What a page says at its top while something is stopped, or orders wait for a halt."""

    text: str
    is_everything: bool
    waiting: Sequence[str] = ()  # sentences about single securities


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


def build_banner(
    *, user: "User", accounts: "QuerySet[Account] | None", now: datetime
) -> Banner | None:
    """Return what is stopped, for the top of every page of this person; two queries at most.

    Clients are told at the same time as staff, without the reasons that staff gave. Of a single
    security they are told while orders of theirs wait for it, and so is whoever looks after
    `accounts` (None: nobody's).
    """
    is_client = user.role == Role.CLIENT
    rows = _list_stopped(user, now if accounts is not None else None)
    switches = [row for row in rows if row.scope in SCOPE_RANKS]
    is_everything = bool(switches) and switches[0].scope in (SwitchScope.ALL, SwitchScope.FIRM)
    waiting: Sequence[str] = ()
    if accounts is not None and not is_everything:
        held = {row.security_id: row for row in rows if row.security_id is not None}
        waiting = _say_what_waits(held, accounts, is_client=is_client)
    told = [row for row in switches if not is_client or row.security_id is None]
    if not told and not waiting:
        return None
    return Banner(_say_what_is_stopped(told, is_client=is_client), is_everything, waiting)


class _Stopped(NamedTuple):
    """A switch that is on, or a halt."""

    scope: str
    reason: str
    security_id: int | None
    symbol: str | None


def _list_stopped(user: "User", now: datetime | None) -> list[_Stopped]:
    """Return what is stopped for this person, the widest first, with halts at `now` if given."""
    conditions = Q(scope=SwitchScope.ALL) | Q(firm_id=user.firm_id)
    if user.role == Role.CLIENT:
        wide = [SwitchScope.ALL, SwitchScope.FIRM, SwitchScope.SECURITY]
        conditions &= Q(scope__in=wide)
        conditions |= Q(account__household_id=user.household_id)
    columns = ("reason", "security_id", "security__symbol")
    found = models.Switch.objects.filter(conditions, is_stopped=True).values_list("scope", *columns)
    if now is not None:
        halts = halts_in_force(firm_id=user.firm_id, now=now)
        # One question for every page: what is stopped, by whatever means.
        found = found.union(halts.values_list(Value(HALT), *columns), all=True)
    rows = [_Stopped(*row) for row in found]
    return sorted(
        rows, key=lambda row: (SCOPE_RANKS.get(row.scope, len(SCOPE_RANKS)), row.symbol or "")
    )


def _say_what_is_stopped(rows: Sequence[_Stopped], *, is_client: bool) -> str:
    """Return what switches stop, the widest first; empty when none does."""
    if not rows:
        return ""
    is_everything = rows[0].scope in (SwitchScope.ALL, SwitchScope.FIRM)
    if is_client:
        what = "Trading is" if is_everything else "Trading of one of your accounts is"
        return f"{what} paused for now. What you own stays as it is."
    if is_everything:
        return f"All trading is stopped: {rows[0].reason}"
    return f"Stopped now: {_count([row.scope for row in rows])}."


def _say_what_waits(
    held: Mapping[int, _Stopped], accounts: "QuerySet[Account]", *, is_client: bool
) -> Sequence[str]:
    """Return sentences about the securities that are held up and wanted; one query, or none."""
    if not held:
        return ()
    of_accounts = accounts.order_by().values("pk")
    ids = models.Order.objects.filter(
        security_id__in=held, account__in=of_accounts, status__in=sorted(OPEN_ORDER)
    ).values_list("security_id")
    if not is_client:
        # What waits for a decision is an advisor's to know, not yet a client's.
        ids = ids.union(
            models.Trade.objects.filter(
                security_id__in=held,
                proposal__account__in=of_accounts,
                proposal__status=ProposalStatus.PENDING,
            ).values_list("security_id")
        )
    wanted = sorted(
        (held[security_id] for security_id in {row[0] for row in ids}),
        key=lambda row: row.symbol or "",
    )
    if not wanted:
        return ()
    if is_client:
        return (tell_client_paused([row.symbol or "" for row in wanted]),)
    lines = [
        f"Orders or proposals wait for {row.symbol}, which is "
        f"{'halted' if row.scope == HALT else 'stopped'}: {row.reason}"
        for row in wanted
    ]
    more = len(lines) - WAITING_SHOWN_MAX
    return [*lines[:WAITING_SHOWN_MAX], *([f"And they wait for {more} more."] if more > 0 else [])]


def _count(scopes: Sequence[str]) -> str:
    nouns = {
        SwitchScope.ACCOUNT: ("account", "accounts"),
        SwitchScope.SECURITY: ("security", "securities"),
        SwitchScope.BROKER: ("broker", "brokers"),
    }
    parts = []
    for scope, (one, many) in nouns.items():
        count = scopes.count(scope)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)
