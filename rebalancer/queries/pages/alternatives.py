"""What else could be done with a proposal's account: solved from the stored case, nothing kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from accounts.domain.roles import WishKind
from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.kinds import BandLevel, Cause, Mode
from rebalancer.domain.plan import Plan, PlannedTrade, PlanRefused
from rebalancer.engine.answer import Answer
from rebalancer.engine.answering import PASSED_OVER, answer_outcome
from rebalancer.engine.book import Book
from rebalancer.engine.case.book import build_named_book
from rebalancer.engine.case.fields import ENGINE_VERSION
from rebalancer.engine.case.normal import normalise_case
from rebalancer.engine.case.rows import CaseRefused
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.exact import measure_values_after
from rebalancer.engine.household_terms import measure_household_terms
from rebalancer.engine.outcome import Case, Outcome
from rebalancer.engine.route import choose_mode, solve_households
from rebalancer.engine.targets import resolve_targets
from rebalancer.queries.pages import words

OFFERED_MODES = (
    Mode.FULL,
    Mode.BAND_EDGE,
    Mode.BUY_ONLY,
    Mode.HARVEST_ONLY,
    Mode.SELL_ONLY,
    Mode.DRIFTED_ONLY,
)
NOT_READABLE = "it was worked out by an earlier engine and cannot be solved again"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a person would change; None and empty leave things as the proposal has them."""

    mode: Mode | None = None
    gains_budget: Decimal | None = None
    never_buy: Sequence[str] = ()  # symbols
    never_sell: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """One trade of a plan, as far as plans are compared by it."""

    side: str
    symbol: str
    quantity: Decimal
    amount: Decimal
    tax: Decimal
    lots: frozenset[str]  # the lots that a sale takes, as the case names them


@dataclass(frozen=True)
class Alternative:
    """One plan for the account, or why there is none."""

    mode: Mode
    problem: str = ""
    trades: Sequence[Move] = ()
    drift_after: float = 0.0
    tax: Decimal = ZERO
    cost: Decimal = ZERO
    turnover: Decimal = ZERO
    cash_after: Decimal = ZERO
    total: float | None = None  # what drift and trades cost together; None: not comparable
    notes: tuple[str, ...] = ()
    is_proposed: bool = False
    is_same: bool = False  # trades what the proposal trades

    @property
    def label(self) -> str:
        """Return what the plan is called."""
        return words.MODE_LABELS[self.mode]

    @property
    def rule(self) -> str:
        """Return which trades it considers."""
        return words.MODE_SENTENCES[self.mode]


@dataclass(frozen=True, slots=True)
class Tradable:
    """A security that the account holds or wants, and the wishes that hold for it already."""

    symbol: str
    security_id: int
    is_never_bought: bool
    is_never_sold: bool


def list_alternatives(proposal: models.Proposal) -> list[Alternative]:
    """Return the proposal as it is, and every other way to trade, solved anew.

    Its own way is among them where the account alone would trade otherwise: a plan of the whole
    household may do what the account by itself would not.
    """
    try:
        desk = _Desk(proposal, WhatIf())
    except CaseRefused:
        return [describe_proposal(proposal), Alternative(Mode(proposal.mode), NOT_READABLE)]
    proposed = desk.measure(describe_proposal(proposal))
    modes = (Mode(proposal.mode), *(m for m in OFFERED_MODES if m != proposal.mode))
    others = [_compare(desk.solve(mode), proposed) for mode in modes]
    return [proposed, *(p for p in others if not (p.is_same and p.mode == proposed.mode))]


def compare_alternative(
    proposal: models.Proposal, wanted: WhatIf
) -> tuple[Alternative, Alternative]:
    """Return the proposal as it is, and what would be proposed if some things were otherwise.

    Nothing is stored.
    """
    proposed = describe_proposal(proposal)
    try:
        desk = _Desk(proposal, wanted)
    except CaseRefused:
        return proposed, Alternative(wanted.mode or Mode(proposal.mode), NOT_READABLE)
    return desk.measure(proposed), desk.solve(wanted.mode)


def describe_proposal(proposal: models.Proposal) -> Alternative:
    """Return a stored proposal as one of the plans to compare, without its cost in all."""
    rows = proposal.trades.select_related("security").prefetch_related("trade_lots")
    return Alternative(
        mode=Mode(proposal.mode),
        trades=[
            Move(
                side=row.side,
                symbol=row.security.symbol,
                quantity=row.quantity,
                amount=row.amount,
                tax=row.tax_amount,
                lots=frozenset(str(part.lot_id) for part in row.trade_lots.all()),
            )
            for row in rows
        ],
        drift_after=float(proposal.drift_after),
        tax=proposal.tax_amount,
        cost=proposal.cost_amount,
        turnover=proposal.turnover_amount,
        cash_after=proposal.cash_after,
        is_proposed=True,
    )


def _compare(plan: Alternative, proposed: Alternative) -> Alternative:
    own, other = (
        {(move.side, move.symbol, move.quantity) for move in one.trades} for one in (plan, proposed)
    )
    return replace(plan, is_same=not plan.problem and own == other)


def list_tradable(proposal: models.Proposal) -> list[Tradable]:
    """Return the securities that the account of a proposal holds or wants, by symbol."""
    case = proposal.inputs
    own = str(proposal.account_id)
    if case.get("engine_version") != ENGINE_VERSION:
        return []
    account = next(row for row in case["accounts"] if row["id"] == own)
    ids: Mapping[str, int] = case["origin"]["securities"]
    symbols = {lot["symbol"] for lot in account["lots"]}
    symbols |= set((account.get("targets", case["targets"]) or {}).get("securities", ()))
    wishes = {(wish["symbol"], wish["kind"]) for wish in case["wishes"] if own in wish["accounts"]}
    return [
        Tradable(
            symbol=symbol,
            security_id=ids[symbol],
            is_never_bought=bool(
                {(symbol, WishKind.NEVER_BUY), (symbol, WishKind.EXCLUDE)} & wishes
            ),
            is_never_sold=(symbol, WishKind.NEVER_SELL) in wishes,
        )
        for symbol in sorted(symbols & set(ids))
    ]


# --- Solving -------------------------------------------------------------------------------------


class _Desk:
    """The account of a proposal with the stored facts, ready to be solved in any mode.

    The other accounts of a household that is managed as one count, but do not trade: the same as
    when the plan is taken.
    """

    def __init__(self, proposal: models.Proposal, wanted: WhatIf) -> None:
        """Read the stored case.

        :raises CaseRefused: when an earlier engine wrote it.
        """
        own = str(proposal.account_id)
        named = build_named_book(_with_wishes(normalise_case(proposal.inputs), own, wanted))
        self.lot_names = named.lot_ids
        self.account = named.account_ids.index(own)
        self.book = _with_budget(named.book, wanted.gains_budget)
        is_flow = proposal.origin_check.cause == Cause.CASH_FLOW
        targets = resolve_targets(self.book)
        self.case = Case(self.book, targets, measure_drift(self.book, targets, is_flow=is_flow))
        self.blocked = targets.blocked.get(self.account, "")
        self.kept_mode = Mode(proposal.mode)
        if not self.blocked:
            asked = proposal.wanted.get("mode")
            self.kept_mode = Mode(asked) if asked else self._choose_mode(is_flow=is_flow)
            self.yardstick = self._find_outcome(self._choose_mode(is_flow=False))

    def _choose_mode(self, *, is_flow: bool) -> Mode:
        return choose_mode(self.book, self.case.drift, self.account, is_flow=is_flow)

    def _find_outcome(self, mode: Mode) -> Outcome:
        [outcome] = solve_households(self.case, {self.account: mode}).values()
        return outcome

    def solve(self, mode: Mode | None) -> Alternative:
        """Return the best plan of a mode; None is the mode that the proposal was solved in."""
        chosen = mode or self.kept_mode
        if self.blocked:
            return Alternative(chosen, self.blocked)
        household = int(self.book.household_index[self.account])
        try:
            answer = answer_outcome(self.case, household, self._find_outcome(chosen))
        except PlanRefused as error:
            return Alternative(chosen, f"the plan failed its check: {error}")
        plan = answer.plans[self.account]
        is_short = bool(self.case.drift.is_cash_short[self.account])
        problem = answer.find_problem(self.account, is_cash_short=is_short)
        if problem:
            return Alternative(chosen, problem)
        return self.measure(
            Alternative(
                mode=chosen,
                trades=[self._describe_trade(trade) for trade in plan.trades],
                drift_after=_measure_distance(self.case, answer, self.account),
                tax=sum((trade.tax for trade in plan.trades), ZERO),
                cost=sum((trade.cost for trade in plan.trades), ZERO),
                turnover=sum((trade.amount for trade in plan.trades), ZERO),
                cash_after=plan.cash_after,
                notes=answer.notes.get(self.account, ()),
            )
        )

    def _describe_trade(self, trade: PlannedTrade) -> Move:
        return Move(
            side=trade.side,
            symbol=trade.security.symbol,
            quantity=trade.quantity,
            amount=trade.amount,
            tax=trade.tax,
            lots=frozenset(self.lot_names[lot.lot_id] for lot in trade.lots),
        )

    def measure(self, plan: Alternative) -> Alternative:
        """Return a plan with what it costs in all by the policy's own yardstick.

        A mode that aims elsewhere measures drift from there: its own figure compares with no other.
        """
        if self.blocked:
            return plan
        formulation = self.yardstick.formulation
        problem = formulation.problem
        own = np.flatnonzero(formulation.accounts[formulation.account] == self.account)
        at = {self.book.securities[problem.security[i]].symbol: int(i) for i in own}
        money = np.zeros(len(problem.held))
        for move in plan.trades:
            if move.symbol not in at:
                return plan
            position = at[move.symbol]
            amount = float(move.quantity) * float(self.book.prices[problem.security[position]])
            money[position] = amount if move.side == Side.BUY else -amount
        used = frozenset[str]().union(*(move.lots for move in plan.trades))
        is_used = [self.lot_names[int(self.book.lot_ids[lot])] in used for lot in problem.lot]
        order = np.where(np.array(is_used, np.bool_), 0.0, PASSED_OVER) + problem.tau()
        terms = measure_household_terms(self.book, self.yardstick, money, order=order)
        return replace(plan, total=terms.total)


def _with_wishes(case: Mapping[str, Any], own: str, wanted: WhatIf) -> dict[str, Any]:
    """Return a case in normal form with the wishes of a moment added."""
    extra = [
        {"kind": str(kind), "symbol": symbol, "accounts": [own]}
        for kind, symbols in (
            (WishKind.NEVER_BUY, wanted.never_buy),
            (WishKind.NEVER_SELL, wanted.never_sell),
        )
        for symbol in symbols
    ]
    return {**case, "wishes": [*case["wishes"], *extra]}


def _with_budget(book: Book, gains_budget: Decimal | None) -> Book:
    if gains_budget is None:
        return book
    households = tuple(replace(row, gains_budget=gains_budget) for row in book.households)
    return replace(book, households=households)


def _measure_distance(case: Case, answer: Answer, account: int) -> float:
    """Return half the sum of distances from target after a plan, at the policy's level."""
    book, drift = case.book, case.drift
    level = book.policies[book.policy_index[account]].band_level
    home = int(book.household_index[account])
    members = (
        range(book.household_offsets[home], book.household_offsets[home + 1])
        if book.households[home].is_together
        else [account]
    )
    values, cash = np.zeros(len(book.securities)), 0.0
    for member in members:
        plan = answer.plans.get(member, Plan((), Decimal(str(book.cash[member]))))
        values += measure_values_after(book, member, plan)
        cash += float(plan.cash_after)
    weights = values / (values.sum() + cash)
    by_class = level is BandLevel.ASSET_CLASS
    after = np.append(
        book.sum_classes(weights) if by_class else weights, cash / (values.sum() + cash)
    )
    return float(np.abs(after - drift.rows_of(level).targets[account]).sum() / 2)
