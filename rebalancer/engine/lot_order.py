"""The order in which a sale takes lots, where the policy names one, and what they cost in it."""

from dataclasses import replace

import numpy as np

from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.problem import Problem


def order_by_method(book: Book, lots: Ints, tau: Floats, method: LotMethod) -> Ints:
    """Return the order in which a sale takes these lots; ties: less tax, older, lower id."""
    unit_cost = book.lot_cost_cents[lots] / book.lot_units[lots]
    day, lot_id = book.lot_day[lots], book.lot_ids[lots]
    first = {
        LotMethod.FIFO: day,
        LotMethod.AVERAGE: day,
        LotMethod.LIFO: -day,
        LotMethod.HIFO: -unit_cost,
        LotMethod.LOFO: unit_cost,
    }.get(method, tau)
    return np.lexsort((lot_id, day, tau, first))


def prescribe_order(book: Book, problem: Problem, methods: list[LotMethod]) -> Problem:
    """Return the Problem with lots priced as they come, where an account's method names an order.

    Lots that come after dearer ones are priced with these, at their average: the lower convex
    envelope of what a sale costs, so that cheapest first is the order named. `methods` is by
    account.
    """
    named = [row for row, method in enumerate(methods) if method is not LotMethod.LEAST_TAX]
    if not named:
        return problem
    tau, waiting = problem.tau(), problem.waiting.copy()
    for row in named:
        for position in range(problem.position_offsets[row], problem.position_offsets[row + 1]):
            span = slice(problem.segment_offsets[position], problem.segment_offsets[position + 1])
            order = order_by_method(book, problem.lot[span], tau[span], methods[row])
            priced = np.empty(len(order))
            priced[order] = level_up(tau[span][order], problem.amount[span][order])
            waiting[span] += tau[span] - priced
    return replace(problem, waiting=waiting)


def level_up(prices: Floats, amounts: Floats) -> Floats:
    """Return prices made non-decreasing by averaging neighbours, weighted by amount.

    Pool adjacent violators; the total price of all amounts stays what it is.
    """
    blocks: list[list[float]] = []  # price, amount, count
    for price, amount in zip(prices, amounts, strict=True):
        blocks.append([float(price), float(amount), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last, before = blocks.pop(), blocks[-1]
            total = before[1] + last[1]
            before[0] = (before[0] * before[1] + last[0] * last[1]) / total
            before[1], before[2] = total, before[2] + last[2]
    return np.repeat([price for price, _amount, _count in blocks], [int(b[2]) for b in blocks])
