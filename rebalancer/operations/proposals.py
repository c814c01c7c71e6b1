"""Writing proposals: from checks that want trades to trades that wait for a person's decision."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.access import visible_accounts
from accounts.domain.roles import Role
from accounts.queries import people
from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.explain import explain_trade
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import (
    OPEN_PROPOSAL,
    ProposalEvent,
    ProposalStatus,
    advance_proposal,
)
from rebalancer.domain.policy import hash_json
from rebalancer.engine.book import NO_BUY, NO_SELL, LockRow
from rebalancer.operations.solving import Solved, Wanted, read_wanted, solve_checks
from rebalancer.operations.trail import audit_proposals
from rebalancer.queries.books import SHARD_ACCOUNTS
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
    killed worker had taken is found again. One whose account has trades under way waits for them.
    With `shards_max` the rest is left for the next call.
    """
    maker = people.get_service_user(firm_id)
    counts: Counter[str] = Counter()
    for _shard in range(shards_max) if shards_max is not None else count():
        answers = _propose_shard(
            firm_id=firm_id, price_date=price_date, now=now, proposed_by_id=maker.pk
        )
        if not answers:
            break
        counts += answers
        on_shard()
    return counts


@transaction.atomic
def _propose_shard(
    *, firm_id: int, price_date: date, now: datetime, proposed_by_id: int
) -> Counter[str]:
    under_way = models.Proposal.objects.filter(
        account_id=OuterRef("account_id"), status__in=OPEN_PROPOSAL - {ProposalStatus.PENDING}
    )
    checks = list(
        models.Check.objects.select_for_update(skip_locked=True)
        .filter(~Exists(under_way), firm_id=firm_id, status=CheckStatus.DUE)
        .order_by("id")[:SHARD_ACCOUNTS]
    )
    pending = _lock_accounts([check.account_id for check in checks])
    # Approved while we waited for the lock: its checks wait as well.
    checks = [c for c in checks if _may_be_replaced(pending.get(c.account_id))]
    # Of several checks of one account the newest speaks; the others are answered with it.
    newest = {check.account_id: check for check in checks}
    solved, unsolved = solve_checks(
        firm_id=firm_id, checks=list(newest.values()), price_date=price_date
    )
    _store(solved, pending, now=now, proposed_by_id=proposed_by_id)
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
        check_may_decide(user_id=user_id, account_id=proposal.account_id)
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
        check_may_decide(user_id=user_id, account_id=proposal.account_id)
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
    """Accept an advisor of the account's household, as of this moment.

    Read again under the proposal's lock: a right that was withdrawn a moment ago no longer counts.

    :raises NotAllowed: for everybody else.
    """
    user = people.get_user(user_id)
    is_theirs = visible_accounts(user).filter(pk=account_id).exists()
    if user.role != Role.ADVISOR or not is_theirs:
        raise NotAllowed("Only an advisor of this household may decide.")


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
    solved, _unsolved = solve_checks(
        firm_id=proposal.firm_id,
        checks=[proposal.origin_check],
        price_date=price_date,
        wanted=replace(wanted, extra_locks=locks),
    )
    if not solved:
        return None
    [fresh] = _store(
        solved,
        {proposal.account_id: proposal},
        now=now,
        proposed_by_id=proposed_by_id,
        refused_trades=refused_trades,
        wanted=wanted,
    )
    return fresh


# --- Storing -------------------------------------------------------------------------------------


def _store(
    solved: Sequence[Solved],
    pending: Mapping[int, models.Proposal],
    *,
    now: datetime,
    proposed_by_id: int,
    refused_trades: Sequence[list[Any]] = (),
    wanted: Wanted | None = None,
) -> list[models.Proposal]:
    """Store proposals with their trades and lots, superseding what was pending; bulk throughout."""
    if not solved:
        return []
    solved_accounts = {row.check.account_id for row in solved}
    replaced = [old for account_id, old in pending.items() if account_id in solved_accounts]
    for old in replaced:
        old.status = advance_proposal(old.status, ProposalEvent.SUPERSEDE)
        old.closed_at = now
        old.close_reason = "A newer proposal took its place."
    models.Proposal.objects.bulk_update(replaced, ["status", "closed_at", "close_reason"])
    proposals = models.Proposal.objects.bulk_create(
        _make_proposal(
            row,
            now=now,
            proposed_by_id=proposed_by_id,
            refused_trades=list(refused_trades),
            wanted=(wanted or Wanted()).describe(),
            supersedes=pending.get(row.check.account_id),
        )
        for row in solved
    )
    trades = models.Trade.objects.bulk_create(
        trade
        for row, proposal in zip(solved, proposals, strict=True)
        for trade in _make_trades(row, proposal)
    )
    planned = [trade for row in solved for trade in row.plan.trades]
    models.TradeLot.objects.bulk_create(
        models.TradeLot(
            trade=trade,
            lot_id=lot.lot_id,
            rank=rank,
            quantity=lot.quantity,
            cost=lot.cost,
            gain=lot.gain,
            tax_amount=lot.tax,
            is_long_term=lot.is_long_term,
        )
        for trade, plan in zip(trades, planned, strict=True)
        for rank, lot in enumerate(plan.lots, start=1)
    )
    audit_proposals(
        replaced,
        event="superseded",
        summary="A newer proposal took its place",
        actor_id=proposed_by_id,
    )
    audit_proposals(proposals, event="made", summary="Proposed trades", actor_id=proposed_by_id)
    return proposals


def _make_proposal(
    row: Solved,
    *,
    now: datetime,
    proposed_by_id: int,
    refused_trades: list[list[Any]],
    wanted: dict[str, str],
    supersedes: models.Proposal | None,
) -> models.Proposal:
    plan, case = row.plan, row.case
    proposal = models.Proposal(
        firm_id=row.check.firm_id,
        account_id=row.check.account_id,
        origin_check=row.check,
        policy_id=row.policy_id,
        model_version_id=row.model_version_id,
        status=ProposalStatus.PENDING,
        proposed_by_id=proposed_by_id,
        supersedes=supersedes,
        price_date=date.fromisoformat(case["as_of"]),
        books_version=row.books_version,
        inputs=case,
        inputs_hash=hash_json(case),
        classes=row.classes,
        refused_trades=refused_trades,
        notes=list(row.notes),
        household_plan=row.household_plan,
        wanted=wanted,
        mode=row.answer.mode,
        path=row.answer.path,
        path_reason=row.answer.path_reason[:200],
        certificate=row.certificate,
        untraded=row.untraded,
        value=row.value,
        cash_before=row.cash,
        cash_after=plan.cash_after,
        required_cash=row.required_cash,
        turnover_amount=sum((trade.amount for trade in plan.trades), ZERO),
        cost_amount=sum((trade.cost for trade in plan.trades), ZERO),
        short_term_gain=sum((trade.gain(long_term=False) for trade in plan.trades), ZERO),
        long_term_gain=sum((trade.gain(long_term=True) for trade in plan.trades), ZERO),
        tax_amount=sum((trade.tax for trade in plan.trades), ZERO),
        drift_before=Decimal(f"{row.drift_before:.8f}"),
        drift_after=Decimal(f"{row.drift_after:.8f}"),
        expires_at=now + timedelta(hours=row.approval_hours_max),
    )
    proposal.content_hash = hash_json(
        {
            "proposal": proposal.public_id,
            "inputs": proposal.inputs_hash,
            "expires_at": proposal.expires_at,
            "proposed_by": proposed_by_id,
            "cash_after": plan.cash_after,
            "trades": [
                [
                    trade.security.security_id,
                    trade.side,
                    trade.quantity,
                    trade.fill_price,
                    trade.amount,
                    [[lot.lot_id, lot.quantity, lot.gain, lot.tax] for lot in trade.lots],
                ]
                for trade in plan.trades
            ],
        }
    )
    return proposal


def _make_trades(row: Solved, proposal: models.Proposal) -> list[models.Trade]:
    classes = {entry["label"]: entry for entry in row.classes}
    trades = []
    for trade in row.plan.trades:
        before, after, target = row.weights[trade.security.security_id]
        class_name = row.class_of[trade.security.security_id]
        note = row.trade_notes[trade.security.security_id]
        trades.append(
            models.Trade(
                proposal=proposal,
                security_id=trade.security.security_id,
                side=trade.side,
                quantity=trade.quantity,
                price=trade.security.price,
                fill_price=trade.fill_price,
                amount=trade.amount,
                cost_amount=trade.cost,
                short_term_gain=trade.gain(long_term=False),
                long_term_gain=trade.gain(long_term=True),
                tax_amount=trade.tax,
                weight_before=_weight(before),
                weight_after=_weight(after),
                weight_target=_weight(target),
                reason=trade.reason,
                explanation=explain_trade(
                    reason=trade.reason,
                    symbol=trade.security.symbol,
                    class_name=class_name,
                    row=classes.get(class_name),
                    is_taxable=row.is_taxable,
                    gain=sum((lot.gain for lot in trade.lots), ZERO),
                ),
                drift_removed_amount=Decimal(f"{note.drift_removed:.2f}"),
                rule=note.rule[:200],
                next_best=note.next_best[:200],
            )
        )
    return trades


def _weight(value: float) -> Decimal:
    return Decimal(f"{min(max(value, 0.0), 1.0):.8f}")
