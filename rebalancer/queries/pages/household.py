"""What a household's page shows: totals, allocation, history, taxes, and what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from portfolios.domain.money import ZERO
from portfolios.domain.tax import get_regime
from portfolios.domain.tax.regime import Rates
from portfolios.queries import history
from portfolios.queries.taxes import load_tax_standing
from rebalancer import models
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.queries.books import describe_policy
from rebalancer.queries.pages import looks, words
from rebalancer.queries.pages.standing import (
    BandRow,
    Standing,
    draw_allocation,
    load_standings,
    merge_rows,
)
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from accounts.models import Account, Household

HISTORY_DAYS = 365
DONE = (ProposalStatus.COMPLETED, ProposalStatus.COMPLETED_ADJUSTED)


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account of the household."""

    account: "Account"
    standing: Standing
    tax_status: str
    policy: models.Policy | None
    open_proposal: models.Proposal | None
    next_look: date | None


@dataclass(frozen=True, slots=True)
class GainsYear:
    """What a tax year has realised so far, denied losses left out, and what it would be taxed."""

    first_date: date
    last_date: date
    short_term: Decimal
    long_term: Decimal
    carried: Decimal  # losses of earlier years, not negative
    tax: Decimal

    @property
    def label(self) -> str:
        """Return what the figure is."""
        first, last = self.first_date.year, self.last_date.year
        return f"Estimated tax {first}" + (f"/{last % 100:02d}" if last != first else "")

    @property
    def text(self) -> str:
        """Return the gains behind the figure."""
        realised = self.short_term + self.long_term
        if not realised:
            return "no gains realised so far"
        word = "gains" if realised > 0 else "losses"
        carried = f", less {figures.money(self.carried)} carried in" if self.carried else ""
        return f"on {figures.money(abs(realised))} of realised {word}{carried}"


@dataclass(frozen=True)
class HouseholdPage:
    """Everything that the page shows beside the timeline."""

    lines: tuple[AccountLine, ...]
    total: float
    rows: tuple[BandRow, ...]
    history: history.ValueHistory
    gains: GainsYear
    next_look: date | None
    allocation_chart: Mapping[str, Any] | None
    value_chart: Mapping[str, Any] | None
    drift_chart: Mapping[str, Any] | None

    @property
    def state(self) -> words.State:
        """Return where the household stands, in words."""
        is_all_blocked = bool(self.lines) and len(self.blocked) == len(self.lines)
        worst = max(self.rows, key=lambda row: row.strain, default=None)
        out_count = sum(line.standing.is_breached for line in self.lines)
        if out_count and not is_all_blocked:
            noun = "account is" if out_count == 1 else "accounts are"
            return words.State("Out of band", f"{out_count} {noun} off target", "tone-breach")
        return words.describe_state(
            blocked="all" if is_all_blocked else "",
            is_breached=False,
            worst_label=worst.label if worst else "",
            distance=worst.weight - worst.target if worst else 0.0,
        )

    @property
    def change_text(self) -> str:
        """Return what markets and income added since the history begins."""
        if self.history.change is None:
            return ""
        since = figures.day(self.history.dates[0])
        return f"{figures.signed_money(self.history.change)} from markets since {since}"

    @property
    def blocked(self) -> list[AccountLine]:
        """Return the accounts that cannot be managed, with the reason."""
        return [line for line in self.lines if line.standing.blocked]

    @property
    def is_breached(self) -> bool:
        """Return whether any account is out of its band."""
        return any(line.standing.is_breached for line in self.lines)

    @property
    def open_proposals(self) -> list[AccountLine]:
        """Return the accounts for which trades are proposed or under way."""
        return [line for line in self.lines if line.open_proposal]


def load_household_page(
    *,
    household: "Household",
    accounts: Sequence["Account"],
    proposals: QuerySet[models.Proposal],
    price_date: date,
) -> HouseholdPage:
    """Return what the page shows, in a number of queries that does not grow with the accounts.

    `accounts` are the household's open ones, `proposals` those that the reader may see.
    """
    ids = [account.pk for account in accounts]
    firm = household.firm
    standings = load_standings(firm_id=firm.pk, account_ids=ids, price_date=price_date).by_account
    policies = _list_policies(ids)
    open_proposals = {
        row.account_id: row
        for row in proposals.select_related("client_answer").filter(
            account_id__in=ids,
            status__in=[
                ProposalStatus.PENDING,
                ProposalStatus.APPROVED,
                ProposalStatus.EXECUTING,
            ],
        )
    }
    next_looks = _find_next_looks(policies, firm.exchange, price_date)
    lines = tuple(
        AccountLine(
            account=account,
            standing=standings[account.pk],
            tax_status=words.TAX_STATUS_WORDS[account.tax_status],
            policy=policies.get(account.pk),
            open_proposal=open_proposals.get(account.pk),
            next_look=next_looks.get(account.pk),
        )
        for account in accounts
    )
    values = history.load_value_history(
        account_ids=ids, since=price_date - timedelta(days=HISTORY_DAYS), until=price_date
    )
    rows = tuple(merge_rows([line.standing for line in lines]))
    return HouseholdPage(
        lines=lines,
        total=sum(line.standing.value for line in lines),
        rows=rows,
        history=values,
        gains=load_gains(household=household, day=price_date),
        next_look=min((day for day in next_looks.values() if day), default=None),
        allocation_chart=draw_allocation(rows) if rows else None,
        value_chart=draw_value(values, ids, firm.currency),
        drift_chart=draw_drift(ids),
    )


def load_gains(*, household: "Household", day: date) -> GainsYear:
    """Return what the household's tax year of `day` has realised, and the tax on it so far."""
    law = get_regime(household.tax_regime)
    standing = load_tax_standing(
        regimes={household.pk: household.tax_regime}, account_ids=[], day=day
    )
    short_term, long_term = standing.year_gains[household.pk]
    deduction_rate = household.deduction_rate
    settled = law.settle_year(
        short=short_term,
        long=long_term,
        carry_short=household.carried_short_loss,
        carry_long=household.carried_long_loss,
        rates=Rates(
            short=household.short_term_rate,
            long=household.long_term_rate,
            deduction=household.short_term_rate if deduction_rate is None else deduction_rate,
            carried=household.carried_share * household.long_term_rate,
        ),
    )
    first, last = law.tax_year(day)
    return GainsYear(
        first_date=first,
        last_date=last,
        short_term=short_term,
        long_term=long_term,
        carried=household.carried_short_loss + household.carried_long_loss,
        # A loss saves tax on other income; the page shows what gains cost.
        tax=max(settled.tax, ZERO),
    )


def _list_policies(account_ids: Sequence[int]) -> dict[int, models.Policy]:
    rows = models.PolicyAssignment.objects.filter(account_id__in=account_ids)
    return {row.account_id: row.policy for row in rows.select_related("policy")}


def _find_next_looks(
    policies: Mapping[int, models.Policy], exchange: str, price_date: date
) -> dict[int, date | None]:
    by_policy: dict[int, date | None] = {}
    for policy in {policy.pk: policy for policy in policies.values()}.values():
        found = looks.list_next_looks(
            terms=describe_policy(policy), exchange=exchange, after=price_date, count=1
        )
        by_policy[policy.pk] = found[0] if found else None
    return {account_id: by_policy[policy.pk] for account_id, policy in policies.items()}


def draw_value(
    values: history.ValueHistory, account_ids: Sequence[int], currency: str
) -> Mapping[str, Any] | None:
    """Return the value of these accounts as the data of a "value" chart, rebalances marked."""
    if len(values.dates) < 2:
        return None
    rebalances = models.Proposal.objects.filter(
        account_id__in=account_ids, status__in=DONE, price_date__gte=values.dates[0]
    ).order_by("price_date")
    marks = dict.fromkeys(rebalances.values_list("price_date", flat=True))
    flows = [
        {"date": day, "amount": now - before}
        for day, before, now in zip(
            values.dates[1:], values.invested, values.invested[1:], strict=False
        )
        if abs(now - before) >= 0.01
    ]
    return {
        "dates": list(values.dates),
        "values": [round(value, 2) for value in values.values],
        "invested": [round(value, 2) for value in values.invested],
        "rebalances": [{"date": day, "label": "Rebalanced"} for day in marks],
        "flows": flows,
        "currency": currency,
    }


def draw_drift(account_ids: Sequence[int], limit: int = 400) -> Mapping[str, Any] | None:
    """Return the checks of these accounts as the data of a "drift" chart.

    One account shows its classes; several show each account's largest distance from target.
    """
    checks = list(
        models.Check.objects.filter(account_id__in=account_ids)
        .exclude(drift=[])
        .order_by("-id")
        .values_list("account_id", "account__name", "price_date", "drift", "drift_max", "status")[
            :limit
        ]
    )[::-1]
    days = sorted({row[2] for row in checks})
    if len(days) < 2:
        return None
    series = _series_by_class(checks) if len(account_ids) == 1 else _series_by_account(checks)
    marks = sorted({(row[2], row[5]) for row in checks if row[5] == "PROPOSED"})
    return {
        "dates": days,
        "series": [
            {**entry, "values": [entry["values"].get(day) for day in days]} for entry in series
        ],
        "marks": [{"date": day, "kind": "proposal", "label": "Proposal"} for day, _ in marks],
    }


def _series_by_class(checks: Sequence[Any]) -> list[dict[str, Any]]:
    series: dict[str, dict[str, Any]] = {}
    for _account_id, _name, day, drift, _max, _status in checks:
        for row in drift:
            target = float(row["target"])
            entry = series.setdefault(row["label"], {"label": row["label"], "values": {}})
            entry["values"][day] = float(row["weight"]) - target
            # The newest band is the one that counts.
            entry["low"], entry["high"] = float(row["low"]) - target, float(row["high"]) - target
    return list(series.values())


def _series_by_account(checks: Sequence[Any]) -> list[dict[str, Any]]:
    series: dict[int, dict[str, Any]] = {}
    for account_id, name, day, drift, _max, _status in checks:
        worst = max(drift, key=lambda row: abs(float(row["weight"]) - float(row["target"])))
        target = float(worst["target"])
        entry = series.setdefault(account_id, {"label": name, "values": {}})
        entry["values"][day] = float(worst["weight"]) - target
        entry["low"], entry["high"] = float(worst["low"]) - target, float(worst["high"]) - target
    return list(series.values())
