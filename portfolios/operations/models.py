"""Every write of model portfolios: drafts, review, publication, and who follows which model."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.operations.audit import record_audit_entry
from accounts.queries.people import get_account
from portfolios import models
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.model_lifecycle import (
    IN_WORK,
    ModelEvent,
    TransitionRefused,
    WeightsRefused,
    advance,
    check_weights,
)
from robo.common.errors import Conflict, NotAllowed, Refused


class DraftRefused(Refused):
    """A draft breaks a rule of model portfolios; the text names the culprit."""


class WrongState(Conflict):
    """The version is not in a state in which this can happen."""


class FourEyes(NotAllowed):
    """Whoever wrote a version may not publish it."""


@transaction.atomic
def create_model(*, firm_id: int, name: str, description: str, actor_id: int) -> int:
    """Add a model portfolio without any version; return its id.

    :raises Conflict: when the firm has a model of that name.
    :raises DraftRefused: when the name is empty.
    """
    if not name.strip():
        raise DraftRefused("A model needs a name.")
    try:
        with transaction.atomic():
            model = models.ModelPortfolio.objects.create(
                firm_id=firm_id, name=name.strip(), description=description.strip()
            )
    except IntegrityError as error:
        raise Conflict(f"There is already a model named {name.strip()}.") from error
    _audit(model, actor_id, "created", f"Created the model {model.name}", {})
    return model.pk


@transaction.atomic
def save_draft(
    *,
    model_id: int,
    weights: Mapping[int, Decimal],
    cash_weight: Decimal,
    reason: str,
    actor_id: int,
) -> models.ModelVersion:
    """Save a model's draft: target weights by security id, as fractions that with cash make one.

    Starts the next version when none is in work. Whoever saves it becomes its author.

    :raises DraftRefused: naming each weight or security at fault.
    :raises WrongState: when the version in work is being reviewed.
    """
    model = _lock_model(model_id)
    _check_draft(model.firm_id, weights, cash_weight)
    version = model.versions.filter(status__in=IN_WORK).first()
    if version is None:
        newest = model.versions.aggregate(newest=Max("number"))["newest"] or 0
        version = models.ModelVersion(model=model, number=newest + 1, status=ModelStatus.DRAFT)
    version.status = _next_status(version, ModelEvent.SAVE)
    version.cash_weight = cash_weight
    version.author_id = actor_id
    version.reason = reason.strip()[:300]
    version.save()
    version.weights.all().delete()
    models.ModelWeight.objects.bulk_create(
        models.ModelWeight(version=version, security_id=security_id, weight=weight)
        for security_id, weight in sorted(weights.items())
    )
    detail = {str(security_id): str(weight) for security_id, weight in sorted(weights.items())}
    _audit(
        model,
        actor_id,
        "draft_saved",
        f"Saved version {version.number} of {model.name} as a draft",
        {"weights": detail, "cash": str(cash_weight), "reason": version.reason},
    )
    return version


@transaction.atomic
def submit_for_review(*, version_id: int, actor_id: int) -> None:
    """Hand a draft to somebody else for review.

    :raises WrongState: when it is not a draft.
    :raises DraftRefused: when it no longer holds, for instance because a security was retired.
    """
    version = _lock_version(version_id)
    status = _next_status(version, ModelEvent.SUBMIT)
    _check_stored(version)
    _set_status(version, status)
    _audit_version(version, actor_id, "submitted", "Submitted for review:")


@transaction.atomic
def return_to_draft(*, version_id: int, reason: str, actor_id: int) -> None:
    """Send a version in review back to be changed.

    :raises WrongState: when it is not in review.
    """
    version = _lock_version(version_id)
    _set_status(version, _next_status(version, ModelEvent.RETURN))
    _audit_version(version, actor_id, "returned", "Returned to draft:", reason.strip())


@transaction.atomic
def publish_model(*, version_id: int, now: datetime, actor_id: int) -> None:
    """Put a reviewed version in force and retire the one before it.

    :raises FourEyes: when the publisher is its author.
    :raises WrongState: when it is not in review.
    :raises DraftRefused: when it no longer holds.
    """
    version = _lock_version(version_id)
    status = _next_status(version, ModelEvent.PUBLISH)
    if version.author_id == actor_id:
        raise FourEyes("You wrote this version; somebody else has to publish it.")
    _check_stored(version)
    # Retired first: the database allows one published version of a model at any moment.
    for previous in version.model.versions.filter(status=ModelStatus.PUBLISHED):
        _set_status(previous, _next_status(previous, ModelEvent.RETIRE))
    version.publisher_id = actor_id
    version.published_at = now
    version.status = status
    version.save(update_fields=["publisher", "published_at", "status"])
    _audit_version(version, actor_id, "published", "Published:")


@transaction.atomic
def map_risk_score(*, firm_id: int, score: int, model_id: int | None, actor_id: int) -> None:
    """Say which model a risk score leads to; None takes the mapping away.

    :raises Refused: when the score is not 1 to 10, or the model is not a published one of the firm.
    """
    if not 1 <= score <= 10:
        raise Refused(f"{score} is not a risk score; they go from 1 to 10.")
    if model_id is None:
        models.RiskMapping.objects.filter(firm_id=firm_id, score=score).delete()
        said = "no model"
    else:
        model = _get_published(firm_id, model_id)
        models.RiskMapping.objects.update_or_create(
            firm_id=firm_id, score=score, defaults={"model": model}
        )
        said = model.name
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        action="portfolios.risk_mapping.changed",
        object_id=str(score),
        summary=f"Risk score {score} now leads to {said}",
        detail={"model": model_id},
    )


@transaction.atomic
def assign_model(*, account_id: int, model_id: int, actor_id: int) -> None:
    """Make an account follow a model.

    :raises Refused: when the model is not a published one of the account's firm.
    """
    account = get_account(account_id)
    model = _get_published(account.firm_id, model_id)
    models.ModelAssignment.objects.update_or_create(
        account_id=account_id, defaults={"model": model}
    )
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=account.household_id,
        action="portfolios.account.model_assigned",
        object_id=str(account.public_id),
        summary=f"{account.name} now follows {model.name}",
        detail={"model": str(model.public_id)},
    )


def _lock_model(model_id: int) -> models.ModelPortfolio:
    return models.ModelPortfolio.objects.select_for_update(no_key=True).get(pk=model_id)


def _lock_version(version_id: int) -> models.ModelVersion:
    """Lock the whole model, so that its versions change one at a time, and return the version."""
    model_id = models.ModelVersion.objects.values_list("model_id", flat=True).get(pk=version_id)
    _lock_model(model_id)
    return models.ModelVersion.objects.select_related("model").get(pk=version_id)


def _next_status(version: models.ModelVersion, event: ModelEvent) -> ModelStatus:
    try:
        return advance(version.status, event)
    except TransitionRefused as error:
        raise WrongState(str(error)) from error


def _set_status(version: models.ModelVersion, status: ModelStatus) -> None:
    version.status = status
    version.save(update_fields=["status"])


def _check_stored(version: models.ModelVersion) -> None:
    weights = dict(version.weights.values_list("security_id", "weight"))
    _check_draft(version.model.firm_id, weights, version.cash_weight)


def _check_draft(firm_id: int, weights: Mapping[int, Decimal], cash_weight: Decimal) -> None:
    securities = {
        security.pk: security
        for security in models.Security.objects.filter(
            firm_id=firm_id, pk__in=weights
        ).select_related("asset_class")
    }
    if len(securities) != len(weights):
        raise DraftRefused("A model may hold only securities of your firm's own list.")
    faults = []
    for security in sorted(securities.values(), key=lambda row: row.symbol):
        if not security.is_active:
            faults.append(f"{security.symbol} is no longer in use.")
        elif security.asset_class.is_unclassified:
            faults.append(f"{security.symbol} has no asset class yet.")
    if faults:
        raise DraftRefused(" ".join(faults))
    try:
        check_weights(
            weights={securities[key].symbol: weight for key, weight in weights.items()},
            cash_weight=cash_weight,
        )
    except WeightsRefused as error:
        raise DraftRefused(str(error)) from error


def _get_published(firm_id: int, model_id: int) -> models.ModelPortfolio:
    model = models.ModelPortfolio.objects.filter(firm_id=firm_id, pk=model_id).first()
    if model is None:
        raise Refused("Choose one of your firm's models.")
    if not model.versions.filter(status=ModelStatus.PUBLISHED).exists():
        raise Refused(f"{model.name} has no published version to follow.")
    return model


def _audit_version(
    version: models.ModelVersion, actor_id: int, event: str, said: str, reason: str = ""
) -> None:
    summary = f"{said} {version.model.name}, version {version.number}"
    detail = {"version": version.number, "reason": reason or version.reason}
    _audit(version.model, actor_id, event, summary, detail)


def _audit(
    model: models.ModelPortfolio,
    actor_id: int,
    event: str,
    summary: str,
    detail: dict[str, object],
) -> None:
    record_audit_entry(
        firm_id=model.firm_id,
        actor_id=actor_id,
        action=f"portfolios.model.{event}",
        object_id=str(model.public_id),
        summary=summary[:300],
        detail=detail,
    )
