"""Where accounts stand now against their targets: the same Book and measures that decisions use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rebalancer.engine.book import Book
from rebalancer.engine.drift import Drift, measure_drift
from rebalancer.engine.targets import Targets, resolve_targets
from rebalancer.queries.books import load_book


@dataclass(frozen=True, slots=True)
class BandRow:
    """One asset class of an account or household: weights as fractions."""

    label: str
    weight: float
    target: float
    low: float
    high: float
    is_breached: bool

    @property
    def strain(self) -> float:
        """Return how much of its band the weight uses up: above one is a breach."""
        room = self.high - self.target if self.weight >= self.target else self.target - self.low
        return abs(self.weight - self.target) / max(room, 1e-6)


@dataclass(frozen=True, slots=True)
class Standing:
    """One account today. A blocked account has a reason and no rows."""

    account_id: int
    value: float
    cash: Decimal
    required_cash: float
    blocked: str
    is_breached: bool
    drift_max: float
    rows: tuple[BandRow, ...]
    target_by_security: dict[int, float]

    @property
    def worst(self) -> BandRow | None:
        """Return the asset class that strains its band most."""
        return max(self.rows, key=lambda row: row.strain, default=None)


@dataclass(frozen=True)
class Standings:
    """Some accounts today, and the Book that they were measured on."""

    book: Book
    targets: Targets
    drift: Drift
    by_account: dict[int, Standing]


def load_standings(*, firm_id: int, account_ids: Sequence[int], price_date: date) -> Standings:
    """Measure these accounts on `price_date`, in the fixed number of queries of a Book."""
    book = load_book(
        firm_id=firm_id, account_ids=account_ids, price_date=price_date, is_whole_household=True
    )
    return measure_standings(book)


def measure_standings(book: Book) -> Standings:
    """Measure every account of a Book."""
    targets = resolve_targets(book)
    drift = measure_drift(book, targets)
    by_account = {
        int(book.account_ids[index]): _describe(book, targets, drift, index)
        for index in range(book.account_count)
    }
    return Standings(book, targets, drift, by_account)


def _describe(book: Book, targets: Targets, drift: Drift, index: int) -> Standing:
    blocked = targets.blocked.get(index, "")
    value = float(book.values[index])
    rows: tuple[BandRow, ...] = ()
    if not blocked:
        classes = drift.by_class
        rows = tuple(
            BandRow(
                label=label,
                weight=float(classes.weights[index, column]),
                target=float(classes.targets[index, column]),
                low=float(classes.low[index, column]),
                high=float(classes.high[index, column]),
                is_breached=bool(classes.breached[index, column]),
            )
            for column, label in enumerate(classes.labels)
            # A class that is neither held nor wanted is not worth a line.
            if classes.weights[index, column] > 1e-6 or classes.targets[index, column] > 1e-6
        )
    return Standing(
        account_id=int(book.account_ids[index]),
        # A holding without a price makes the value unknown; what is priced is shown.
        value=value if value == value else float(book.cash[index]) + _priced(book, index),
        cash=Decimal(int(book.cash_cents[index])) / 100,
        required_cash=float(targets.required_cash[index]),
        blocked=blocked,
        is_breached=bool(drift.is_breached[index]),
        drift_max=float(drift.drift_max[index]),
        rows=rows,
        target_by_security={
            row.security_id: float(targets.weights[index, column])
            for column, row in enumerate(book.securities)
            if targets.weights[index, column] > 0
        },
    )


def _priced(book: Book, index: int) -> float:
    held = book.held_values[index]
    return float(held[held == held].sum())


def merge_rows(standings: Sequence[Standing]) -> list[BandRow]:
    """Return the asset classes of several accounts together, weighted by their value."""
    usable = [standing for standing in standings if not standing.blocked and standing.value > 0]
    total = sum(standing.value for standing in usable)
    merged: dict[str, list[float]] = {}
    for standing in usable:
        share = standing.value / total
        for row in standing.rows:
            sums = merged.setdefault(row.label, [0.0, 0.0, 0.0, 0.0])
            for place, figure in enumerate((row.weight, row.target, row.low, row.high)):
                sums[place] += share * figure
    rows = [
        BandRow(label, weight, target, low, high, not low - 1e-9 <= weight <= high + 1e-9)
        for label, (weight, target, low, high) in merged.items()
    ]
    # Cash reads best at the end, as it stands for a single account.
    return sorted(rows, key=lambda row: row.label == "Cash")


def draw_allocation(rows: Sequence[BandRow]) -> dict[str, object]:
    """Return the rows as the data of an "allocation" chart."""
    return {
        "rows": [
            {
                "label": row.label,
                "current": row.weight,
                "target": row.target,
                "low": row.low,
                "high": row.high,
                "breached": row.is_breached,
            }
            for row in rows
        ]
    }
