"""May these trades be sent: the client's mandate, or their yes, and their consent to our texts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from accounts.domain.doors import MailKind
from accounts.domain.permissions import Permission, role_holds
from accounts.operations.notices import News, announce_all
from accounts.queries import consents as queries
from accounts.queries import people
from portfolios.queries.books import get_today
from rebalancer import models
from rebalancer.domain.lifecycle import ANSWERABLE
from rebalancer.domain.mandates import (
    MandateTerms,
    Planned,
    PlannedTrade,
    list_answer_gaps,
    list_mandate_gaps,
)
from rebalancer.operations.execution.lapsing import SAVED, let_lapse
from rebalancer.operations.trail import audit_proposals
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import Account

NOTE_LENGTH_MAX = 300


def list_missing(proposal: models.Proposal, *, now: datetime) -> list[str]:
    """Return, in sentences, what is still missing before these trades may be sent."""
    return find_missing([proposal], now=now)[proposal.pk]


def find_missing(proposals: Sequence[models.Proposal], *, now: datetime) -> dict[int, list[str]]:
    """Return what is missing, by proposal; a fixed number of queries, whatever their number.

    Asked anew each time that something is about to be sent: what has ended no longer counts.
    """
    if not proposals:
        return {}
    accounts = queries.list_account_terms([row.account_id for row in proposals])
    days = {account.firm_id: get_today(account.firm, now) for account in accounts.values()}
    consent_gaps = find_consent_gaps(list(accounts.values()), days)
    mandated = [row for row in proposals if accounts[row.account_id].is_discretionary]
    mandate_gaps = _find_mandate_gaps(mandated, accounts, days)
    answers = {
        proposal_id: (is_yes, content_hash)
        for proposal_id, is_yes, content_hash in models.ClientAnswer.objects.filter(
            proposal__in=[row.pk for row in proposals]
        ).values_list("proposal_id", "is_yes", "content_hash")
    }
    missing: dict[int, list[str]] = {}
    for row in proposals:
        account = accounts[row.account_id]
        own = (
            mandate_gaps[row.pk]
            if account.is_discretionary
            else list_answer_gaps(answers.get(row.pk), row.content_hash)
        )
        missing[row.pk] = [*consent_gaps[account.household_id], *own]
    return missing


def find_consent_gaps(
    accounts: "Sequence[Account]", days: Mapping[int, date]
) -> dict[int, list[str]]:
    """Return, by household, the texts that it has not agreed to; `days` by firm, at hand there."""
    return queries.list_consent_gaps(
        {
            account.household_id: queries.describe_firm_day(account.firm, days[account.firm_id])
            for account in accounts
        }
    )


def read_mandates(account_ids: Sequence[int]) -> dict[int, MandateTerms]:
    """Return the terms of the mandates, not ended, of these accounts."""
    return {
        account_id: MandateTerms(
            facts.starts_on,
            facts.ends_on,
            facts.trade_amount_max,
            facts.turnover_share_max,
            facts.asset_classes,
            facts.recorded_at,
        )
        for account_id, facts in queries.list_mandate_facts(account_ids).items()
    }


def _find_mandate_gaps(
    proposals: Sequence[models.Proposal],
    accounts: "dict[int, Account]",
    days: dict[int, date],
) -> dict[int, list[str]]:
    if not proposals:
        return {}
    mandates = read_mandates([row.account_id for row in proposals])
    trades: dict[int, list[PlannedTrade]] = defaultdict(list)
    for proposal_id, symbol, amount, class_code in models.Trade.objects.filter(
        proposal__in=[row.pk for row in proposals]
    ).values_list("proposal_id", "security__symbol", "amount", "security__asset_class__code"):
        trades[proposal_id].append(PlannedTrade(symbol, amount, class_code or ""))
    return {
        row.pk: list_mandate_gaps(
            mandates.get(row.account_id),
            Planned(row.created_at, row.value, row.turnover_amount, trades[row.pk]),
            today=days[accounts[row.account_id].firm_id],
        )
        for row in proposals
    }


@transaction.atomic
def answer_proposal(
    *,
    proposal_id: int,
    user_id: int,
    is_yes: bool,
    content_hash: str,
    note: str = "",
    now: datetime,
) -> models.ClientAnswer:
    """Record a client's yes or no to exactly what was seen; a no ends the proposal.

    :raises NotAllowed: when it is not an active client of the household.
    :raises Refused: when the account needs no answer, or the note cannot be read.
    :raises Conflict: when it was answered, decided, begun or has lapsed, or other trades were seen.
    """
    proposal = (
        models.Proposal.objects.select_for_update(of=["self"])
        .select_related("account")
        .get(pk=proposal_id)
    )
    user = people.get_user(user_id)
    if (
        not user.is_active
        or not role_holds(user.role, Permission.ANSWER_PROPOSALS)
        or user.household_id != proposal.account.household_id
    ):
        raise NotAllowed("Only the household's own people can answer.")
    if proposal.account.is_discretionary:
        raise Refused("You have given a mandate for this account: no answer is needed.")
    if proposal.status not in ANSWERABLE or now >= proposal.expires_at:
        raise Conflict("These trades can no longer be answered.")
    if proposal.content_hash != content_hash:
        raise Conflict("These are not the trades you saw: open them again.")
    note = " ".join(note.split())
    if len(note) > NOTE_LENGTH_MAX or not note.isprintable():
        raise Refused(f"A note has at most {NOTE_LENGTH_MAX} characters.")
    answer = _store_answer(proposal, user_id, is_yes=is_yes, note=note)
    word = "yes" if is_yes else "no"
    audit_proposals(
        [proposal],
        event=f"answered_{word}",
        summary=f"{user.name} said {word} to the trades",
        actor_id=user_id,
        note=note,
    )
    if not is_yes:
        words = f"{user.name} said no{f': {note}' if note else '.'}"
        let_lapse(
            proposal, now=now, close_reason=words, order_reason="The client said no to the trades."
        )
        proposal.save(update_fields=SAVED)
        audit_proposals([proposal], event="expired", summary="The client said no")
    return answer


def _store_answer(
    proposal: models.Proposal, user_id: int, *, is_yes: bool, note: str
) -> models.ClientAnswer:
    try:
        with transaction.atomic():
            answer = models.ClientAnswer.objects.create(
                proposal=proposal,
                is_yes=is_yes,
                answered_by_id=user_id,
                content_hash=proposal.content_hash,
                note=note,
            )
    except IntegrityError as error:
        raise Conflict("These trades were answered already.") from error
    # The moment is the database's own.
    answer.refresh_from_db(fields=["answered_at"])
    return answer


def announce_questions(proposals: Sequence[models.Proposal]) -> None:
    """Tell the clients whose yes is needed, in the transaction that makes the proposals."""
    accounts = queries.list_account_terms([row.account_id for row in proposals])
    asked = [row for row in proposals if not accounts[row.account_id].is_discretionary]
    clients = queries.list_client_ids([accounts[row.account_id].household_id for row in asked])
    announce_all(
        MailKind.ANSWER_WANTED,
        [
            News(
                clients.get(accounts[row.account_id].household_id, []),
                str(row.public_id),
                {"until": f"{row.expires_at:%d %B %Y, %H:%M} UTC"},
            )
            for row in asked
        ],
    )


def announce_done(proposals: Sequence[models.Proposal]) -> None:
    """Tell the clients whose trades are done, in the transaction that completes them."""
    accounts = queries.list_account_terms([row.account_id for row in proposals])
    clients = queries.list_client_ids([row.household_id for row in accounts.values()])
    announce_all(
        MailKind.TRADES_DONE,
        [
            News(clients.get(accounts[row.account_id].household_id, []), str(row.public_id))
            for row in proposals
        ],
    )
