"""The simulated market: an index of it over recent weeks, and how its last run went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.db.models import QuerySet

from portfolios.queries import history
from rebalancer import models
from rebalancer.domain.kinds import CycleStatus

if TYPE_CHECKING:
    from accounts.models import Firm

INDEX_DAYS = 126
INDEX_BASE = 100.0


@dataclass(frozen=True, slots=True)
class IndexPage:
    """An even-weighted index of the firm's securities, from 100, and its asset classes."""

    chart: Mapping[str, Any] | None
    latest: float | None
    day_change: float | None


def load_index(*, firm: "Firm", market_date: date) -> IndexPage:
    """Return the market of recent weeks as an index: every security counts the same."""
    since = market_date - timedelta(days=INDEX_DAYS)
    rows = history.list_class_prices(firm_id=firm.pk, since=since, until=market_date)
    if not rows:
        return IndexPage(None, None, None)
    frame = pd.DataFrame(rows, columns=["day", "class_name", "security", "price"])
    prices = frame.pivot(index="day", columns="security", values="price").ffill().dropna(axis=1)
    if len(prices) < 2 or prices.empty:
        return IndexPage(None, None, None)
    growth = prices / prices.iloc[0]
    class_of = dict(zip(frame["security"], frame["class_name"], strict=True))
    by_class = growth.T.groupby(class_of, sort=False).mean().T * INDEX_BASE
    market = growth.mean(axis=1) * INDEX_BASE
    series = [{"label": "All", "values": [round(float(v), 2) for v in market]}]
    series += [
        {"label": str(name), "values": [round(float(v), 2) for v in by_class[name]]}
        for name in by_class.columns
    ]
    return IndexPage(
        chart={"dates": list(prices.index), "series": series, "format": "number"},
        latest=float(market.iloc[-1]),
        day_change=float(market.iloc[-1] / market.iloc[-2] - 1),
    )


def list_recent_runs(runs: QuerySet[models.CycleRun], limit: int = 8) -> Sequence[models.CycleRun]:
    """Return the newest runs of the cycle with who asked for them."""
    return list(runs.select_related("requested_by").order_by("-id")[:limit])


def is_running(run: models.CycleRun) -> bool:
    """Return whether a run still has something to do."""
    return run.status in (CycleStatus.QUEUED, CycleStatus.RUNNING)


def measure_share(run: models.CycleRun) -> float:
    """Return how much of a run is done, from 0 to 1."""
    if run.status == CycleStatus.DONE:
        return 1.0
    return run.done_count / run.total_count if run.total_count else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did, in counts."""

    prices: int
    checks: int
    due: int
    proposals: int
    no_trade: int
    blocked: int

    @property
    def prices_text(self) -> str:
        """Return how many prices they were measured on."""
        return f"on {self.prices:,} new prices"

    @property
    def no_trade_text(self) -> str:
        """Return for how many no trade would help."""
        return f"{self.no_trade:,} without a trade that would help"


def read_figures(run: models.CycleRun) -> Outcome:
    """Return a run's figures; what it has not come to yet counts as none."""
    figures = {name: int(count) for name, count in run.figures.items()}
    checks = sum(count for name, count in figures.items() if name.startswith("checks_"))
    return Outcome(
        prices=figures.get("prices", 0),
        checks=checks,
        due=figures.get("checks_due", 0),
        proposals=figures.get("answers_proposed", 0),
        no_trade=figures.get("answers_no_trade", 0),
        blocked=figures.get("checks_blocked", 0) + figures.get("answers_blocked", 0),
    )
