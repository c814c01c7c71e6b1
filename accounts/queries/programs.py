"""Reads about programs: a firm's service tokens, webhooks with their deliveries, and secrets."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts import models
from accounts.domain.secret_names import SecretStatus
from accounts.domain.webhook_events import DeliveryStatus


def list_tokens(firm_id: int) -> QuerySet[models.ServiceToken]:
    """Return a firm's tokens, newest first, those that are over included."""
    tokens = models.ServiceToken.objects.filter(firm_id=firm_id)
    return tokens.select_related("created_by", "revoked_by").order_by("-pk")


def find_token(*, firm_id: int, public_id: UUID) -> models.ServiceToken | None:
    """Return a token of the firm, or None."""
    return list_tokens(firm_id).filter(public_id=public_id).first()


def list_endpoints(firm_id: int) -> QuerySet[models.WebhookEndpoint]:
    """Return a firm's webhooks that are told of events, with how many deliveries wait or failed."""
    endpoints = models.WebhookEndpoint.objects.filter(firm_id=firm_id, is_active=True)
    return (
        endpoints.select_related("created_by")
        .annotate(
            waiting=Count("deliveries", filter=Q(deliveries__status=DeliveryStatus.PENDING)),
            failed=Count("deliveries", filter=Q(deliveries__status=DeliveryStatus.GIVEN_UP)),
        )
        .order_by("url")
    )


def find_endpoint(*, firm_id: int, public_id: UUID) -> models.WebhookEndpoint | None:
    """Return a webhook of the firm, or None."""
    endpoints = models.WebhookEndpoint.objects.filter(firm_id=firm_id)
    return endpoints.filter(public_id=public_id).first()


def list_deliveries(firm_id: int) -> QuerySet[models.WebhookDelivery]:
    """Return a firm's deliveries, newest first."""
    deliveries = models.WebhookDelivery.objects.filter(firm_id=firm_id)
    return deliveries.select_related("endpoint").order_by("-pk")


def find_delivery(*, firm_id: int, public_id: UUID) -> models.WebhookDelivery | None:
    """Return a delivery of the firm, or None."""
    return list_deliveries(firm_id).filter(public_id=public_id).first()


def list_secrets(firm_id: int) -> Sequence[models.FirmSecret]:
    """Return a firm's secrets in use and those that wait for a second person, without values."""
    rows = models.FirmSecret.objects.filter(
        firm_id=firm_id, status__in=[SecretStatus.ACTIVE, SecretStatus.PENDING]
    )
    return list(
        rows.defer("sealed_value").select_related("set_by", "decided_by").order_by("name", "status")
    )


def find_waiting_secret(*, firm_id: int, public_id: UUID) -> models.FirmSecret | None:
    """Return a value of the firm that waits for a second person, or waited, or None."""
    return models.FirmSecret.objects.filter(firm_id=firm_id, public_id=public_id).first()
