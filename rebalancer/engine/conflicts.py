"""Finds the fewest wishes of a household that cannot all be met, and names them in a sentence.

A linear program over what is sold from each lot, with fractional shares and without tickets: what
it finds impossible no plan can do. Buying is left out: it takes cash, room under caps and turnover,
and no wish asks for it, so a plan that meets a set of wishes still meets them without its buys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from scipy.optimize import linprog

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.coupled.terms import Coupling
from rebalancer.engine.problem import Problem

SIZE_MAX = 3  # larger conflicts are made irreducible, not smallest
SLACK = 1e-6  # money by which a wish may be missed


class WishKind(StrEnum):
    """What a wish asks for; `amount` is money."""

    CASH_NEED = "CASH_NEED"  # at least the amount of cash in the account
    CAP = "CAP"  # at most the amount in a cap's positions; `position` is the cap's index
    NEVER_SELL = "NEVER_SELL"
    NEVER_BUY = "NEVER_BUY"
    MUST_LEAVE = "MUST_LEAVE"  # hold nothing
    TURNOVER = "TURNOVER"  # at most the amount traded in the account
    GAINS = "GAINS"  # at most the amount of net gains realised
    HOLD_LOTS = "HOLD_LOTS"  # keep at least the amount of a position


_SENTENCES = {
    WishKind.CASH_NEED: "{label} needs {amount:,.2f} in cash",
    WishKind.CAP: "{label} may be {amount:,.2f} at most",
    WishKind.NEVER_SELL: "{label} is never to be sold",
    WishKind.NEVER_BUY: "{label} is never to be bought",
    WishKind.MUST_LEAVE: "nothing of {label} is to be held",
    WishKind.TURNOVER: "{label} may trade {amount:,.2f} at most",
    WishKind.GAINS: "{label} may realise {amount:,.2f} of gains at most",
    WishKind.HOLD_LOTS: "{amount:,.2f} of {label} is to be kept",
}


@dataclass(frozen=True, slots=True)
class WishRow:
    """One hard wish. `position` -1 means all of the account, `account` -1 the whole household."""

    kind: WishKind
    label: str  # of whom or what the sentence speaks: an account, a security, a cap
    account: int
    position: int
    amount: float = 0.0


@dataclass(frozen=True)
class _Rule:
    """A wish over the lots: weights @ sold <= limit."""

    weights: Floats
    limit: float


def find_conflict(
    problem: Problem, coupling: Coupling, wishes: Sequence[WishRow]
) -> tuple[WishRow, ...]:
    """Return the smallest set of wishes that cannot all be met, the first one given; () if none.

    The Problem holds one household as it would be without the wishes: what binds must be a wish,
    its smallest cash too. Sets larger than three are irreducible, not proved smallest.

    :raises IndexError: when a wish names an account, position or cap that does not exist.
    """
    rules = [_build_rule(problem, coupling, wish) for wish in wishes]
    amount = problem.amount
    chosen = [number for number, rule in enumerate(rules) if rule is not None]
    if _is_possible(amount, [rules[number] for number in chosen]):
        return ()
    irreducible = _reduce(amount, rules, chosen)
    for size in range(1, min(len(irreducible) - 1, SIZE_MAX) + 1):
        for trial in combinations(chosen, size):
            if not _is_possible(amount, [rules[number] for number in trial]):
                return tuple(wishes[number] for number in trial)
    if len(irreducible) <= SIZE_MAX:
        irreducible = next(
            trial
            for trial in combinations(chosen, len(irreducible))
            if not _is_possible(amount, [rules[number] for number in trial])
        )
    return tuple(wishes[number] for number in irreducible)


def describe_conflict(rows: Sequence[WishRow]) -> str:
    """Return one sentence that names the wishes that cannot all be met, with their amounts."""
    if not rows:
        return "All wishes can be met."
    parts = [_SENTENCES[row.kind].format(label=row.label, amount=row.amount) for row in rows]
    if len(parts) == 1:
        return f"This wish cannot be met: {parts[0]}."
    return f"These wishes cannot all be met: {'; '.join(parts[:-1])}; and {parts[-1]}."


def _reduce(amount: Floats, rules: list[_Rule | None], chosen: Sequence[int]) -> tuple[int, ...]:
    """Return an impossible set that becomes possible without any one of its wishes."""
    left = list(chosen)
    for number in reversed(chosen):
        trial = [other for other in left if other != number]
        if not _is_possible(amount, [rules[other] for other in trial]):
            left = trial
    return tuple(left)


def _is_possible(amount: Floats, rules: Sequence[_Rule | None]) -> bool:
    """Return whether some sale of the lots meets all these rules."""
    asked = [rule for rule in rules if rule is not None]
    limits = np.array([rule.limit + SLACK for rule in asked])
    if (limits >= 0).all():  # selling nothing will do
        return True
    if not len(amount):
        return False
    weights = np.array([rule.weights for rule in asked])
    if (weights @ amount <= limits).all():  # selling everything will do
        return True
    unit = max(float(amount.max()), 1.0)
    answer = linprog(
        np.zeros(len(amount)),
        A_ub=weights,
        b_ub=limits / unit,
        bounds=np.column_stack([np.zeros(len(amount)), amount / unit]),
        method="highs",
    )
    return bool(answer.status != 2)  # 2: proved infeasible


def _build_rule(problem: Problem, coupling: Coupling, wish: WishRow) -> _Rule | None:
    """Return a wish as a rule over the lots; None where no sale can break it."""
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    if wish.kind is WishKind.NEVER_BUY or np.isposinf(wish.amount):
        return None
    if wish.kind is WishKind.CAP:
        members = _list_cap(coupling, wish.position)
        sold = np.bincount(members, minlength=len(problem.held))[position].astype(float)
        return _Rule(-sold, wish.amount - float(problem.held[members].sum()))
    members = _list_positions(problem, wish)
    inside = np.isin(position, members).astype(float)
    if wish.kind is WishKind.CASH_NEED:
        cash = problem.cash if wish.account < 0 else problem.cash[wish.account]
        received = inside * (1 - problem.sell_cost[position])
        return _Rule(-received, float(np.sum(cash)) - wish.amount)
    if wish.kind is WishKind.MUST_LEAVE:
        return _Rule(-inside, -float(problem.held[members].sum()))
    if wish.kind is WishKind.GAINS:
        return _Rule(inside * problem.gain, wish.amount)
    if wish.kind is WishKind.TURNOVER:
        return _Rule(inside, wish.amount)
    kept = 0.0
    if wish.kind is WishKind.HOLD_LOTS:
        kept = float(problem.held[members].sum()) - wish.amount
    return _Rule(inside, kept)


def _list_positions(problem: Problem, wish: WishRow) -> Ints:
    """Return the positions that a wish speaks of."""
    if wish.position >= len(problem.held) or wish.account >= problem.account_count:
        raise IndexError(f"a wish names account {wish.account}, position {wish.position}")
    if wish.position >= 0:
        return np.array([wish.position])
    if wish.account < 0:
        return np.arange(len(problem.held))
    return np.arange(*problem.position_offsets[wish.account : wish.account + 2])


def _list_cap(coupling: Coupling, cap: int) -> Ints:
    if not 0 <= cap < len(coupling.cap_max):
        raise IndexError(f"a wish names cap {cap} of {len(coupling.cap_max)}")
    start, end = coupling.cap_offsets[cap : cap + 2]
    return coupling.cap_position[start:end]
