"""Writing proposals: from checks that want trades to trades that wait for a person's decision."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import count
from typing import Any

from django.db import transaction

from accounts.access import has_permission, visible_accounts
from accounts.domain.permissions import Permission
from accounts.queries import people
from portfolios.domain.kinds import Side
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import (
    OPEN_PROPOSAL,
    ProposalEvent,
    ProposalStatus,
    advance_proposal,
)
from rebalancer.engine.book import NO_BUY, NO_SELL, LockRow
from rebalancer.operations.shards import forgive_checks, take_shard
from rebalancer.operations.solving import NO_PLAN, Wanted, read_wanted, solve_checks
from rebalancer.operations.storing import store_proposals
from rebalancer.operations.trail import audit_proposals
from robo.common.builds import this_build
from robo.common.errors import Conflict, NotAllowed, Refused


def propose(
    *,
    firm_id: int,
    price_date: date,
    now: datetime,
    shards_max: int | None = None,
    on_shard: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Write a proposal for every check of the firm that wants trades; return counts by outcome.

    Shards are taken with SKIP LOCKED, so that several workers may do this at once; a check that a
    killed worker had taken is found again, a few times (`shards`). One whose account has trades
    under way waits for them. With `shards_max` the rest is left for the next call.
    """
    maker = people.get_service_user(firm_id)
    counts: Counter[str] = Counter()
    for _shard in range(shards_max) if shards_max is not None else count():
        check_ids, set_aside = take_shard(firm_id=firm_id)
        answers: Counter[str] = Counter()
        if set_aside:
            answers[CheckStatus.BLOCKED] = set_aside
        if check_ids:
            with forgive_checks(check_ids):
                answers = _propose_shard(
                    check_ids,
                    firm_id=firm_id,
                    price_date=price_date,
                    now=now,
                    proposed_by_id=maker.pk,
                )
        if not answers:
            break
        counts += answers
        on_shard()
    return counts


@transaction.atomic
def _propose_shard(
    check_ids: Sequence[int],
    *,
    firm_id: int,
    price_date: date,
    now: datetime,
    proposed_by_id: int,
) -> Counter[str]:
    found = list(
        models.Check.objects.select_for_update(skip_locked=True)
        .filter(this_build(), pk__in=check_ids, status=CheckStatus.DUE)
        .order_by("id")
    )
    pending = _lock_accounts([check.account_id for check in found])
    # Approved while we waited for the lock: its checks wait as well, and were not tried.
    checks = [c for c in found if _may_be_replaced(pending.get(c.account_id))]
    if len(checks) < len(found):
        waiting = {c.pk for c in found} - {c.pk for c in checks}
        models.Check.objects.filter(pk__in=waiting).update(attempt_count=0)
    # Of several checks of one account the newest speaks; the others are answered with it.
    newest = {check.account_id: check for check in checks}
    solved, unsolved = solve_checks(
        firm_id=firm_id, checks=list(newest.values()), price_date=price_date
    )
    store_proposals(solved, pending, now=now, proposed_by_id=proposed_by_id)
    answers: dict[int, tuple[CheckStatus, str, dict[str, Any]]]
    answers = {row.check.account_id: (CheckStatus.PROPOSED, "", {}) for row in solved}
    answers |= {
        row.check.account_id: (row.status, row.reason[:300], row.certificate or {})
        for row in unsolved
    }
    for check in checks:
        check.status, check.reason, check.certificate = answers[check.account_id]
    models.Check.objects.bulk_update(checks, ["status", "reason", "certificate"])
    return Counter(check.status for check in checks)


def remove_trades(
    *, proposal_id: int, user_id: int, trade_ids: Sequence[int], now: datetime
) -> models.Proposal:
    """Solve again without some trades; the person becomes the maker of what replaces the proposal.

    :raises NotAllowed: when this person may not decide on the household's proposals.
    :raises Refused: when no trade is named, or nothing worth trading is left.
    :raises Conflict: when the proposal no longer waits for a decision.
    """
    with transaction.atomic():
        proposal = _lock_pending(proposal_id)
        _check_may_edit(user_id, proposal.account_id)
        named = {
            trade.pk: trade
            for trade in proposal.trades.select_related("security").filter(pk__in=trade_ids)
        }
        if not named:
            raise Refused("Choose at least one trade of this proposal to remove.")
        removed = [[trade.security_id, trade.side] for trade in named.values()]
        fresh = _solve_again(
            proposal,
            proposed_by_id=user_id,
            refused_trades=[*proposal.refused_trades, *removed],
            wanted=read_wanted(proposal.wanted),
            price_date=proposal.price_date,
            now=now,
        )
        if fresh is None:
            raise Refused("Without these trades nothing worth trading is left: reject it instead.")
        symbols = ", ".join(f"{t.side.lower()} {t.security.symbol}" for t in named.values())
        audit_proposals(
            [fresh],
            event="edited",
            summary=f"Removed {symbols} and solved again",
            actor_id=user_id,
        )
        return fresh


def choose_alternative(
    *, proposal_id: int, user_id: int, wanted: Wanted, now: datetime
) -> models.Proposal:
    """Solve again in another mode or budget; the person becomes the maker of what replaces it.

    :raises NotAllowed: when this person may not decide on the household's proposals.
    :raises Refused: when the engine finds nothing worth trading that way.
    :raises Conflict: when the proposal no longer waits for a decision.
    """
    with transaction.atomic():
        proposal = _lock_pending(proposal_id)
        _check_may_edit(user_id, proposal.account_id)
        fresh = _solve_again(
            proposal,
            proposed_by_id=user_id,
            # Wishes for this proposal alone are trades refused: they stay with it from now on.
            refused_trades=[
                *proposal.refused_trades,
                *(
                    [lock.security_id, Side.BUY if lock.code == NO_BUY else Side.SELL]
                    for lock in wanted.extra_locks
                ),
            ],
            wanted=wanted,
            price_date=proposal.price_date,
            now=now,
        )
        if fresh is None:
            raise Refused("That way nothing worth trading is left: the proposal stays as it is.")
        asked = ", ".join(f"{key} {value}" for key, value in wanted.describe().items())
        audit_proposals(
            [fresh],
            event="edited",
            summary=f"Solved again with {asked or 'the policy as it is'}",
            actor_id=user_id,
        )
        return fresh


def refresh_proposal(*, proposal_id: int, now: datetime) -> models.Proposal | None:
    """Replace a pending proposal that facts have overtaken by a fresh one of the engine's own.

    Returns None when nothing worth trading is left: the old one has expired then.

    :raises Refused: when the engine fails; the old one stays.
    :raises Conflict: when the proposal no longer waits for a decision.
    """
    with transaction.atomic():
        proposal = _lock_pending(proposal_id)
        price_date = market.get_newest_price_date(proposal.firm_id)
        fresh = _solve_again(
            proposal,
            proposed_by_id=people.get_service_user(proposal.firm_id).pk,
            refused_trades=[],
            wanted=Wanted(),
            price_date=price_date or proposal.price_date,
            now=now,
        )
        if fresh is None:
            proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
            proposal.closed_at = now
            proposal.close_reason = "Facts moved, and nothing worth trading is left."
            proposal.save(update_fields=["status", "closed_at", "close_reason"])
            audit_proposals(
                [proposal], event="expired", summary="Facts moved, nothing is left to do"
            )
        return fresh


def _lock_accounts(account_ids: Sequence[int]) -> dict[int, models.Proposal]:
    """Keep others from proposing for these accounts, and return their open proposals, locked."""
    # Any row that each account has once will do; there may be no proposal yet to lock.
    list(
        models.PolicyAssignment.objects.select_for_update()
        .filter(account_id__in=account_ids)
        .order_by("account_id")
        .values_list("account_id", flat=True)
    )
    return {
        row.account_id: row
        for row in models.Proposal.objects.select_for_update()
        .filter(account_id__in=account_ids, status__in=OPEN_PROPOSAL)
        .order_by("account_id")
    }


def _may_be_replaced(open_proposal: models.Proposal | None) -> bool:
    return open_proposal is None or open_proposal.status == ProposalStatus.PENDING


def check_may_decide(*, user_id: int, account_id: int) -> None:
    """Accept who may decide on this account, as of this moment.

    Read again under the proposal's lock: a right that was withdrawn a moment ago no longer counts.

    :raises NotAllowed: for everybody else.
    """
    if not _holds(Permission.DECIDE_PROPOSALS, user_id, account_id):
        raise NotAllowed("Only an advisor of this household or a supervisor may decide.")


def _check_may_edit(user_id: int, account_id: int) -> None:
    if not _holds(Permission.EDIT_PROPOSALS, user_id, account_id):
        raise NotAllowed("Only an advisor of this household may change a proposal.")


def _holds(permission: Permission, user_id: int, account_id: int) -> bool:
    user = people.get_user(user_id)
    is_theirs = visible_accounts(user).filter(pk=account_id).exists()
    return is_theirs and has_permission(user, permission)


def _lock_pending(proposal_id: int) -> models.Proposal:
    _lock_accounts(
        [models.Proposal.objects.values_list("account_id", flat=True).get(pk=proposal_id)]
    )
    proposal = models.Proposal.objects.select_for_update().get(pk=proposal_id)
    if proposal.status != ProposalStatus.PENDING:
        raise Conflict(f"This proposal is {proposal.status.lower().replace('_', ' ')} already.")
    return proposal


def _solve_again(
    proposal: models.Proposal,
    *,
    proposed_by_id: int,
    refused_trades: list[list[Any]],
    wanted: Wanted,
    price_date: date,
    now: datetime,
) -> models.Proposal | None:
    locks = [
        LockRow(proposal.account_id, security_id, NO_BUY if side == Side.BUY else NO_SELL)
        for security_id, side in refused_trades
    ]
    solved, unsolved = solve_checks(
        firm_id=proposal.firm_id,
        checks=[proposal.origin_check],
        price_date=price_date,
        wanted=replace(wanted, extra_locks=locks),
    )
    broken = [row.reason for row in unsolved if row.reason.startswith(NO_PLAN)]
    if broken:
        raise Refused(f"The proposal stays as it is: {broken[0]}.")
    if not solved:
        return None
    [fresh] = store_proposals(
        solved,
        {proposal.account_id: proposal},
        now=now,
        proposed_by_id=proposed_by_id,
        refused_trades=refused_trades,
        wanted=wanted,
    )
    return fresh
