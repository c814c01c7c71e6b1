"""Webhooks: which addresses of a firm are told of events, and sending a delivery once more."""

import secrets
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts import models
from accounts.domain.roles import Role
from accounts.domain.webhook_events import EVENT_NAMES, DeliveryStatus
from accounts.domain.webhook_targets import TargetRefused, read_target
from accounts.operations.audit import record_audit_entry
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.secrets import seal

ENDPOINTS_MAX = 20


def name_place(endpoint: models.WebhookEndpoint) -> str:
    """Return the place for which an endpoint's signing secret is sealed."""
    return f"firm {endpoint.firm_id} webhook {endpoint.public_id}"


@transaction.atomic
def add_endpoint(
    *, firm_id: int, url: str, events: Collection[str], actor_id: int
) -> tuple[models.WebhookEndpoint, str]:
    """Have a URL told of events; return its row and the signing secret, which is shown only here.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    :raises Refused: for a URL that may not be called, or events that are none.
    :raises Conflict: when the URL is told already, or the firm has as many as it may.
    """
    _require_admin(firm_id, actor_id)
    try:
        read_target(url, allowed_hosts=settings.WEBHOOK_HOSTS)
    except TargetRefused as refusal:
        raise Refused(str(refusal)) from None
    unknown = sorted(set(events) - set(EVENT_NAMES))
    if unknown or not events:
        raise Refused(f"{unknown[0]} is no event." if unknown else "Choose at least one event.")
    # Whoever else changes this firm's endpoints waits here; and what happened before is not told.
    models.Firm.objects.select_for_update(no_key=True).get(pk=firm_id)
    mine = models.WebhookEndpoint.objects.filter(firm_id=firm_id, is_active=True)
    if mine.filter(url=url).exists():
        raise Conflict("This address is told of events already.")
    if mine.count() >= ENDPOINTS_MAX:
        raise Conflict(f"A firm has at most {ENDPOINTS_MAX} webhooks.")
    if not mine.exists():
        _begin_at_the_end(firm_id)
    secret = "whsec_" + secrets.token_urlsafe(32)
    endpoint = models.WebhookEndpoint(
        firm_id=firm_id, url=url, events=sorted(set(events)), created_by_id=actor_id
    )
    endpoint.sealed_secret = seal(secret, place=name_place(endpoint))
    endpoint.save()
    _record(endpoint, actor_id, "added", f"Events are told to {url}")
    return endpoint, secret


@transaction.atomic
def remove_endpoint(*, endpoint_id: int, actor_id: int) -> None:
    """Tell a URL no more; what still waits for it is given up. A second time changes nothing.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    """
    endpoint = models.WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
    _require_admin(endpoint.firm_id, actor_id)
    if not endpoint.is_active:
        return
    endpoint.is_active = False
    endpoint.save(update_fields=["is_active"])
    endpoint.deliveries.filter(status=DeliveryStatus.PENDING).update(
        status=DeliveryStatus.GIVEN_UP, error="the webhook was removed"
    )
    _record(endpoint, actor_id, "removed", f"Events are no longer told to {endpoint.url}")


@transaction.atomic
def replay_delivery(*, delivery_id: int, now: datetime, actor_id: int) -> None:
    """Send a delivery again, with all its tries before it; its id stays, so it can be recognised.

    :raises NotAllowed: when it is not an admin of the firm who asks.
    :raises Conflict: when it waits to be sent anyway, or its webhook was removed.
    """
    delivery = (
        models.WebhookDelivery.objects.select_for_update(no_key=True, of=("self",))
        .select_related("endpoint")
        .get(pk=delivery_id)
    )
    _require_admin(delivery.firm_id, actor_id)
    if delivery.status == DeliveryStatus.PENDING:
        raise Conflict("This delivery is on its way already.")
    if not delivery.endpoint.is_active:
        raise Conflict("The webhook of this delivery was removed.")
    delivery.status = DeliveryStatus.PENDING
    delivery.attempts = 0
    delivery.next_attempt_at = now
    delivery.save(update_fields=["status", "attempts", "next_attempt_at"])
    _record(delivery.endpoint, actor_id, "replayed", f"{delivery.event} is told again")


def _begin_at_the_end(firm_id: int) -> None:
    """Have the cursor begin with what comes next."""
    last = models.JournalLink.objects.filter(firm_id=firm_id).order_by("-seq").first()
    models.WebhookCursor.objects.update_or_create(
        firm_id=firm_id, defaults={"seq": last.seq if last else 0}
    )


def _require_admin(firm_id: int, actor_id: int) -> None:
    is_admin = models.User.objects.filter(
        pk=actor_id, firm_id=firm_id, is_active=True, role=Role.ADMIN
    ).exists()
    if not is_admin:
        raise NotAllowed("Only an admin may change webhooks.")


def _record(endpoint: models.WebhookEndpoint, actor_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=endpoint.firm_id,
        actor_id=actor_id,
        action=f"accounts.webhook.{event}",
        object_id=str(endpoint.public_id),
        summary=summary,
        detail={"events": endpoint.events},
    )
