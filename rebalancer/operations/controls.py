"""Setting and clearing switches: one person stops, two different people let things go on.

A stop is in force when its transaction has committed, and waits for senders that are at work. The
roles and the person are read from the database at the moment of the act.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.operations.notices import announce_stop
from accounts.queries import people
from portfolios.queries.halts import get_symbol
from rebalancer import models
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations.switches import lock_for_change
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import User

REASON_LENGTH_MAX = 300
# What happened longer ago is told nobody any more: the mail that says so has been cleared away.
TOLD_DAYS = 7
# The engine (SERVICE) stops by itself what its own proofs find untrue; it never clears anything.
MAY_SET: Mapping[SwitchScope, frozenset[Role]] = {
    SwitchScope.ALL: frozenset({Role.OPERATOR, Role.SERVICE}),
    SwitchScope.FIRM: frozenset({Role.SUPERVISOR, Role.ADMIN, Role.OPERATOR, Role.SERVICE}),
    SwitchScope.ACCOUNT: frozenset(
        {Role.CLIENT, Role.ADVISOR, Role.SUPERVISOR, Role.ADMIN, Role.SERVICE}
    ),
    SwitchScope.SECURITY: frozenset({Role.SUPERVISOR, Role.ADMIN, Role.OPERATOR, Role.SERVICE}),
    SwitchScope.BROKER: frozenset({Role.SUPERVISOR, Role.ADMIN, Role.OPERATOR, Role.SERVICE}),
}
# Who says the second yes. What stops every firm is no single firm's to release.
MAY_CLEAR: Mapping[SwitchScope, frozenset[Role]] = {
    scope: frozenset({Role.OPERATOR if scope is SwitchScope.ALL else Role.SUPERVISOR})
    for scope in SwitchScope
}


@transaction.atomic
def set_switch(
    *,
    scope: SwitchScope,
    user_id: int,
    reason: str,
    account_id: int | None = None,
    security_id: int | None = None,
    broker: str = "",
) -> models.Switch:
    """Stop everything in a scope; a request to clear it that is open falls.

    :raises NotAllowed: when this person may not stop that much.
    :raises Refused: without a reason, or when what is to be stopped is not named.
    :raises Conflict: when it is stopped already.
    """
    user, scope = _read_user(user_id), SwitchScope(scope)
    if user.role not in MAY_SET[scope]:
        raise NotAllowed("Stopping this much is for somebody else to do.")
    reason = _read_reason(reason, "Say in a few words why trading should stop.")
    firm_id = None if scope is SwitchScope.ALL else user.firm_id
    _check_target(scope, user, account_id, security_id, broker)
    lock_for_change(firm_id)
    target: dict[str, Any] = {
        "scope": scope,
        "firm_id": firm_id,
        "account_id": account_id,
        "security_id": security_id,
        "broker": broker,
    }
    switch, _is_new = models.Switch.objects.select_for_update(of=["self"]).get_or_create(**target)
    if switch.is_stopped and switch.clear_asked_by_id is None:
        raise Conflict(f"{describe(switch)} is stopped already: {switch.reason}")
    switch.is_stopped = True
    switch.reason, switch.set_by, switch.set_at = reason, user, Now()
    switch.clear_asked_by = switch.cleared_by = None
    switch.clear_asked_at = switch.cleared_at = None
    switch.clear_reason = ""
    switch.save()
    _audit(switch, user, "set", f"Stopped {describe(switch)}", reason)
    switch.refresh_from_db()
    if scope is not SwitchScope.ALL:
        _announce(switch)
    return switch


@transaction.atomic
def ask_to_clear(*, switch_id: int, user_id: int, reason: str) -> models.Switch:
    """Ask, as the first of two people, that a switch be cleared.

    :raises NotAllowed: when this person may not, or when a client stopped it and did not ask.
    :raises Refused: without a reason.
    :raises Conflict: when it is not stopped, or somebody asked already.
    """
    switch, user = _lock(switch_id, user_id)
    if user.role not in MAY_SET[SwitchScope(switch.scope)] - {Role.SERVICE}:
        raise NotAllowed("Asking to clear this is for somebody else to do.")
    reason = _read_reason(reason, "Say in a few words why trading can go on.")
    if switch.clear_asked_by_id is not None:
        raise Conflict("Somebody asked to clear it already; another person confirms.")
    setter = switch.set_by
    if setter and setter.role == Role.CLIENT and setter.is_active and user.role != Role.CLIENT:
        raise NotAllowed(f"{setter.name} stopped this account, and must ask for it to go on.")
    switch.clear_asked_by, switch.clear_asked_at, switch.clear_reason = user, Now(), reason
    switch.save(update_fields=["clear_asked_by", "clear_asked_at", "clear_reason"])
    _audit(switch, user, "clear_asked", f"Asked for {describe(switch)} to go on", reason)
    switch.refresh_from_db()
    return switch


@transaction.atomic
def clear_switch(*, switch_id: int, user_id: int) -> models.Switch:
    """Let things go on, as the second person.

    :raises NotAllowed: when this person may not, or is the one who asked.
    :raises Conflict: when it is not stopped, or nobody has asked.
    """
    switch, user = _lock(switch_id, user_id)
    if user.role not in MAY_CLEAR[SwitchScope(switch.scope)]:
        raise NotAllowed("Clearing this is for somebody else to confirm.")
    if switch.clear_asked_by_id is None:
        raise Conflict("Nobody has asked to clear it: that takes two people.")
    if switch.clear_asked_by_id == user.pk:
        raise NotAllowed("You asked to clear it, so somebody else must confirm.")
    switch.is_stopped = False
    switch.cleared_by, switch.cleared_at = user, Now()
    switch.save(update_fields=["is_stopped", "cleared_by", "cleared_at"])
    _audit(switch, user, "cleared", f"Let {describe(switch)} go on", switch.clear_reason)
    switch.refresh_from_db()
    if switch.scope != SwitchScope.ALL:
        _announce(switch)
    return switch


def describe(switch: models.Switch) -> str:
    """Return what a switch stops, in words that go on after "Stopped"."""
    match SwitchScope(switch.scope):
        case SwitchScope.ALL:
            return "all trading"
        case SwitchScope.FIRM:
            return "the firm's trading"
        case SwitchScope.ACCOUNT:
            return f"trading of {switch.account.name if switch.account else 'an account'}"
        case SwitchScope.SECURITY:
            return f"trading of {switch.security.symbol if switch.security else 'a security'}"
    return f"sending to the broker {switch.broker}"


def _read_user(user_id: int) -> "User":
    user = people.get_user(user_id)
    if not user.is_active:
        raise NotAllowed("This person can no longer act for the firm.")
    return user


def _read_reason(reason: str, question: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise Refused(question)
    return reason[:REASON_LENGTH_MAX]


def _check_target(
    scope: SwitchScope,
    user: "User",
    account_id: int | None,
    security_id: int | None,
    broker: str,
) -> None:
    """Check that exactly what the scope needs is named, and is the firm's (a client's: their own).

    :raises Refused: otherwise.
    """
    named = (account_id is not None, security_id is not None, bool(broker))
    wanted = tuple(
        scope is one for one in (SwitchScope.ACCOUNT, SwitchScope.SECURITY, SwitchScope.BROKER)
    )
    if named != wanted:
        raise Refused("Name exactly what should be stopped.")
    if account_id is not None:
        account = people.get_account(account_id)
        if account.firm_id != user.firm_id:
            raise Refused("This account is not the firm's.")
        if user.role == Role.CLIENT and account.household_id != user.household_id:
            raise NotAllowed("This account is not yours.")
        if user.role == Role.ADVISOR and not any(
            row.advisor_id == user.pk for row in people.list_assignments(account.household_id)
        ):
            raise NotAllowed("You do not look after this account.")
    if security_id is not None and get_symbol(firm_id=user.firm_id, security_id=security_id) == "":
        raise Refused("This security is not the firm's.")
    if broker and broker not in list(BrokerKind):
        raise Refused(f"There is no broker called {broker}.")


def _lock(switch_id: int, user_id: int) -> tuple[models.Switch, "User"]:
    """Return a switch that is on, locked, and the person, who may act on it.

    :raises NotAllowed: when it is another firm's, or an account that the person has no part in.
    :raises Conflict: when it is not stopped.
    """
    user = _read_user(user_id)
    row = models.Switch.objects.get(pk=switch_id)
    if row.firm_id not in (None, user.firm_id):
        raise NotAllowed("This switch is not the firm's.")
    _check_target(SwitchScope(row.scope), user, row.account_id, row.security_id, row.broker)
    lock_for_change(row.firm_id)
    switch = (
        models.Switch.objects.select_for_update(of=["self"])
        .select_related("account", "security", "set_by")
        .get(pk=switch_id)
    )
    if not switch.is_stopped:
        raise Conflict("It is not stopped any more.")
    return switch, user


def _audit(switch: models.Switch, user: "User", event: str, summary: str, reason: str) -> None:
    """Leave a trace with the person's own firm; a stop of all firms is the operator's act."""
    record_audit_entry(
        firm_id=user.firm_id,
        actor_id=user.pk,
        action=f"rebalancer.switch.{event}",
        household_id=switch.account.household_id if switch.account else None,
        object_id=str(switch.public_id),
        summary=f"{summary}: {reason}",
        detail={
            "scope": switch.scope,
            "account": str(switch.account.public_id) if switch.account else "",
            "security": switch.security.symbol if switch.security else "",
            "broker": switch.broker,
            "reason": reason,
        },
    )


@transaction.atomic
def announce_stop_of_all() -> int:
    """Tell everybody of every firm that all trading is stopped, or goes on; return how many.

    Workers do it: whoever set the switch sees the people of one firm only. Repeating tells nobody
    twice, and what was cleared before anybody looked is told as going on.
    """
    lately = Now() - timedelta(days=TOLD_DAYS)
    switch = (
        models.Switch.objects.filter(scope=SwitchScope.ALL)
        .filter(Q(is_stopped=True, set_at__gt=lately) | Q(is_stopped=False, cleared_at__gt=lately))
        .first()
    )
    return _announce(switch) if switch else 0


def _announce(switch: models.Switch) -> int:
    """Tell clients and staff at one instant, so that nobody trades on having heard of it first."""
    moment = switch.set_at if switch.is_stopped else switch.cleared_at
    return announce_stop(
        firm_id=switch.firm_id,
        account_id=switch.account_id,
        is_stopped=switch.is_stopped,
        what=describe(switch),
        event=f"{switch.public_id}:{moment.isoformat() if moment else ''}",
    )
