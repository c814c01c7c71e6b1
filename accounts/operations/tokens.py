"""Service tokens: create, revoke, and let a bearer in. Only a token's hash is kept."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import models
from accounts.domain.roles import Role
from accounts.domain.scopes import SCOPE_WORDS, Scope, is_in_networks, list_permissions
from accounts.operations.audit import record_audit_entry
from accounts.queries.people import get_service_user
from robo.common import tenancy
from robo.common.errors import Conflict, NotAllowed, Refused

PREFIX = "evk_"
HINT_LENGTH = len(PREFIX) + 6
TOKEN_LENGTH_MAX = 200
LIFETIME_MAX = timedelta(days=366)
NAME_LENGTH_MAX = 80
TOKENS_MAX = 50
# The moment of last use is written this often at most: a busy token would rewrite its row all day.
USE_NOTED_EVERY = timedelta(minutes=1)


class TokenRefused(Exception):
    """The bearer is not let in; the text says why, for the log, never for the bearer."""


@transaction.atomic
def create_token(
    *,
    firm_id: int,
    name: str,
    scopes: Collection[Scope],
    networks: Sequence[str],
    expires_at: datetime,
    now: datetime,
    actor_id: int,
) -> tuple[models.ServiceToken, str]:
    """Make a token that acts for the firm; return its row and the secret, which exists only here.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    :raises Refused: without a name or scope, or for an end that is past or above a year away.
    :raises Conflict: when the firm has as many usable tokens as it may.
    """
    _require_admin(firm_id, actor_id)
    if not name.strip() or len(name) > NAME_LENGTH_MAX:
        raise Refused(f"A token has a name of 1 to {NAME_LENGTH_MAX} characters.")
    if not scopes:
        raise Refused("Choose at least one thing that the token may do.")
    if not now < expires_at <= now + LIFETIME_MAX:
        raise Refused("A token ends after today, and within a year.")
    # Whoever else makes a token of this firm waits here, so that the count below holds.
    models.Firm.objects.select_for_update(no_key=True).get(pk=firm_id)
    if _usable(now).filter(firm_id=firm_id).count() >= TOKENS_MAX:
        raise Conflict(f"The firm has {TOKENS_MAX} usable tokens already: revoke one first.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = models.ServiceToken.objects.create(
        firm_id=firm_id,
        name=name.strip(),
        digest=_digest(secret),
        hint=secret[:HINT_LENGTH],
        scopes=sorted(str(scope) for scope in set(scopes)),
        networks=list(networks),
        created_by_id=actor_id,
        expires_at=expires_at,
    )
    may = "; ".join(SCOPE_WORDS[Scope(scope)] for scope in token.scopes)
    _record(token, actor_id, "created", f"The token {token.name} was made. It may: {may}")
    return token, secret


@transaction.atomic
def revoke_token(*, token_id: int, now: datetime, actor_id: int) -> None:
    """End a token at once; a second time changes nothing.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    """
    token = models.ServiceToken.objects.select_for_update(no_key=True).get(pk=token_id)
    _require_admin(token.firm_id, actor_id)
    if token.revoked_at is not None:
        return
    token.revoked_at = now
    token.revoked_by_id = actor_id
    token.save(update_fields=["revoked_at", "revoked_by"])
    _record(token, actor_id, "revoked", f"The token {token.name} was revoked")


def admit_bearer(
    *, secret: str, address: str, now: datetime
) -> tuple[models.User, models.ServiceToken]:
    """Return the firm's engine with the scopes of this token, and the token.

    :raises TokenRefused: when there is no such token, or it is over, or not to be used from there.
    :raises FirmMixedUp: when the request came with the cookie of somebody of another firm as well.
    """
    if not secret.startswith(PREFIX) or len(secret) > TOKEN_LENGTH_MAX:
        raise TokenRefused("not one of ours")
    # Found by its hash: how long that takes tells nothing about a secret of 256 random bits.
    token = models.ServiceToken.objects.filter(digest=_digest(secret)).first()
    if token is None:
        raise TokenRefused("unknown")
    if token.revoked_at is not None:
        raise TokenRefused(f"token {token.public_id} was revoked")
    if now >= token.expires_at:
        raise TokenRefused(f"token {token.public_id} has expired")
    if not is_in_networks(address, token.networks):
        raise TokenRefused(f"token {token.public_id} is not to be used from this network")
    tenancy.enter_firm(token.firm_id)
    user = get_service_user(token.firm_id)
    user.token_permissions = list_permissions(token.scopes)
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    models.ServiceToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return user, token


def _usable(now: datetime) -> QuerySet[models.ServiceToken]:
    return models.ServiceToken.objects.filter(revoked_at__isnull=True, expires_at__gt=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _require_admin(firm_id: int, actor_id: int) -> None:
    is_admin = models.User.objects.filter(
        pk=actor_id, firm_id=firm_id, is_active=True, role=Role.ADMIN
    ).exists()
    if not is_admin:
        raise NotAllowed("Only an admin may make or revoke tokens.")


def _record(token: models.ServiceToken, actor_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=token.firm_id,
        actor_id=actor_id,
        action=f"accounts.token.{event}",
        object_id=str(token.public_id),
        summary=summary,
        detail={"scopes": token.scopes, "networks": token.networks},
    )
