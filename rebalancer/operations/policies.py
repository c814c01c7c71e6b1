"""Writes to rebalancing policies; each edit is a new revision with its difference on record."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.operations.audit import AuditRecord, record_audit_entries, record_audit_entry
from accounts.queries import people, planning
from portfolios.domain.tax.lot_methods import LotMethod
from portfolios.queries.securities import list_groupings
from rebalancer import models
from rebalancer.domain.kinds import CapKind, Schedule
from rebalancer.domain.schedule import CronLineRefused, check_cron_line
from robo.common.errors import Refused

EDITABLE = (
    "name",
    "trigger",
    "schedule",
    "cron_line",
    "band_level",
    "band_measure",
    "absolute_band",
    "relative_band",
    "band_floor",
    "destination",
    "min_trade_amount",
    "cash_floor_amount",
    "need_horizon_days",
    "approval_hours_max",
    "price_tolerance",
    "willingness",
    "drift_measure",
    "risk_aversion",
    "risk_horizon_years",
    "tracking_error_max",
    "destination_share",
    "hurdle_bps",
    "ticket_price",
    "commission_fixed",
    "commission_bps",
    "turnover_max",
    "caps",
    "lot_method",
    "harvests_losses",
    "harvest_benefit_min",
    "harvest_drift_max",
    "hold_for_long_term_days",
    "transition_years",
    "transition_start_year",
    "is_active",
)
CAPS_MAX = 50


@transaction.atomic
def save_policy(
    *, policy_id: int | None, firm_id: int, user_id: int, values: Mapping[str, Any]
) -> models.Policy:
    """Create a policy, or change one; proposals made under the old terms can no longer be approved.

    :raises Refused: when a value is unknown or out of range, naming it.
    """
    unknown = set(values) - set(EDITABLE)
    if unknown:
        raise Refused(f"A policy has no {', '.join(sorted(unknown))}.")
    if policy_id is None:
        policy = models.Policy(firm_id=firm_id)
    else:
        policy = models.Policy.objects.select_for_update().get(pk=policy_id, firm_id=firm_id)
    before = {name: str(getattr(policy, name)) for name in EDITABLE} if policy.pk else {}
    for name, value in values.items():
        setattr(policy, name, value)
    _check_terms(policy)
    try:
        policy.full_clean(exclude=["firm"])
        if policy.pk:
            policy.revision += 1
        with transaction.atomic():
            policy.save()
    except ValidationError as error:
        raise Refused("; ".join(error.messages)) from error
    except IntegrityError:
        raise Refused(f"There is a policy called {policy.name!r} already.") from None
    policy.refresh_from_db()
    after = {name: str(getattr(policy, name)) for name in EDITABLE}
    changed = {
        name: [before.get(name, ""), after[name]]
        for name in EDITABLE
        if before.get(name) != after[name]
    }
    record_audit_entry(
        firm_id=firm_id,
        actor_id=user_id,
        action="rebalancer.policy.changed" if before else "rebalancer.policy.created",
        object_id=str(policy.public_id),
        summary=f"{'Changed' if before else 'Created'} the policy {policy.name}",
        detail={"changed": changed, "revision": policy.revision},
    )
    return policy


def _check_terms(policy: models.Policy) -> None:
    """Check what columns cannot, and spell caps as the firm does.

    :raises Refused: naming the term that makes no sense.
    """
    policy.caps = _check_caps(policy.firm_id, policy.caps)
    if policy.lot_method == LotMethod.SPECIFIED:
        raise Refused("Lots can be named for one sale only, not in a policy.")
    if policy.transition_years and not policy.transition_start_year:
        raise Refused("Say in which year the transition begins.")
    if policy.schedule == Schedule.CRON:
        try:
            check_cron_line(policy.cron_line)
        except CronLineRefused as error:
            raise Refused(f"The cron line is not understood: {error}") from error


def _check_caps(firm_id: int, caps: object) -> list[dict[str, str]]:
    """Return caps as they are stored, named as the firm spells its classes and securities.

    :raises Refused: naming the cap that makes no sense.
    """
    if not isinstance(caps, list) or len(caps) > CAPS_MAX:
        raise Refused(f"Caps are a list of at most {CAPS_MAX}.")
    known = list_groupings(firm_id) if caps else {}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for cap in caps:
        if not isinstance(cap, Mapping) or set(cap) != {"kind", "name", "max_weight"}:
            raise Refused("A cap has a kind, a name and a largest weight.")
        kind, name = str(cap["kind"]), str(cap["name"]).strip()
        if kind not in list(CapKind):
            raise Refused(f"There are no caps on a {kind}; there are on {', '.join(CapKind)}.")
        spelt = {entry.casefold(): entry for entry in known[kind.lower()]}.get(name.casefold())
        if spelt is None:
            raise Refused(f"No security of the firm is of the {_call(kind)} “{name}”.")
        if (kind, spelt) in found:
            raise Refused(f"There are two caps on the {_call(kind)} “{spelt}”.")
        weight = _read_weight(cap["max_weight"])
        if weight is None:
            raise Refused(f"The cap on “{spelt}” must lie between 0 and 1.")
        found[kind, spelt] = {"kind": kind, "name": spelt, "max_weight": f"{weight:f}"}
    return list(found.values())


def _call(kind: str) -> str:
    return kind.lower().replace("_", " ")


def _read_weight(value: object) -> Decimal | None:
    try:
        weight = Decimal(str(value))
    except InvalidOperation:
        return None
    return weight if weight.is_finite() and 0 <= weight <= 1 else None


@transaction.atomic
def assign_policy(*, account_ids: Sequence[int], policy_id: int, user_id: int) -> None:
    """Make these accounts follow a policy.

    :raises Refused: when an account belongs to another firm than the policy.
    """
    policy = models.Policy.objects.get(pk=policy_id)
    if not set(account_ids) <= set(people.list_account_ids(policy.firm_id)):
        raise Refused("One of these accounts is not the firm's.")
    models.PolicyAssignment.objects.bulk_create(
        [
            models.PolicyAssignment(account_id=account_id, policy=policy)
            for account_id in account_ids
        ],
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["policy"],
    )
    names = planning.get_account_names(account_ids)
    record_audit_entries(
        [
            AuditRecord(
                firm_id=policy.firm_id,
                actor_id=user_id,
                household_id=names[account_id].household_id,
                action="rebalancer.policy.assigned",
                object_id=str(policy.public_id),
                summary=f"{names[account_id].name} follows the policy {policy.name}",
            )
            for account_id in account_ids
        ]
    )
