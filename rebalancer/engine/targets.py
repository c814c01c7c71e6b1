"""What each account should hold: its model, less the cash it needs, within its household's wishes.

Where a wish or a missing market keeps a security out, its share goes to its substitutes in rank
order, else to the rest of its asset class, else to all other targets, else it stays cash. Every
such move is noted in a sentence.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, WASHED, Book
from rebalancer.engine.columns import CENTS, WEIGHT_UNITS, Bools, Floats, sum_in_order


@dataclass(frozen=True)
class Targets:
    """Target weights by account and security, and of cash; each row sums to one.

    `required_cash` is the money that must not be traded away: needs within the horizon and the
    policy's floor. `blocked` says, by account index, why an account cannot be looked at.
    """

    weights: Floats  # [accounts, securities]
    cash: Floats  # [accounts]
    required_cash: Floats  # [accounts]
    substituted: frozenset[tuple[int, int]]  # (account, security) bought in another's place
    notes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    blocked: dict[int, str] = field(default_factory=dict)


def resolve_targets(book: Book) -> Targets:
    """Return the targets of every account of the Book."""
    blocked = _find_blocked(book)
    model_weights = np.zeros((len(book.models) + 1, len(book.securities)))
    model_cash = np.ones(len(book.models) + 1)
    for index, model in enumerate(book.models):
        model_cash[index] = int(model.cash_weight * WEIGHT_UNITS) / WEIGHT_UNITS
        for security_id, weight in model.weights:
            model_weights[index, book.index_of_security[security_id]] = float(weight)

    floors = np.array([float(policy.cash_floor_amount) for policy in book.policies] + [0.0])
    needs = book.need_cents / CENTS
    required_cash = needs + floors[book.policy_index]
    with np.errstate(divide="ignore", invalid="ignore"):
        need_share = np.clip(np.nan_to_num(needs / book.values), 0.0, 1.0)
        required_share = np.clip(np.nan_to_num(required_cash / book.values), 0.0, 1.0)
    cash = np.maximum(model_cash[book.model_index] * (1 - need_share) + need_share, required_share)
    weights = model_weights[book.model_index]
    invested = sum_in_order(weights)
    weights *= np.where(invested > 0, (1 - cash) / np.where(invested > 0, invested, 1), 0)[:, None]

    notes: dict[int, list[str]] = defaultdict(list)
    substituted: set[tuple[int, int]] = set()
    unbuyable = {i: NO_BUY for i, row in enumerate(book.securities) if not row.is_buyable}
    for account in _accounts_with_locks(book, weights, set(unbuyable)):
        if account in blocked:
            continue
        locks = unbuyable | book.locks_of(account)
        mover = _LockedTargets(book, account, weights[account], locks)
        cash[account] += mover.apply()
        notes[account].extend(mover.notes)
        substituted.update((account, security) for security in mover.substitutes_used)
    return Targets(
        weights=weights,
        cash=cash,
        required_cash=required_cash,
        substituted=frozenset(substituted),
        notes={account: tuple(lines) for account, lines in notes.items() if lines},
        blocked=blocked,
    )


def _find_blocked(book: Book) -> dict[int, str]:
    """Return why accounts cannot be looked at, naming the culprit; the first reason counts."""
    blocked: dict[int, str] = {}

    def block(accounts: Bools, reason: str) -> None:
        for account in np.flatnonzero(accounts):
            blocked.setdefault(int(account), reason)

    block(book.model_index < 0, "follows no published model portfolio")
    block(book.policy_index < 0, "follows no rebalancing policy")
    for security, row in enumerate(book.securities):
        if row.is_unclassified:
            block(book.held_units[:, security] > 0, f"{row.symbol} has no asset class yet")
    involved = _find_involved(book)
    for security in map(int, np.flatnonzero(book.price_units <= 0)):
        symbol = book.securities[security].symbol
        block(involved[:, security], f"no usable price for {symbol} on {book.price_date}")
    block(book.values <= 0, "holds nothing")
    by_risk = np.array([policy.looks_at_risk for policy in book.policies] + [False])
    if by_risk[book.policy_index].any():
        known = np.zeros(len(book.securities), np.bool_)
        if book.covariance is not None:
            known = np.isfinite(np.diag(book.covariance))
        for security in map(int, np.flatnonzero(~known)):
            symbol = book.securities[security].symbol
            block(
                involved[:, security] & by_risk[book.policy_index],
                f"the risk of {symbol} is not known: too few prices, and no volatility given",
            )
    return blocked


def _find_involved(book: Book) -> Bools:
    """Return [accounts, securities]: what each account holds or should hold."""
    involved = book.held_units > 0
    for index, model in enumerate(book.models):
        follows = book.model_index == index
        for security_id, _weight in model.weights:
            involved[:, book.index_of_security[security_id]] |= follows
    return involved


def _accounts_with_locks(book: Book, weights: Floats, unbuyable: set[int]) -> list[int]:
    locked = np.diff(book.lock_offsets) > 0
    locked |= np.isin(book.household_index, sorted(book.washes.blocked_until))
    if unbuyable:
        locked |= (weights[:, sorted(unbuyable)] > 0).any(axis=1)
    return [int(account) for account in np.flatnonzero(locked)]


class _LockedTargets:
    """Moves one account's target weights around its locks, in place."""

    def __init__(self, book: Book, account: int, weights: Floats, locks: dict[int, int]) -> None:
        self.book, self.account, self.weights, self.locks = book, account, weights, locks
        self.held = book.held_values[account] / book.values[account]
        self.notes: list[str] = []
        self.substitutes_used: set[int] = set()

    def apply(self) -> float:
        """Apply every lock and return how much of the account goes to (or comes from) cash."""
        to_cash = 0.0
        for security, code in sorted(self.locks.items()):
            if code & EXCLUDED:
                to_cash += self._move_away(security, keep=0.0)
            elif code & (NO_BUY | WASHED) and self.weights[security] > self.held[security]:
                to_cash += self._move_away(security, keep=self.held[security])
        for security, code in sorted(self.locks.items()):
            if code & NO_SELL and self.held[security] > self.weights[security]:
                to_cash -= self._make_room(security)
        return to_cash

    def _may_buy(self, security: int) -> bool:
        return not self.locks.get(security, 0) & (NO_BUY | EXCLUDED | WASHED)

    def _why(self, security: int) -> str:
        code = self.locks[security]
        if code & EXCLUDED:
            return "is excluded"
        return "may not be bought" if code & NO_BUY else "would wash a loss just realised"

    def _move_away(self, security: int, *, keep: float) -> float:
        amount = float(self.weights[security]) - keep
        if amount <= 0:
            return 0.0
        self.weights[security] = keep
        row = self.book.securities[security]
        why = self._why(security)
        for substitute_id in self.book.substitutes_of(self.account, security):
            substitute = self.book.index_of_security.get(substitute_id)
            if (
                substitute is not None
                and self._may_buy(substitute)
                and self.book.price_units[substitute] > 0
            ):
                self.weights[substitute] += amount
                self.substitutes_used.add(substitute)
                other = self.book.securities[substitute].symbol
                self.notes.append(f"{row.symbol} {why}: {other} takes its place")
                return 0.0
        same_class = self.book.class_index == self.book.class_index[security]
        free = np.array([self._may_buy(i) for i in range(len(self.weights))]) & (self.weights > 0)
        for takers, where in ((same_class & free, row.class_name), (free, "the other targets")):
            if takers.any():
                self.weights[takers] *= 1 + amount / sum_in_order(self.weights[takers])
                self.notes.append(f"{row.symbol} {why}: its share goes to {where}")
                return 0.0
        self.notes.append(f"{row.symbol} {why}: its share stays in cash")
        return amount

    def _make_room(self, security: int) -> float:
        excess = self.held[security] - self.weights[security]
        self.weights[security] = self.held[security]
        symbol = self.book.securities[security].symbol
        self.notes.append(f"{symbol} may not be sold: the other targets give way")
        pinned = np.array([bool(self.locks.get(i, 0) & NO_SELL) for i in range(len(self.weights))])
        same_class = self.book.class_index == self.book.class_index[security]
        for givers in (same_class & ~pinned, ~pinned):
            available = float(sum_in_order(self.weights[givers]))
            given = min(excess, available)
            if given > 0:
                self.weights[givers] *= 1 - given / available
                excess -= given
        return float(excess)
