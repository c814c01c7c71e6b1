"""One proposal's whole life for an auditor: check, proposal, decision, orders, executions, books;
each fact with who, when, its fingerprint, and the entries of the sealed journal that tell of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.queries.journal import list_traces
from accounts.queries.journal_status import NOWHERE, Place, find_places
from portfolios.queries.traces import BookedEntry, list_booked
from rebalancer import models
from rebalancer.domain.blocks import name_fill
from rebalancer.queries.pages import words
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from accounts.models import AuditEntry

BROKER = "the broker"
DECISIONS = {True: "rebalancer.proposal.approved", False: "rebalancer.proposal.rejected"}


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry of the journal, and where it stands in the chain."""

    entry: "AuditEntry"
    place: Place


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is on record. `fault` says why it cannot be what the journal tells of."""

    title: str
    lines: tuple[str, ...]
    at: datetime | None
    who: str
    fingerprint: str = ""
    traces: tuple[Trace, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the road, with what is on record of it."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Life:
    """All stages, and how many of the journal's entries are sealed, whole and covered."""

    stages: tuple[Stage, ...]
    trace_count: int
    sealed_count: int
    covered_count: int
    fault_count: int


def load_life(proposal: models.Proposal) -> Life:
    """Return a proposal's life, in a fixed number of queries."""
    orders = list(
        proposal.orders.select_related("security", "trade")
        .prefetch_related("fills")
        .order_by("-side", "id")
    )
    traces = _load_traces(proposal, orders)
    decision = getattr(proposal, "decision", None)
    executions, booked = load_executions(orders)
    stages = (
        Stage("Trigger", (_tell_check(proposal),)),
        Stage("Proposal", (_tell_proposal(proposal, traces),)),
        Stage("Decision", (_tell_decision(proposal, decision, traces),) if decision else ()),
        Stage("Orders", tuple(_tell_order(order, traces) for order in orders)),
        Stage("Executions", tuple(executions)),
        Stage("Books", tuple(_tell_booked(entry) for entry in booked)),
    )
    everything = [trace for each in traces.values() for trace in each]
    facts = [fact for stage in stages for fact in stage.facts]
    return Life(
        stages=stages,
        trace_count=len(everything),
        sealed_count=sum(trace.place.seq is not None for trace in everything),
        covered_count=sum(trace.place.checkpoint_size is not None for trace in everything),
        fault_count=sum(bool(fact.fault) for fact in facts)
        + sum(not trace.place.is_whole for trace in everything),
    )


def load_executions(orders: Sequence[models.Order]) -> tuple[list[Fact], list[BookedEntry]]:
    """Return what the broker reported of these orders, and what was booked from it."""
    facts, sources = [], []
    for order in orders:
        for fill in order.fills.all():
            source = name_fill(
                order.client_order_id, fill.number, is_reversal=fill.reverses_id is not None
            )
            sources.append(source)
            facts.append(
                Fact(
                    title=f"{order.side.title()} {order.security.symbol}",
                    lines=(
                        f"{figures.quantity(fill.quantity)} at {figures.price(fill.price)}, "
                        f"{figures.day(fill.fill_date)}",
                    ),
                    at=fill.recorded_at,
                    who=BROKER,
                    fingerprint=source,
                )
            )
    booked = list_booked(sources) if sources else []
    missing = set(sources) - {entry.source for entry in booked}
    return [_doubt(fact, missing) for fact in facts], booked


def _doubt(fact: Fact, missing: set[str]) -> Fact:
    if fact.fingerprint not in missing:
        return fact
    return Fact(
        fact.title, fact.lines, fact.at, fact.who, fact.fingerprint, fault="It is not in the books."
    )


def _load_traces(
    proposal: models.Proposal, orders: Iterable[models.Order]
) -> Mapping[str, tuple[Trace, ...]]:
    """Return the journal's entries by the object that they tell of."""
    ids = [str(proposal.public_id), *(order.client_order_id for order in orders)]
    entries = list_traces(firm_id=proposal.firm_id, object_ids=ids)
    places = find_places(proposal.firm, [entry.pk for entry in entries])
    traces: dict[str, list[Trace]] = defaultdict(list)
    for entry in entries:
        traces[entry.object_id].append(Trace(entry, places.get(entry.pk, NOWHERE)))
    return {name: tuple(each) for name, each in traces.items()}


def _tell_check(proposal: models.Proposal) -> Fact:
    check = proposal.origin_check
    return Fact(
        title=words.CAUSE_LABELS[check.cause],
        lines=(
            words.CAUSE_SENTENCES[check.cause],
            f"Prices of {figures.day(check.price_date)}; largest distance from target "
            f"{figures.percent(check.drift_max)}.",
        ),
        at=check.created_at,
        who=f"the policy {proposal.policy.name}",
        fingerprint=f"check {check.pk}, {check.period_key}",
    )


def _tell_proposal(proposal: models.Proposal, traces: Mapping[str, tuple[Trace, ...]]) -> Fact:
    own = traces.get(str(proposal.public_id), ())
    decided = set(DECISIONS.values())
    return Fact(
        title=f"Proposal of {figures.money(proposal.turnover_amount)} in trades",
        lines=(
            f"Model {proposal.model_version.model.name}, version {proposal.model_version.number}.",
            f"Inputs {proposal.inputs_hash}",
            *((f"{proposal.status.replace('_', ' ').capitalize()}. {proposal.close_reason}",)),
        ),
        at=proposal.created_at,
        who=proposal.proposed_by.name,
        fingerprint=proposal.content_hash,
        traces=tuple(trace for trace in own if trace.entry.action not in decided),
        fault=_compare_hash(proposal.content_hash, own),
    )


def _tell_decision(
    proposal: models.Proposal,
    decision: models.Decision,
    traces: Mapping[str, tuple[Trace, ...]],
) -> Fact:
    own = traces.get(str(proposal.public_id), ())
    telling = tuple(t for t in own if t.entry.action == DECISIONS[decision.is_approved])
    fault = _compare_hash(decision.content_hash, telling)
    if not telling:
        fault = "The journal knows nothing of it."
    elif telling[-1].entry.actor_id != decision.decided_by_id:
        fault = f"The journal says that {telling[-1].entry.actor.name} did this."
    elif decision.content_hash != proposal.content_hash:
        fault = "It was made on other contents than the proposal has."
    return Fact(
        title="Approved" if decision.is_approved else "Rejected",
        lines=(decision.note,) if decision.note else (),
        at=decision.decided_at,
        who=decision.decided_by.name,
        fingerprint=decision.content_hash,
        traces=telling,
        fault=fault,
    )


def _compare_hash(content_hash: str, traces: Iterable[Trace]) -> str:
    told = {trace.entry.detail.get("content_hash") for trace in traces} - {None}
    return "" if told <= {content_hash} else "The journal tells of other contents."


def _tell_order(order: models.Order, traces: Mapping[str, tuple[Trace, ...]]) -> Fact:
    own = traces.get(order.client_order_id, ())
    told = own[-1].entry.detail.get("filled_quantity") if own else None
    is_other = told is not None and order.closed_at and told != str(order.filled_quantity)
    return Fact(
        title=f"{order.side.title()} {figures.quantity(order.quantity)} {order.security.symbol}",
        lines=(
            f"{order.status.replace('_', ' ').capitalize()}: "
            f"{figures.quantity(order.filled_quantity)} for {figures.money(order.filled_amount)}. "
            f"{order.reason}",
        ),
        at=order.submitted_at or order.created_at,
        who="the engine",
        fingerprint=order.client_order_id,
        traces=own,
        fault=f"The journal tells of {told} filled." if is_other else "",
    )


def _tell_booked(entry: BookedEntry) -> Fact:
    return Fact(
        title=entry.memo or entry.kind.capitalize(),
        lines=entry.lines,
        at=entry.recorded_at,
        who="the books",
        fingerprint=f"entry {entry.entry_id}, {entry.source}",
    )
