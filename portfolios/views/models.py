"""Pages of model portfolios: the list, a model, a version, the draft editor, publication."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from portfolios.access import get_model_for, get_version_for
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.model_lifecycle import IN_WORK
from portfolios.forms import DraftForm, ModelForm, ReturnForm, RiskMappingForm
from portfolios.operations import models as operations
from portfolios.queries import models as queries
from portfolios.queries.securities import list_model_securities
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from portfolios.models import ModelVersion


@require_permission(Permission.READ_MODELS)
@require_safe
def list_models(request: HttpRequest) -> HttpResponse:
    """Show the firm's models, and which risk score leads to which."""
    firm_id = get_signed_in_user(request).firm_id
    return render(
        request,
        "portfolios/models.html",
        {
            "models": queries.list_models(firm_id),
            "mappings": _mapping_rows(firm_id),
        },
    )


def _mapping_rows(firm_id: int) -> list[dict[str, object]]:
    mapped = queries.list_risk_mappings(firm_id)
    return [{"score": score, "model": mapped.get(score)} for score in range(1, 11)]


@require_permission(Permission.WRITE_MODELS)
def create_model(request: HttpRequest) -> HttpResponse:
    """Add a model, then go on to its first draft."""
    user = get_signed_in_user(request)
    form = ModelForm(get_posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            model_id = operations.create_model(
                firm_id=user.firm_id, actor_id=user.pk, **form.cleaned_data
            )
        except Refused as error:
            form.add_error("name", str(error))
        else:
            model = queries.list_models(user.firm_id).get(pk=model_id)
            return redirect("portfolios:model_draft", model.public_id)
    return render(request, "portfolios/model_create.html", {"form": form}, status=get_status(form))


@require_permission(Permission.WRITE_POLICIES)
def edit_risk_mapping(request: HttpRequest) -> HttpResponse:
    """Say which model each risk score leads to."""
    user = get_signed_in_user(request)
    models = {str(model.public_id): model for model in queries.list_published_models(user.firm_id)}
    mapped = queries.list_risk_mappings(user.firm_id)
    form = RiskMappingForm(
        get_posted(request),
        choices=[(key, model.name) for key, model in models.items()],
        initial={f"score_{score}": str(model.public_id) for score, model in mapped.items()},
    )
    if request.method == "POST" and form.is_valid():
        for name in form.changed_data:
            chosen = models.get(form.cleaned_data[name])
            operations.map_risk_score(
                firm_id=user.firm_id,
                score=int(name.removeprefix("score_")),
                model_id=chosen.pk if chosen else None,
                actor_id=user.pk,
            )
        messages.success(request, "The risk scores now lead to the models you chose.")
        return redirect("portfolios:models")
    return render(request, "portfolios/risk_mapping.html", {"form": form}, status=get_status(form))


@require_permission(Permission.READ_MODELS)
@require_safe
def show_model(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show a model: what is in force, and every version of it."""
    model = get_model_for(get_signed_in_user(request), public_id)
    versions = queries.list_versions(model.pk)
    in_force = next((row for row in versions if row.status == ModelStatus.PUBLISHED), None)
    in_work = next((row for row in versions if row.status in IN_WORK), None)
    targets = queries.list_targets(in_force) if in_force else []
    return render(
        request,
        "portfolios/model.html",
        {
            "model": model,
            "versions": versions,
            "in_force": in_force,
            "in_work": in_work,
            "targets": targets,
            "chart": _donut(targets, in_force),
            "followers": queries.count_followers(model.pk),
        },
    )


def _donut(targets: list[queries.TargetRow], version: "ModelVersion | None") -> dict[str, object]:
    by_class = queries.sum_by_class(targets, version.cash_weight) if version else []
    return {"rows": [{"label": label, "weight": weight} for label, weight in by_class]}


@require_permission(Permission.READ_MODELS)
@require_safe
def show_version(request: HttpRequest, public_id: UUID, number: int) -> HttpResponse:
    """Show one version beside the one in force, and what can happen to it next."""
    user = get_signed_in_user(request)
    version = get_version_for(user, public_id, number)
    targets = queries.list_targets(version)
    is_in_review = version.status == ModelStatus.IN_REVIEW
    return render(
        request,
        "portfolios/model_version.html",
        {
            "model": version.model,
            "version": version,
            "here": f"Version {version.number}",
            "targets": targets,
            "chart": _donut(targets, version),
            "may_draft": has_permission(user, Permission.WRITE_MODELS),
            "may_publish": has_permission(user, Permission.PUBLISH_MODELS),
            "is_draft": version.status == ModelStatus.DRAFT,
            "is_in_review": is_in_review,
            "is_in_work": version.status in IN_WORK,
            "is_author": version.author_id == user.pk,
            "return_form": ReturnForm(),
        },
    )


@require_permission(Permission.WRITE_MODELS)
def edit_draft(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Write a model's next version; starts from the version in work or in force."""
    user = get_signed_in_user(request)
    model = get_model_for(user, public_id)
    version, weights = queries.get_draft_weights(model.pk)
    if version is not None and version.status == ModelStatus.IN_REVIEW:
        messages.warning(request, "This version is in review; return it to draft to change it.")
        return redirect("portfolios:model_version", public_id, version.number)
    securities = list_model_securities(user.firm_id, also_ids=list(weights))
    is_draft = version is not None and version.status == ModelStatus.DRAFT
    initial: dict[str, object] = {f"security_{key}": weight for key, weight in weights.items()}
    initial["cash"] = version.cash_weight if version else None
    initial["reason"] = version.reason if version and is_draft else ""
    form = DraftForm(
        get_posted(request),
        symbols={security.pk: security.symbol for security in securities},
        initial=initial,
    )
    if request.method == "POST" and form.is_valid():
        try:
            saved = operations.save_draft(
                model_id=model.pk,
                weights=form.weights,
                cash_weight=form.cleaned_data["cash"],
                reason=form.cleaned_data["reason"],
                actor_id=user.pk,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Version {saved.number} is saved as a draft.")
            return redirect("portfolios:model_version", public_id, saved.number)
    rows = [
        {"security": security, "bound": form[f"security_{security.pk}"]} for security in securities
    ]
    context = {"model": model, "form": form, "rows": rows, "version": version if is_draft else None}
    return render(request, "portfolios/model_draft.html", context, status=get_status(form))


@require_permission(Permission.WRITE_MODELS)
@require_POST
def submit_version(request: HttpRequest, public_id: UUID, number: int) -> HttpResponse:
    """Hand a draft over for review."""
    user = get_signed_in_user(request)
    version = get_version_for(user, public_id, number)
    try:
        operations.submit_for_review(version_id=version.pk, actor_id=user.pk)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "In review now. Another admin can publish it.")
    return redirect("portfolios:model_version", public_id, number)


@require_permission(Permission.WRITE_MODELS, Permission.PUBLISH_MODELS)
@require_POST
def return_version(request: HttpRequest, public_id: UUID, number: int) -> HttpResponse:
    """Send a version in review back to be changed."""
    user = get_signed_in_user(request)
    version = get_version_for(user, public_id, number)
    form = ReturnForm(request.POST)
    try:
        operations.return_to_draft(
            version_id=version.pk,
            reason=form.cleaned_data["reason"] if form.is_valid() else "",
            actor_id=user.pk,
        )
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Back in draft.")
    return redirect("portfolios:model_version", public_id, number)


@require_permission(Permission.PUBLISH_MODELS)
@require_POST
def publish_version(request: HttpRequest, public_id: UUID, number: int) -> HttpResponse:
    """Put a reviewed version in force."""
    user = get_signed_in_user(request)
    version = get_version_for(user, public_id, number)
    try:
        operations.publish_model(version_id=version.pk, now=clock.now(), actor_id=user.pk)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{version.model.name}, version {number}, is now in force.")
    return redirect("portfolios:model_version", public_id, number)
