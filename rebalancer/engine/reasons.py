"""Why each trade is made, what stopped it there, and why a naive trade is not made."""

from dataclasses import dataclass

import numpy as np

from rebalancer.domain.kinds import BandLevel, Mode, TradeReason
from rebalancer.domain.plan import PlannedTrade
from rebalancer.engine.answer import NoTradeNote, TradeNote
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, WASHED, Book
from rebalancer.engine.columns import Floats
from rebalancer.engine.coupled.terms import Coupling
from rebalancer.engine.drift import Drift
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.netting.plan import list_sold
from rebalancer.engine.targets import Targets

# Money below this is not worth a word.
NOTICEABLE = 0.005


@dataclass(frozen=True)
class Solved:
    """What reasons are read from: the Problem, the trades in money, the order of lots."""

    formulation: Formulation
    trade: Floats  # [positions]
    naive: Floats  # [positions] straight to target
    tau: Floats  # [segments] price of selling
    order: Floats  # [segments] lots are sold by this, ascending
    cash: Floats  # [accounts] after trading
    coupling: Coupling
    matrices: tuple[Floats, ...] | None  # drift matrices by account, where drift is priced by risk


def choose_reason(
    book: Book, targets: Targets, drift: Drift, solved: Solved, position: int
) -> TradeReason:
    """Return the one thing that explains a trade best."""
    problem = solved.formulation.problem
    account = int(solved.formulation.accounts[solved.formulation.account[position]])
    security = int(problem.security[position])
    policy = book.policies[book.policy_index[account]]
    rows = drift.rows_of(policy.band_level)
    by_class = policy.band_level is BandLevel.ASSET_CLASS
    row = int(book.class_index[security]) if by_class else security
    is_over = rows.weights[account, row] > rows.high[account, row]
    is_under = rows.weights[account, row] < rows.low[account, row]
    if solved.trade[position] < 0:
        if solved.formulation.forced[position]:
            return TradeReason.EXCLUDED
        if _is_mostly_harvest(solved, position) and not is_over:
            return TradeReason.HARVEST
        if targets.weights[account, security] <= 0:
            return TradeReason.NOT_IN_MODEL
        wants_cash = rows.weights[account, -1] < rows.low[account, -1] and not is_over
        if wants_cash:
            return TradeReason.RAISE_CASH
        return TradeReason.LOCATION if _is_relocated(solved, position) else TradeReason.OVERWEIGHT
    if solved.formulation.is_partner[position]:
        return TradeReason.PARTNER
    if (account, security) in targets.substituted:
        return TradeReason.SUBSTITUTE
    has_cash = rows.weights[account, -1] > rows.high[account, -1] and not is_under
    if has_cash:
        return TradeReason.INVEST_CASH
    return TradeReason.LOCATION if _is_relocated(solved, position) else TradeReason.UNDERWEIGHT


def _is_mostly_harvest(solved: Solved, position: int) -> bool:
    problem = solved.formulation.problem
    span = slice(problem.segment_offsets[position], problem.segment_offsets[position + 1])
    sold = list_sold(problem, solved.trade, solved.order)[span]
    harvested = sold[solved.formulation.is_harvest[span]].sum()
    return bool(harvested > 0.5 * sold.sum() > 0)


def _is_relocated(solved: Solved, position: int) -> bool:
    """Return whether another account that shares the target trades it the other way."""
    if not len(solved.coupling.row_target):
        return False  # each account has a target of its own
    problem = solved.formulation.problem
    same = problem.security == problem.security[position]
    return bool((solved.trade[same] * np.sign(solved.trade[position]) < 0).any())


def explain_trade_made(
    book: Book, solved: Solved, position: int, planned: PlannedTrade
) -> TradeNote:
    """Return what a trade removes and costs, what limited it, and the next best quantity."""
    trade = float(solved.trade[position])
    without = _drift_cost(solved, position, 0.0) - _drift_cost(solved, position, trade)
    return TradeNote(
        drift_removed=without,
        tax=planned.tax,
        cost=planned.cost,
        rule=_name_rule(book, solved, position),
        next_best=_name_next_best(book, solved, position),
    )


def _drift_cost(solved: Solved, position: int, trade: float) -> float:
    """Return the drift cost that depends on one position, the others as they are."""
    problem, account = solved.formulation.problem, int(solved.formulation.account[position])
    after = problem.held[position] + trade
    value = problem.value[account]
    cost = _measure_shared(solved, position, after)
    if solved.matrices is not None:
        span = slice(problem.position_offsets[account], problem.position_offsets[account + 1])
        off = (problem.held + solved.trade - problem.target)[span]
        off[position - span.start] = after - problem.target[position]
        return cost + float(off @ solved.matrices[account] @ off) / (2 * float(value))
    cost += problem.penalty[position] / (2 * value) * (after - problem.target[position]) ** 2
    group = int(problem.group[position])
    if group >= 0:
        members = problem.group == group
        others = (problem.held + solved.trade)[members].sum()
        others -= problem.held[position] + solved.trade[position]
        off = others + after - problem.group_target[group]
        cost += problem.group_penalty[group] / (2 * value) * off**2
    return float(cost)


def _measure_shared(solved: Solved, position: int, after: float) -> float:
    """Return the drift and location cost of what the household shares, one holding replaced."""
    problem, coupling = solved.formulation.problem, solved.coupling
    if not len(coupling.row_target):
        return float(coupling.holding_cost[position] * after)
    holding = problem.held + solved.trade
    holding[position] = after
    cost = float(coupling.holding_cost[position] * after)
    owner = np.repeat(np.arange(len(coupling.row_target)), np.diff(coupling.row_offsets))
    for row in owner[coupling.row_position == position]:
        members = coupling.row_position[coupling.row_offsets[row] : coupling.row_offsets[row + 1]]
        off = holding[members].sum() - coupling.row_target[row]
        cost += float(coupling.row_penalty[row] / (2 * problem.value.sum()) * off**2)
    return cost


def _own_cost(solved: Solved, position: int, trade: float) -> float:
    """Return what one position's trade costs by itself: tax, spread, tickets, impact."""
    problem, account = solved.formulation.problem, int(solved.formulation.account[position])
    if trade == 0:
        return 0.0
    tax = _price_sale(solved, position, -trade) if trade < 0 else 0.0
    rate = problem.buy_cost[position] if trade > 0 else problem.sell_cost[position]
    ticket = problem.ticket_cash[position] + problem.ticket_price[account]
    impact = problem.impact[position] * abs(trade) ** 1.5
    return float(tax + rate * abs(trade) + ticket + impact)


def _price_sale(solved: Solved, position: int, amount: float) -> float:
    """Return the tax price of selling so much of one position, lots in order."""
    problem = solved.formulation.problem
    span = slice(problem.segment_offsets[position], problem.segment_offsets[position + 1])
    price, left = 0.0, amount
    for place in np.argsort(solved.order[span], kind="stable") + span.start:
        sold = min(left, float(problem.amount[place]))
        price += sold * float(solved.tau[place])
        left -= sold
    return price


def _cash_cost(solved: Solved, account: int, cash: float) -> float:
    problem = solved.formulation.problem
    off = cash - problem.cash_target[account]
    return float(problem.cash_penalty[account] / (2 * problem.value[account]) * off**2)


def _total(solved: Solved, position: int, trade: float) -> float:
    account = int(solved.formulation.account[position])
    cash = float(solved.cash[account]) + float(solved.trade[position]) - trade
    return (
        _drift_cost(solved, position, trade)
        + _own_cost(solved, position, trade)
        + _cash_cost(solved, account, cash)
    )


def _name_rule(book: Book, solved: Solved, position: int) -> str:
    formulation, problem = solved.formulation, solved.formulation.problem
    account, trade = int(formulation.account[position]), float(solved.trade[position])
    if formulation.forced[position]:
        return "the household excludes it: all of it goes"
    sellable = problem.amount[
        problem.segment_offsets[position] : problem.segment_offsets[position + 1]
    ]
    if trade < 0 and -trade >= problem.held[position] - NOTICEABLE:
        return "the whole holding is sold"
    if trade < 0 and -trade >= sellable.sum() - problem.step[position]:
        return "all that may be sold is sold"
    if abs(trade) <= problem.smallest[position] + problem.step[position]:
        return "the smallest trade that the policy allows"
    lot = _find_next_lot(solved, position) if trade < 0 else None
    if lot is not None:
        return f"the next lot (number {book.lot_ids[lot]}) would be taxed more than it helps"
    limit = _name_limit(solved, account, trade, float(problem.step[position]))
    if limit:
        return limit
    if trade > 0 and solved.cash[account] - problem.cash_min[account] < problem.step[position]:
        return "there is no more cash to spend"
    return "a further share would cost more than it helps"


def _name_limit(solved: Solved, account: int, trade: float, step: float) -> str:
    """Return the limit that has no room for one step more, or an empty string."""
    problem, coupling = solved.formulation.problem, solved.coupling
    span = slice(problem.position_offsets[account], problem.position_offsets[account + 1])
    if coupling.turnover_max[account] - np.abs(solved.trade[span]).sum() < step:
        return "the policy's turnover limit is reached"
    if trade < 0 and np.isfinite(coupling.gains_max):
        gain = (list_sold(problem, solved.trade, solved.order) * problem.gain).sum()
        if coupling.gains_max - gain < step:
            return "the year's gains budget is used up"
    return ""


def _find_next_lot(solved: Solved, position: int) -> int | None:
    """Return the lot at whose edge a sale stops, or None where it stops inside one."""
    problem = solved.formulation.problem
    start, stop = problem.segment_offsets[position], problem.segment_offsets[position + 1]
    order = np.argsort(solved.order[start:stop], kind="stable") + start
    through = np.cumsum(problem.amount[order])
    near = np.flatnonzero(np.abs(through + solved.trade[position]) < problem.step[position])
    if len(near) and near[0] + 1 < len(order):
        return int(problem.lot[order[near[0] + 1]])
    return None


def _name_next_best(book: Book, solved: Solved, position: int) -> str:
    formulation, problem = solved.formulation, solved.formulation.problem
    if formulation.forced[position]:
        return ""
    trade, step = float(solved.trade[position]), float(problem.step[position])
    now = _total(solved, position, trade)
    others = [("no trade", 0.0)]
    if trade > 0:
        others += [("one step more", trade + step), ("one step less", trade - step)]
    else:
        others += [("one step more", trade - step), ("one step less", trade + step)]
    sellable = problem.amount[
        problem.segment_offsets[position] : problem.segment_offsets[position + 1]
    ].sum()
    costs = [
        (_total(solved, position, amount) - now, name)
        for name, amount in others
        if amount * trade >= 0
        and (amount == 0 or abs(amount) >= problem.smallest[position])
        and -amount <= sellable + NOTICEABLE
    ]
    dearer, name = min(costs)
    unit = "" if name == "no trade" else f" ({book.securities[problem.security[position]].symbol})"
    return f"{name}{unit}: {max(dearer, 0.0):.2f} dearer"


def explain_no_trade(
    book: Book, solved: Solved, position: int, mode: Mode, *, is_at_risk: bool
) -> NoTradeNote | None:
    """Return why a position is not traded as a naive rebalancer would, or None where it is."""
    formulation, problem = solved.formulation, solved.formulation.problem
    naive, trade = float(solved.naive[position]), float(solved.trade[position])
    if abs(naive) < problem.smallest[position] or trade * naive > 0:
        return None
    account = int(formulation.account[position])
    saves = _drift_cost(solved, position, trade) - _drift_cost(solved, position, trade + naive)
    costs = _own_cost(solved, position, naive)
    code, words = _name_obstacle(book, solved, position, mode, is_at_risk=is_at_risk)
    if not code:
        tax = _price_sale(solved, position, -naive) if naive < 0 else 0.0
        if tax > saves > 0:
            code, words = "TAX", f"selling {-naive:,.2f} would cost {tax:,.2f} in tax"
        elif saves <= 0:
            code, words = "NO_NEARER", "beside the other trades it would bring it no nearer"
        elif costs > saves:
            code, words = (
                "INSIDE_NO_TRADE_ZONE",
                f"it would save {saves:,.2f} and cost {costs:,.2f}",
            )
        elif solved.cash[account] - problem.cash_min[account] < naive:
            code, words = "CASH", "the cash serves better elsewhere"
        else:
            code, words = "BETTER_ELSEWHERE", "other trades bring the same balance at less cost"
    return NoTradeNote(code=code, amount=naive, saves=saves, costs=costs, words=words)


def _name_obstacle(
    book: Book, solved: Solved, position: int, mode: Mode, *, is_at_risk: bool
) -> tuple[str, str]:
    """Return the rule that forbids the naive trade, or empty strings where none does."""
    problem, naive = solved.formulation.problem, float(solved.naive[position])
    account = int(solved.formulation.accounts[solved.formulation.account[position]])
    code = book.locks_of(account).get(int(problem.security[position]), 0)
    if book.is_frozen[account]:
        return "FROZEN", "trades of this account are under way"
    if naive > 0 and problem.buy_max[position] <= 0:
        if code & WASHED:
            return "WASH", "buying it now would undo the tax effect of a loss just realised"
        if code & (NO_BUY | EXCLUDED):
            return "NEVER_BUY", "the household's wishes keep it from being bought"
        return "MODE", f"nothing is bought in this mode ({mode.lower().replace('_', ' ')})"
    span = slice(problem.segment_offsets[position], problem.segment_offsets[position + 1])
    if naive < 0 and problem.amount[span].sum() < -naive - NOTICEABLE:
        if code & NO_SELL:
            return "NEVER_SELL", "the household's wishes keep it from being sold"
        if is_at_risk:
            return "WASH", "its loss would be denied: the same fund was bought within 30 days"
        if mode in {Mode.BUY_ONLY, Mode.SPEND_CASH, Mode.HARVEST_ONLY}:
            return "MODE", f"nothing is sold in this mode ({mode.lower().replace('_', ' ')})"
        return "HOLD", "its gains soon turn long-term and are kept until then"
    if abs(naive) < problem.smallest[position]:
        return "MINIMUM", "it is below the smallest trade"
    return "", ""
