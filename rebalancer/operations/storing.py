"""Writing solved plans down as proposals, with their trades and lots."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.explain import explain_trade
from rebalancer.domain.lifecycle import ProposalEvent, ProposalStatus, advance_proposal
from rebalancer.domain.policy import hash_json
from rebalancer.operations.consents import announce_questions
from rebalancer.operations.solving import Solved, Wanted
from rebalancer.operations.trail import audit_proposals


def store_proposals(
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
    announce_questions(proposals)
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
