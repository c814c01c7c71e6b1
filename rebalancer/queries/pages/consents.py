"""What a client has to do, and the reasons of a proposal in the client's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.domain.roles import TaxStatus
from accounts.queries import consents as queries
from rebalancer.domain.kinds import Cause
from rebalancer.domain.lifecycle import ANSWERABLE, ProposalStatus
from rebalancer.domain.rationale import ProposalFacts, explain_proposal
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from accounts.models import Account, Household
    from rebalancer.models import ClientAnswer, Proposal
    from rebalancer.queries.pages.household import HouseholdPage


@dataclass(frozen=True, slots=True)
class Question:
    """A proposal that waits for a client's yes or no."""

    account: "Account"
    proposal: "Proposal"


@dataclass(frozen=True, slots=True)
class ToDo:
    """What a household still has to do before its trades can go."""

    document_count: int
    questions: Sequence[Question]

    def __bool__(self) -> bool:
        return bool(self.document_count or self.questions)

    @property
    def asked_account_ids(self) -> frozenset[int]:
        """Return the accounts whose proposal waits for the client, not for the advisor."""
        return frozenset(question.account.pk for question in self.questions)


def load_to_do(*, household: "Household", page: "HouseholdPage", now: datetime) -> ToDo:
    """Return what the household has to do; a fixed number of queries."""
    today = queries.get_firm_day(household.firm, now)
    return ToDo(
        document_count=queries.count_documents_to_accept(household, today),
        questions=[
            Question(line.account, line.open_proposal)
            for line in page.lines
            if line.open_proposal is not None
            and not line.account.is_discretionary
            and may_be_answered(line.open_proposal, now)
        ],
    )


def may_be_answered(proposal: "Proposal", now: datetime) -> bool:
    """Return whether a client's yes or no still counts for it, and none has been given."""
    return (
        proposal.status in ANSWERABLE
        and now < proposal.expires_at
        and find_answer(proposal) is None
    )


def wants_answer(proposal: "Proposal", now: datetime) -> bool:
    """Return whether a client is asked for a yes or no to it; expects its account at hand."""
    return not proposal.account.is_discretionary and may_be_answered(proposal, now)


def find_answer(proposal: "Proposal") -> "ClientAnswer | None":
    """Return the client's yes or no, or None."""
    return getattr(proposal, "client_answer", None)


def explain_to_client(proposal: "Proposal") -> Sequence[str]:
    """Return why it is proposed: cause, distance, tax, cost, and what happens if nothing is done.

    Expects the proposal's check, account and firm at hand.
    """
    return explain_proposal(
        ProposalFacts(
            cause=Cause(proposal.origin_check.cause),
            drift_before=proposal.drift_before,
            drift_after=proposal.drift_after,
            tax_amount=proposal.tax_amount,
            cost_amount=proposal.cost_amount,
            required_cash=proposal.required_cash,
            cash_before=proposal.cash_before,
            is_taxable=proposal.account.tax_status == TaxStatus.TAXABLE,
            show_money=lambda amount: figures.money(amount, proposal.firm.currency),
        )
    )


def shows_trades_early(proposal: "Proposal") -> bool:
    """Return whether a client sees trades that nobody has decided on: those that need their yes."""
    return not proposal.account.is_discretionary and proposal.status == ProposalStatus.PENDING
