"""The household without whole shares, smallest trades, tickets and wash windows: a convex program.

Clarabel solves it over bought, sold by slice, traded (bought less sold), cash, sums of the rows,
and the 3/2 power of what is traded where there is market impact. The matrices are built once; a
branch, which forbids some buys and slices, changes only the linear costs.
"""

from dataclasses import dataclass

import clarabel
import numpy as np
from scipy import sparse

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.coupled.tables import Tables
from rebalancer.engine.coupled.terms import add_up

FORBIDDEN_COST = 10.0  # per money, times what drift may cost: dearer than any tax
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Relaxed:
    """A solved relaxation: amounts in money and the prices of what ties the positions together."""

    bought: Floats  # [positions]
    sold: Floats  # [slices]
    cash_price: Floats  # [accounts]
    row_price: Floats
    cap_price: Floats
    turnover_price: Floats  # [accounts]
    gain_price: float
    is_feasible: bool


class Relaxation:
    """The convex program of one household, ready to be solved for any branch."""

    def __init__(self, tables: Tables) -> None:
        """Build the matrices of a household."""
        self._tables = tables
        self._unit = max(float(np.abs(tables.cash).sum() + tables.held.sum()), 1.0) / 100
        self._place_columns()
        self._build_costs()
        self._build_rows()
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.presolve_enable = False
        settings.max_threads = 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
        self._settings = settings
        self._solver: clarabel.DefaultSolver | None = None

    def solve(self, no_buy: Bools, no_sale: Bools) -> Relaxed:
        """Return the optimum with these positions not bought and these slices not sold."""
        cost = self._cost.copy()
        cost[self._buy] += self._forbidding * no_buy
        cost[self._sale] += self._forbidding * no_sale
        if self._solver is None:
            self._solver = clarabel.DefaultSolver(
                self._quadratic, cost, self._matrix, self._limit, self._cones, self._settings
            )
        else:
            self._solver.update(q=cost)
        return self._read(self._solver.solve())

    def _place_columns(self) -> None:
        """Number the columns: bought, sold, traded, cash, rows, impact."""
        tables = self._tables
        self._felt = np.flatnonzero(tables.impact > 0)
        sizes = [len(tables.held), len(tables.slices.tau), len(tables.held), len(tables.cash)]
        sizes += [len(tables.row_target), len(self._felt)]
        ends = np.cumsum(sizes)
        columns = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._buy, self._sale, self._trade, self._cash, self._row, self._power = columns
        self._count = int(ends[-1])
        self._owner = np.repeat(np.arange(len(tables.held)), np.diff(tables.slices.offsets))

    def _build_costs(self) -> None:
        tables, unit = self._tables, self._unit
        diagonal, cost = np.zeros(self._count), np.zeros(self._count)
        cost[self._buy] = tables.buy_cost
        cost[self._sale] = tables.sell_cost[self._owner] + tables.slices.tau
        drift = tables.held - tables.target
        diagonal[self._trade] = tables.own * unit
        cost[self._trade] = tables.own * drift + tables.holding_cost
        diagonal[self._cash] = tables.cash_weight * unit
        cost[self._cash] = -tables.cash_weight * tables.cash_target
        diagonal[self._row] = tables.row_weight * unit
        cost[self._row] = -tables.row_weight * tables.row_target
        cost[self._power] = tables.impact[self._felt] * np.sqrt(unit)
        self._quadratic = sparse.diags(diagonal).tocsc()
        self._cost = cost
        # What a unit of money may cost in drift, when a tenth of all is out of place.
        steepest = 10 * float(diagonal.max(initial=0.0))
        self._forbidding = FORBIDDEN_COST * (1 + steepest)

    def _build_rows(self) -> None:
        """Stack equalities, inequalities and impact cones as triples of the constraint matrix."""
        tables, unit = self._tables, self._unit
        stack = _Stack()
        positions = np.arange(len(tables.held))
        stack.add(
            np.zeros(len(positions)),
            (positions, self._trade, 1.0),
            (positions, self._buy, -1.0),
            (self._owner, self._sale, 1.0),
        )
        stack.add(
            tables.cash / unit,
            (np.arange(len(tables.cash)), self._cash, 1.0),
            (tables.account, self._buy, 1 + tables.buy_cost),
            (tables.account[self._owner], self._sale, tables.sell_cost[self._owner] - 1),
        )
        linked = np.repeat(positions, np.diff(tables.link_offsets))
        held = add_up(tables.link_row, tables.held[linked], len(tables.row_target))
        stack.add(
            held / unit,
            (np.arange(len(held)), self._row, 1.0),
            (tables.link_row, self._trade[linked], -1.0),
        )
        equalities = stack.count
        self._add_limits(stack)
        inequalities = stack.count - equalities
        self._cones = [clarabel.ZeroConeT(equalities), clarabel.NonnegativeConeT(inequalities)]
        self._add_impact(stack)
        self._matrix = stack.build(self._count)
        self._limit = np.concatenate(stack.limits)

    def _add_limits(self, stack: "_Stack") -> None:
        tables, unit = self._tables, self._unit
        positions, slices = np.arange(len(self._buy)), np.arange(len(self._sale))
        accounts = np.arange(len(self._cash))
        stack.add(np.zeros(len(positions)), (positions, self._buy, -1.0))
        # The cash floor already limits what is only limited by cash.
        bound = np.flatnonzero(tables.is_buy_limited)
        stack.add(tables.buy_max[bound] / unit, (np.arange(len(bound)), self._buy[bound], 1.0))
        stack.add(np.zeros(len(slices)), (slices, self._sale, -1.0))
        stack.add(tables.slices.amount / unit, (slices, self._sale, 1.0))
        stack.add(-tables.cash_min / unit, (accounts, self._cash, -1.0))
        capped = np.repeat(positions, np.diff(tables.cap_offsets))
        held = add_up(tables.cap_row, tables.held[capped], len(tables.cap_max))
        self._cap_rows = stack.add(
            (tables.cap_max - held) / unit, (tables.cap_row, self._trade[capped], 1.0)
        )
        self._limited = np.flatnonzero(np.isfinite(tables.turnover_max))
        number = np.full(len(accounts), -1)
        number[self._limited] = np.arange(len(self._limited))
        of_buy, of_sale = number[tables.account], number[tables.account[self._owner]]
        self._turnover_rows = stack.add(
            tables.turnover_max[self._limited] / unit,
            (of_buy[of_buy >= 0], self._buy[of_buy >= 0], 1.0),
            (of_sale[of_sale >= 0], self._sale[of_sale >= 0], 1.0),
        )
        budget = tables.gains_max[np.isfinite(tables.gains_max)]
        taxed = np.flatnonzero(tables.slices.gain) if len(budget) else np.zeros(0, dtype=np.int64)
        self._gain_rows = stack.add(
            budget / unit, (np.zeros_like(taxed), self._sale[taxed], tables.slices.gain[taxed])
        )

    def _add_impact(self, stack: "_Stack") -> None:
        """Hold the power above (bought + sold)^(3/2): one three-row cone for each position."""
        place = np.full(len(self._buy), -1)
        place[self._felt] = np.arange(len(self._felt))
        felt_sales = np.flatnonzero(place[self._owner] >= 0)
        third = 3 * np.arange(len(self._felt))
        limit = np.zeros(3 * len(self._felt))
        limit[third + 1] = 1.0
        stack.add(
            limit,
            (third, self._power, -1.0),
            (third + 2, self._buy[self._felt], -1.0),
            (3 * place[self._owner[felt_sales]] + 2, self._sale[felt_sales], -1.0),
        )
        self._cones += [clarabel.PowerConeT(2 / 3)] * len(self._felt)

    def _read(self, answer: "clarabel.DefaultSolution") -> Relaxed:
        # Should the solver break off, zero prices still bound, and zero trades still round.
        values, prices = np.nan_to_num(answer.x), np.nan_to_num(answer.z)
        tables, unit = self._tables, self._unit
        turnover_price = np.zeros(len(tables.cash))
        turnover_price[self._limited] = prices[self._turnover_rows]
        rows = values[self._row] * unit
        first_cash = len(tables.held)
        return Relaxed(
            bought=values[self._buy] * unit,
            sold=values[self._sale] * unit,
            cash_price=prices[first_cash : first_cash + len(tables.cash)],
            row_price=tables.row_weight * (rows - tables.row_target),
            cap_price=np.maximum(prices[self._cap_rows], 0),
            turnover_price=np.maximum(turnover_price, 0),
            gain_price=float(np.maximum(prices[self._gain_rows], 0).sum()),
            is_feasible="Infeasible" not in str(answer.status),
        )


class _Stack:
    """Rows of a constraint matrix, collected block by block as triples."""

    def __init__(self) -> None:
        self.count = 0
        self.limits: list[Floats] = []
        self._rows: list[Ints] = []
        self._columns: list[Ints] = []
        self._values: list[Floats] = []

    def add(self, limit: Floats, *parts: tuple[Ints, Ints, Floats | float]) -> slice:
        """Append a block of rows and return where it lies."""
        for row, column, value in parts:
            self._rows.append(row + self.count)
            self._columns.append(column)
            self._values.append(np.broadcast_to(np.asarray(value, dtype=float), column.shape))
        self.limits.append(limit)
        start, self.count = self.count, self.count + len(limit)
        return slice(start, self.count)

    def build(self, columns: int) -> sparse.csc_matrix:
        """Return the matrix in compressed columns."""
        triples = (np.concatenate(self._rows), np.concatenate(self._columns))
        return sparse.csc_matrix(
            (np.concatenate(self._values), triples), shape=(self.count, columns)
        )
