"""Deliveries of webhooks: made from the journal, signed, sent, tried again, given up.

Nothing that changes state knows of them. The journal's entry is the outbox row, written with its
change; once it is sealed into the chain it is read here, in the chain's own order and without gaps,
and becomes a delivery for every endpoint that wants the event.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from accounts import models
from accounts.domain.webhook_events import EVENTS, DeliveryStatus, schedule_retry
from accounts.domain.webhook_targets import TargetRefused, check_address, read_target
from accounts.operations.webhooks import name_place
from robo.common import outbound
from robo.common.errors import Refused
from robo.common.outbound import OutboundFailed, Route
from robo.common.secrets import SecretUnreadable, unseal

ENTRIES_A_LOOK = 1_000
# Longer than any try takes; a worker that died with a delivery loses it after this.
LEASE = timedelta(minutes=2)
SIGNATURE_HEADER = "Evenkeel-Signature"
ROUTE = Route(check_address=check_address, resolve=outbound.resolve_host)


@transaction.atomic
def collect_events(*, firm_id: int) -> int:
    """Turn new entries of the firm's journal into deliveries; return how many deliveries.

    Two at once do not double: the second waits for the cursor, and finds it moved.
    """
    cursor = models.WebhookCursor.objects.select_for_update().filter(firm_id=firm_id).first()
    if cursor is None:
        return 0  # the firm has never had a webhook
    links = list(
        models.JournalLink.objects.filter(firm_id=firm_id, seq__gt=cursor.seq)
        .select_related("entry")
        .order_by("seq")[:ENTRIES_A_LOOK]
    )
    if not links:
        return 0
    endpoints = list(models.WebhookEndpoint.objects.filter(firm_id=firm_id, is_active=True))
    told = [
        _build_delivery(endpoint, link.entry, event)
        for link in links
        if (event := EVENTS.get(link.entry.action))
        for endpoint in endpoints
        if event in endpoint.events
    ]
    models.WebhookDelivery.objects.bulk_create(told, batch_size=1_000)
    cursor.seq = links[-1].seq
    cursor.save(update_fields=["seq"])
    return len(told)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A delivery that this worker sends now, with all it needs outside of any transaction."""

    delivery_id: int
    attempts: int
    url: str
    body: bytes
    headers: dict[str, str]


def send_deliveries(*, now: datetime, luck: float, limit: int = 50, route: Route = ROUTE) -> int:
    """Send what is due, one after the other; return how many were tried.

    Each call stands between two transactions: one claims the delivery for a while, one writes down
    what came of it. `luck` from 0 to 1 spreads the retries.
    """
    for tried in range(limit):
        claim = _claim_one(now)
        if claim is None:
            return tried
        answered, error = _send(claim, route)
        _settle(claim, answered=answered, error=error, now=now, luck=luck)
    return limit


def sign(*, secret: str, sent_at: datetime, body: bytes) -> str:
    """Return the signature header: the time, and HMAC-SHA256 over time, dot and body."""
    moment = str(int(sent_at.timestamp()))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@transaction.atomic
def _claim_one(now: datetime) -> _Claim | None:
    """Claim one due delivery for the time of a lease; what cannot be signed is given up."""
    due = (
        models.WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("endpoint")
        .filter(status=DeliveryStatus.PENDING, next_attempt_at__lte=now)
        .order_by("next_attempt_at", "pk")
    )
    while (delivery := due.first()) is not None:
        delivery.attempts += 1
        delivery.next_attempt_at = now + LEASE
        try:
            secret = unseal(delivery.endpoint.sealed_secret, place=name_place(delivery.endpoint))
        except (SecretUnreadable, Refused):
            delivery.status = DeliveryStatus.GIVEN_UP
            delivery.error = "the signing secret cannot be read"
            delivery.save()
            continue
        delivery.save(update_fields=["attempts", "next_attempt_at"])
        return _build_claim(delivery, secret, now)
    return None


def _build_claim(delivery: models.WebhookDelivery, secret: str, now: datetime) -> _Claim:
    body = delivery.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Evenkeel",
        "Evenkeel-Delivery": str(delivery.public_id),
        "Evenkeel-Event": delivery.event,
        SIGNATURE_HEADER: sign(secret=secret, sent_at=now, body=body),
    }
    return _Claim(delivery.pk, delivery.attempts, delivery.endpoint.url, body, headers)


def _send(claim: _Claim, route: Route) -> tuple[int | None, str]:
    """Return the status of the answer, and what went wrong if anything did."""
    try:
        # Asked again: the list of hosts may have become shorter since the URL was entered.
        target = read_target(claim.url, allowed_hosts=settings.WEBHOOK_HOSTS)
        status = outbound.post(
            host=target.host,
            port=target.port,
            path=target.path,
            body=claim.body,
            headers=claim.headers,
            route=route,
        )
    except (TargetRefused, OutboundFailed) as error:
        return None, str(error)
    return status, "" if 200 <= status < 300 else f"the answer was {status}"


@transaction.atomic
def _settle(claim: _Claim, *, answered: int | None, error: str, now: datetime, luck: float) -> None:
    """Write down what came of a try, unless somebody has decided on the delivery meanwhile."""
    delivery = models.WebhookDelivery.objects.select_for_update(no_key=True).get(
        pk=claim.delivery_id
    )
    if delivery.status != DeliveryStatus.PENDING or delivery.attempts != claim.attempts:
        return
    delivery.answered, delivery.error = answered, error[:200]
    if not error:
        delivery.status, delivery.delivered_at = DeliveryStatus.DELIVERED, now
    else:
        retry_at = schedule_retry(attempts=delivery.attempts, now=now, luck=luck)
        if retry_at is None:
            delivery.status = DeliveryStatus.GIVEN_UP
        else:
            delivery.next_attempt_at = retry_at
    delivery.save()


def _build_delivery(
    endpoint: models.WebhookEndpoint, entry: models.AuditEntry, event: str
) -> models.WebhookDelivery:
    delivery = models.WebhookDelivery(
        firm_id=endpoint.firm_id, endpoint=endpoint, entry=entry, event=event
    )
    # Ids only: whoever gets this asks the API for the rest, with a token of its own.
    facts = {
        "id": str(delivery.public_id),
        "event": event,
        "object_id": entry.object_id,
        "recorded_at": entry.recorded_at.isoformat(),
    }
    delivery.body = json.dumps(facts, separators=(",", ":"))
    return delivery
