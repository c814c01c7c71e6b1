"""Secrets of a firm: one person writes a value, another puts it into use, nobody reads it back.

Only an operation that needs a value to do its work calls `read_secret`; no page or endpoint does.
"""

from django.db import transaction
from django.db.models.functions import Now

from accounts import models
from accounts.domain.roles import Role
from accounts.domain.secret_names import SECRET_LENGTH_MAX, SecretStatus, is_secret_name
from accounts.operations.audit import record_audit_entry
from accounts.operations.second_factors import reseal_factors
from robo.common import secrets
from robo.common.errors import Conflict, NotAllowed, Refused

CONFIRMERS = (Role.ADMIN, Role.SUPERVISOR)


class SecretMissing(Refused):
    """The firm has no secret of this name in use."""


def read_secret(*, firm_id: int, name: str) -> str:
    """Return the value in use.

    :raises SecretMissing: when there is none.
    :raises SecretUnreadable: when none of our keys opens it.
    """
    row = models.FirmSecret.objects.filter(
        firm_id=firm_id, name=name, status=SecretStatus.ACTIVE
    ).first()
    if row is None:
        raise SecretMissing(f"The secret {name} has not been set, or nobody has confirmed it.")
    return secrets.unseal(row.sealed_value, place=_place(firm_id, name))


@transaction.atomic
def set_secret(*, firm_id: int, name: str, value: str, actor_id: int) -> models.FirmSecret:
    """Keep a new value, which is not used before a second person confirms it.

    A value that still waits under this name is dropped for the new one.

    :raises NotAllowed: when it is not an admin of the firm who sets it.
    :raises Refused: for a name or value that cannot be one, or without a key to encrypt with.
    """
    _require(firm_id, actor_id, (Role.ADMIN,), "Only an admin may set a secret.")
    if not is_secret_name(name):
        raise Refused(f"{ascii(name[:80])} cannot name a secret: write it like broker.key_id.")
    if not value or len(value) > SECRET_LENGTH_MAX or "\x00" in value:
        raise Refused(f"A secret has 1 to {SECRET_LENGTH_MAX} characters.")
    sealed = secrets.seal(value, place=_place(firm_id, name))
    # Whoever else sets or confirms this firm's secrets waits here.
    models.Firm.objects.select_for_update(no_key=True).get(pk=firm_id)
    models.FirmSecret.objects.filter(
        firm_id=firm_id, name=name, status=SecretStatus.PENDING
    ).update(status=SecretStatus.REFUSED, decided_by_id=actor_id, decided_at=Now())
    row = models.FirmSecret.objects.create(
        firm_id=firm_id, name=name, sealed_value=sealed, set_by_id=actor_id
    )
    _record(row, actor_id, "set", f"A new value of the secret {name} waits for a second person")
    return row


@transaction.atomic
def confirm_secret(*, secret_id: int, actor_id: int) -> None:
    """Put a waiting value into use in place of the one before.

    :raises NotAllowed: when it is the person who set it, or neither an admin nor a supervisor.
    :raises Conflict: when it no longer waits.
    """
    row = _lock_waiting(secret_id)
    _require(row.firm_id, actor_id, CONFIRMERS, "Only an admin or a supervisor may confirm it.")
    if row.set_by_id == actor_id:
        raise NotAllowed("You set this value, so somebody else must confirm it.")
    now = Now()
    models.FirmSecret.objects.filter(
        firm_id=row.firm_id, name=row.name, status=SecretStatus.ACTIVE
    ).update(status=SecretStatus.REPLACED)
    row.status = SecretStatus.ACTIVE
    row.decided_by_id = actor_id
    row.decided_at = now
    row.save(update_fields=["status", "decided_by", "decided_at"])
    _record(row, actor_id, "confirmed", f"The new value of the secret {row.name} is in use")


@transaction.atomic
def refuse_secret(*, secret_id: int, actor_id: int) -> None:
    """Drop a waiting value; whoever set it may do so too.

    :raises NotAllowed: when it is neither an admin nor a supervisor.
    :raises Conflict: when it no longer waits.
    """
    row = _lock_waiting(secret_id)
    _require(row.firm_id, actor_id, CONFIRMERS, "Only an admin or a supervisor may refuse it.")
    row.status = SecretStatus.REFUSED
    row.decided_by_id = actor_id
    row.decided_at = Now()
    row.save(update_fields=["status", "decided_by", "decided_at"])
    _record(row, actor_id, "refused", f"The new value of the secret {row.name} was dropped")


@transaction.atomic
def rotate_secrets() -> int:
    """Encrypt every stored secret anew with the first key; return how many there were.

    :raises SecretUnreadable: when a row cannot be opened; then nothing is changed.
    :raises SecretsKeyMissing: when no key is configured.
    """
    rows = list(models.FirmSecret.objects.select_for_update().order_by("pk"))
    for row in rows:
        row.sealed_value = secrets.reseal(row.sealed_value)
    models.FirmSecret.objects.bulk_update(rows, ["sealed_value"], batch_size=500)
    endpoints = list(models.WebhookEndpoint.objects.select_for_update().order_by("pk"))
    for endpoint in endpoints:
        endpoint.sealed_secret = secrets.reseal(endpoint.sealed_secret)
    models.WebhookEndpoint.objects.bulk_update(endpoints, ["sealed_secret"], batch_size=500)
    return len(rows) + len(endpoints) + reseal_factors()


def _place(firm_id: int, name: str) -> str:
    return f"firm {firm_id} secret {name}"


def _lock_waiting(secret_id: int) -> models.FirmSecret:
    firm_id = models.FirmSecret.objects.values_list("firm_id", flat=True).get(pk=secret_id)
    models.Firm.objects.select_for_update(no_key=True).get(pk=firm_id)
    row = models.FirmSecret.objects.select_for_update(no_key=True).get(pk=secret_id)
    if row.status != SecretStatus.PENDING:
        raise Conflict("This value no longer waits: somebody has decided on it.")
    return row


def _require(firm_id: int, actor_id: int, roles: tuple[Role, ...], refusal: str) -> None:
    is_one = models.User.objects.filter(
        pk=actor_id, firm_id=firm_id, is_active=True, role__in=roles
    ).exists()
    if not is_one:
        raise NotAllowed(refusal)


def _record(row: models.FirmSecret, actor_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=row.firm_id,
        actor_id=actor_id,
        action=f"accounts.secret.{event}",
        object_id=str(row.public_id),
        summary=summary,
        detail={"name": row.name},
    )
