"""Whether clients in shared blocks were treated alike: each block's shares, and a month's luck."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Max, QuerySet

from portfolios.domain.kinds import Side
from portfolios.queries.prices import list_closes
from rebalancer import models
from rebalancer.domain.fairness import SHUFFLES, Fairness, compare_ranks, measure_fairness
from rebalancer.queries.costs import list_blocks

# The dice of the rank test, so that the same month always gives the same answer.
SEED = 2026
SAMPLES_MAX = 4_000
# Shuffles times samples, and the fewest shuffles whatever the samples: a page has to be answered.
WORK_MAX, SHUFFLES_MIN = 200_000, 199


@dataclass(frozen=True, slots=True)
class BlockFairness:
    """A block that filled, how it was shared out, and how it did on its first day."""

    block: models.Block
    order_count: int
    fairness: Fairness
    # From the last execution on record to the sharing out; None where there is none on record.
    wait_seconds: float | None
    # At the close against its average price, to the client's favour; None without a close.
    first_day_return: Decimal | None


@dataclass(frozen=True, slots=True)
class RankTest:
    """Kruskal and Wallis's test that no account had better first days than others."""

    sample_count: int
    account_count: int
    statistic: float
    p_value: float
    shuffles: int


def list_shared(
    *, firm_id: int, since: date | None = None, until: date | None = None
) -> QuerySet[models.Block]:
    """Return a firm's blocks of which something was shared out, newest first."""
    return list_blocks(firm_id=firm_id, since=since, until=until).filter(filled_quantity__gt=0)


def measure_shares(blocks: Iterable[models.Block]) -> list[BlockFairness]:
    """Return how these blocks were shared out, in their order; three queries for all of them."""
    rows = list(blocks)
    orders: dict[int, list[tuple[Decimal, Decimal, Decimal]]] = defaultdict(list)
    for block_id, *amounts in models.Order.objects.filter(block__in=rows).values_list(
        "block_id", "quantity", "filled_quantity", "filled_amount"
    ):
        orders[block_id].append((amounts[0], amounts[1], amounts[2]))
    told = dict(
        models.Execution.objects.filter(slice__block__in=rows)
        .values_list("slice__block_id")
        .annotate(last=Max("recorded_at"))
    )
    closes = list_closes(
        security_ids={row.security_id for row in rows}, days={row.session_date for row in rows}
    )
    found = []
    for row in rows:
        if not orders[row.pk]:
            continue
        ordered, given, paid = zip(*orders[row.pk], strict=True)
        last = told.get(row.pk)
        wait = (row.closed_at - last).total_seconds() if last and row.closed_at else None
        found.append(
            BlockFairness(
                block=row,
                order_count=len(ordered),
                fairness=measure_fairness(
                    ordered=ordered,
                    given=given,
                    amounts=paid,
                    share_step=row.security.share_step,
                ),
                wait_seconds=None if wait is None else max(wait, 0.0),
                first_day_return=_measure_return(
                    row.side,
                    row.filled_value / row.filled_quantity,
                    closes.get((row.security_id, row.session_date)),
                ),
            )
        )
    return found


def _measure_return(side: str, average: Decimal, close: Decimal | None) -> Decimal | None:
    if close is None or not average:
        return None
    return (close / average - 1) * (1 if side == Side.BUY else -1)


def compare_accounts(*, firm_id: int, since: date, until: date) -> RankTest:
    """Return whether some accounts' orders of these days did better at the close than others'.

    Where there are very many orders, every so manieth counts; three queries.
    """
    shared = list_shared(firm_id=firm_id, since=since, until=until)
    rows = list(
        models.Order.objects.filter(block__in=shared.order_by(), filled_quantity__gt=0)
        .order_by("pk")
        .values_list(
            "account_id",
            "side",
            "security_id",
            "block__session_date",
            "block__filled_value",
            "block__filled_quantity",
        )
    )
    rows = rows[:: max(1, -(-len(rows) // SAMPLES_MAX))]
    closes = list_closes(security_ids={row[2] for row in rows}, days={row[3] for row in rows})
    samples: dict[str, list[float]] = defaultdict(list)
    for account_id, side, security_id, day, value, quantity in rows:
        found = _measure_return(side, value / quantity, closes.get((security_id, day)))
        if found is not None:
            samples[str(account_id)].append(float(found))
    count = sum(len(values) for values in samples.values())
    shuffles = min(SHUFFLES, max(SHUFFLES_MIN, WORK_MAX // max(count, 1)))
    statistic, p_value = compare_ranks(samples, seed=SEED, shuffles=shuffles)
    return RankTest(count, len(samples), statistic, p_value, shuffles)
