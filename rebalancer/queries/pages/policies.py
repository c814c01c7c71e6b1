"""The policies of a firm: the rule in words, when it looks next, and who follows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Count, Q, QuerySet

from rebalancer import models
from rebalancer.domain.kinds import Trigger
from rebalancer.domain.policy import PolicyTerms
from rebalancer.queries.books import describe_policy
from rebalancer.queries.pages import looks, words

if TYPE_CHECKING:
    from accounts.models import Account, Firm


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One policy with its rule in words."""

    policy: models.Policy
    sentence: str
    follower_count: int
    next_looks: Sequence[date]


@dataclass(frozen=True, slots=True)
class Follower:
    """An account that could follow the policy, and whether it does."""

    account: "Account"
    policy_name: str
    is_following: bool


def explain_terms(*, terms: PolicyTerms, firm: "Firm", after: date) -> tuple[str, Sequence[date]]:
    """Return a rule in words and the next three days on which it looks."""
    sentence = words.explain_policy(terms)
    return sentence, looks.list_next_looks(
        terms=terms, exchange=firm.exchange, after=after, count=3
    )


def list_policies(
    *, policies: QuerySet[models.Policy], firm: "Firm", after: date
) -> list[PolicyLine]:
    """Return the policies with how many open accounts follow each, in one query."""
    rows = policies.annotate(
        follower_count=Count("assignments", filter=Q(assignments__account__is_open=True))
    ).order_by("-is_active", "name")
    lines = []
    for policy in rows:
        sentence, next_looks = explain_terms(terms=describe_policy(policy), firm=firm, after=after)
        lines.append(PolicyLine(policy, sentence, policy.follower_count, next_looks))
    return lines


def list_candidates(*, accounts: "QuerySet[Account]", search: str) -> "QuerySet[Account]":
    """Return open accounts that could be given a policy, by household and name."""
    rows = accounts.filter(is_open=True)
    if search:
        rows = rows.filter(
            Q(household__name__icontains=search)
            | Q(name__icontains=search)
            | Q(number__icontains=search)
        )
    return rows.select_related("household", "policy_assignment__policy").order_by(
        "household__name", "name"
    )


def describe_followers(accounts: "Sequence[Account]", policy: models.Policy) -> list[Follower]:
    """Return a page of `list_candidates` with what each follows now."""
    followers = []
    for account in accounts:
        assignment = getattr(account, "policy_assignment", None)
        followers.append(
            Follower(
                account=account,
                policy_name=assignment.policy.name if assignment else "",
                is_following=assignment is not None and assignment.policy_id == policy.pk,
            )
        )
    return followers


def count_followers(policy: models.Policy) -> int:
    """Return how many open accounts follow a policy."""
    return policy.assignments.filter(account__is_open=True).count()


def get_default_terms() -> PolicyTerms:
    """Return the terms that a new policy starts from: the table's, and mindful of tax and cost."""
    policy = models.Policy(trigger=Trigger.THRESHOLD)
    for column in models.Policy._meta.concrete_fields:
        # A default written as text becomes the number that the database would return.
        setattr(policy, column.attname, column.to_python(getattr(policy, column.attname)))
    policy.pk = 0
    # The table's own defaults keep policies from before these terms as strict as they were.
    return replace(
        describe_policy(policy),
        willingness=Decimal("0.025"),
        harvests_losses=True,
        ticket_price=Decimal(1),
    )
