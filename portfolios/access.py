"""The only way to a fact that a user named. What is not of their firm does not exist for them: 404.

Securities, models and prices are the firm's own, and open to whoever holds the permission to read
them; which pages a role sees at all is said at each view.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import F, QuerySet
from django.http import Http404

from accounts.access import (
    check_permission,
    get_household_for,
    has_permission,
    known_accounts,
    visible_accounts,
)
from accounts.domain.permissions import Permission
from portfolios import models
from portfolios.domain.statements import Statement

if TYPE_CHECKING:
    from accounts.models import User


def get_model_for(user: "User", public_id: UUID) -> models.ModelPortfolio:
    """Return a model portfolio of the user's firm.

    :raises Http404: when there is none, or the user may not read them.
    """
    model = models.ModelPortfolio.objects.filter(
        firm_id=_get_firm_id(user, Permission.READ_MODELS), public_id=public_id
    ).first()
    if model is None:
        raise Http404
    return model


def get_version_for(user: "User", public_id: UUID, number: int) -> models.ModelVersion:
    """Return a version of a model of the user's firm, with its model and people.

    :raises Http404: as `get_model_for`, and when the model has no such version.
    """
    version = (
        models.ModelVersion.objects.filter(
            model__firm_id=_get_firm_id(user, Permission.READ_MODELS),
            model__public_id=public_id,
            number=number,
        )
        .select_related("model", "author", "publisher")
        .first()
    )
    if version is None:
        raise Http404
    return version


def get_security_for(user: "User", public_id: UUID) -> models.Security:
    """Return a security of the user's firm, with its asset class.

    :raises Http404: when there is none, or the user may not read them.
    """
    security = (
        models.Security.objects.filter(
            firm_id=_get_firm_id(user, Permission.READ_SECURITIES), public_id=public_id
        )
        .select_related("asset_class")
        .first()
    )
    if security is None:
        raise Http404
    return security


def get_refused_price_for(user: "User", refused_price_id: int) -> models.RefusedPrice:
    """Return a refused quote of the user's firm.

    :raises Http404: when there is none, or the user may not release any.
    """
    firm_id = _get_firm_id(user, Permission.RELEASE_PRICES)
    row = models.RefusedPrice.objects.filter(firm_id=firm_id, pk=refused_price_id).first()
    if row is None:
        raise Http404
    return row


def get_action_for(user: "User", public_id: UUID) -> models.CorporateAction:
    """Return a corporate action of the user's firm.

    :raises Http404: when there is none, or the user may not read them.
    """
    action = models.CorporateAction.objects.filter(
        firm_id=_get_firm_id(user, Permission.READ_SECURITIES), public_id=public_id
    ).first()
    if action is None:
        raise Http404
    return action


def visible_breaks(user: "User") -> "QuerySet[models.Break]":
    """Return the breaks of accounts that the user may see, the open ones first, then the newest."""
    return (
        models.Break.objects.filter(account__in=visible_accounts(user))
        .select_related("account__household", "account__firm", "security", "owner", "closed_by")
        .order_by(F("closed_at").asc(nulls_first=True), "-id")
    )


def get_break_for(user: "User", public_id: UUID) -> models.Break:
    """Return a break of an account that the user may see.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    row = visible_breaks(user).filter(public_id=public_id).first()
    if row is None:
        raise Http404
    return row


def list_importable_account_ids(user: "User", statement: Statement) -> list[int]:
    """Return the ids of the statement's accounts that this user may take into the books."""
    if not has_permission(user, Permission.WRITE_IMPORTS):
        return []
    numbers = {account.number for account in statement.accounts}
    return list(known_accounts(user).filter(number__in=numbers).values_list("pk", flat=True))


def _get_firm_id(user: "User", permission: Permission) -> int:
    check_permission(user, permission)
    return user.firm_id


def get_wish_id_for(user: "User", household_public_id: UUID, wish_id: int) -> int:
    """Return the id of a wish of a household that the user may see.

    :raises Http404: when there is none, or the household is not theirs to see.
    """
    household = get_household_for(user, household_public_id)
    if not household.wishes.filter(pk=wish_id).exists():
        raise Http404
    return wish_id
