"""Endpoints of the client's word: yes or no to trades, and the texts that a household agrees to."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import (
    check_permission,
    get_known_household_for,
    get_signed_in_user,
    has_permission,
    known_accounts,
)
from accounts.domain.permissions import Permission
from accounts.operations.consents import give_consents
from accounts.queries import consents as queries
from accounts.views.step_up import FreshSignIn
from rebalancer import tasks
from rebalancer.access import get_proposal_for, has_answered
from rebalancer.operations.consents import answer_proposal
from rebalancer.operations.readiness import list_account_gaps
from rebalancer.serializers.consents import (
    AnsweredSerializer,
    AnswerSerializer,
    ConsentSerializer,
    DocumentsSerializer,
    YesOrNo,
)
from robo.common import clock
from robo.common.api.views import ApiView
from robo.common.errors import NotAllowed

if TYPE_CHECKING:
    from accounts.models import Household, User


class ProposalAnswer(ApiView):
    """A client's own yes or no to a proposal."""

    permission_classes = [*ApiView.permission_classes, FreshSignIn]
    needs_key = True

    @extend_schema(
        operation_id="answer_proposal",
        request=AnswerSerializer,
        responses={200: AnsweredSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Say yes or no, as a client of the household, to exactly what was seen.

        Nothing of an account without a mandate is sent before a yes; a no ends the proposal. An
        answer is given once: a second one is a 409.
        """
        user = get_signed_in_user(request)
        proposal = get_proposal_for(user, public_id)
        if not has_permission(user, Permission.ANSWER_PROPOSALS):
            raise NotAllowed("Only the household's own people can answer.")
        sent = self.read(AnswerSerializer, request.data)
        is_yes = sent.pop("answer") == YesOrNo.YES
        row = answer_proposal(
            proposal_id=proposal.pk,
            user_id=user.pk,
            is_yes=is_yes,
            now=clock.database_now(),
            **sent,
        )
        if is_yes:
            tasks.nudge(tasks.submit_orders)
        return Response(AnsweredSerializer(row).data)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may see the proposal, or ended it by their own no."""
        user = get_signed_in_user(request)
        if not has_answered(user, kwargs["public_id"]):
            get_proposal_for(user, kwargs["public_id"])


class Documents(ApiView):
    """What a household agreed to, and what its accounts wait for."""

    permission_classes = [*ApiView.permission_classes, FreshSignIn]

    @extend_schema(operation_id="get_documents", responses=DocumentsSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer the texts in force and announced, the mandates, and what is still missing."""
        return Response(_show_documents(*self._find(request, public_id)))

    @extend_schema(
        operation_id="give_consents",
        request=ConsentSerializer,
        responses={200: DocumentsSerializer},
    )
    def post(self, request: Request, public_id: UUID) -> Response:
        """Agree, as a client and for the household, to texts with the hashes that were seen.

        Safe to repeat: what was agreed to before stays as it is.
        """
        user, household = self._find(request, public_id)
        if not has_permission(user, Permission.WRITE_PROFILE):
            raise NotAllowed("Only the household's own people can agree for it.")
        sent = self.read(ConsentSerializer, request.data)
        known = {
            line.disclosure.public_id: line.disclosure.pk
            for line in queries.list_documents(household, _get_today(household))
        }
        give_consents(
            household_id=household.pk,
            user_id=user.pk,
            # What is not offered (any more) has no number, and the operation says so.
            agreed=[(known.get(one["id"], 0), one["text_hash"]) for one in sent["agree"]],
        )
        return Response(_show_documents(user, household))

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still see the household's documents."""
        self._find(request, kwargs["public_id"])

    @staticmethod
    def _find(request: Request, public_id: UUID) -> "tuple[User, Household]":
        user = get_signed_in_user(request)
        check_permission(user, Permission.READ_PROFILE)
        return user, get_known_household_for(user, public_id)


def _get_today(household: "Household") -> date:
    return queries.get_firm_day(household.firm, clock.now())


def _show_documents(user: "User", household: "Household") -> Mapping[str, Any]:
    """Return what the page of the documents would show this person, and what accounts wait for."""
    accounts = list(known_accounts(user).filter(household=household, is_open=True).order_by("pk"))
    in_force = queries.find_mandates_in_force([account.pk for account in accounts])
    gaps = list_account_gaps(firm=household.firm, accounts=accounts, now=clock.now())
    facts = {
        "household": household,
        "documents": queries.list_documents(household, _get_today(household)),
        "accounts": [
            {
                "account": account,
                "mandate": in_force.get(account.pk),
                "missing": gaps[account.pk],
            }
            for account in accounts
        ],
    }
    return DocumentsSerializer(facts).data
