"""A small firm at work, made by operations: a market, a model, a policy, people, accounts."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from accounts.domain.roles import PriceSourceKind, Role, TaxStatus
from accounts.models import Account, Firm, Household, User
from accounts.operations.firms import advance_simulated_date
from portfolios.domain.lots import OpeningLot
from portfolios.domain.pricing import Quote
from portfolios.operations import books, models, prices, securities
from rebalancer import models as rows
from rebalancer.operations import approvals, checks, orders, policies, proposals
from tests import people

D = Decimal
DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
SECURITIES = {  # symbol: (class, price, share step)
    "USTM": ("us-equity", "100", "1"),
    "USLC": ("us-equity", "50", "1"),
    "INTL": ("intl-equity", "40", "0.001"),
    "BOND": ("us-bonds", "80", "1"),
}
CLASSES = {"us-equity": "US equity", "intl-equity": "International equity", "us-bonds": "US bonds"}
WEIGHTS = {"USTM": "0.40", "INTL": "0.20", "BOND": "0.38"}


@dataclass
class World:
    """Everything a test needs to hold on to."""

    firm: Firm
    advisor: User
    colleague: User
    admin: User
    other_admin: User
    household: Household
    security_ids: dict[str, int]
    model_id: int
    policy: rows.Policy
    accounts: list[Account] = field(default_factory=list)

    def add_account(
        self,
        cash: str = "0",
        *,
        lots: "list[tuple[str, str, str, date]] | None" = None,
        **facts: Any,
    ) -> Account:
        """Open a managed account with cash and lots (symbol, quantity, cost, acquired)."""
        number = f"{len(self.accounts) + 1:06d}-{uuid.uuid4().hex[:6]}"
        account_id = books.open_account(
            **{
                "household_id": self.household.pk,
                "name": f"Account {number}",
                "number": number,
                "custodian": "Custodian",
                "tax_status": TaxStatus.TAXABLE,
                "is_discretionary": True,
                "opened_date": date(2020, 1, 2),
                "actor_id": self.admin.pk,
                **facts,
            }
        )
        books.book_opening(
            account_id=account_id,
            entry_date=date(2020, 1, 2),
            source=f"opening:{account_id}",
            cash=D(cash),
            lots=[
                OpeningLot(self.security_ids[symbol], D(quantity), D(cost), acquired)
                for symbol, quantity, cost, acquired in lots or []
            ],
            actor_id=self.admin.pk,
        )
        models.assign_model(account_id=account_id, model_id=self.model_id, actor_id=self.admin.pk)
        policies.assign_policy(
            account_ids=[account_id], policy_id=self.policy.pk, user_id=self.admin.pk
        )
        account = Account.objects.get(pk=account_id)
        if account.is_discretionary:
            people.give_mandate(account)
        self.accounts.append(account)
        return account

    def set_prices(self, day: date, **quotes: str) -> None:
        """Record closes of a day; what is not named keeps its usual price."""
        if self.firm.simulated_date is None or day > self.firm.simulated_date:
            advance_simulated_date(firm_id=self.firm.pk, simulated_date=day)
            self.firm.refresh_from_db()
        prices.record_prices(
            firm_id=self.firm.pk,
            quotes=[
                Quote(symbol, day, quotes.get(symbol, price))
                for symbol, (_class, price, _step) in SECURITIES.items()
            ],
            source="test",
            now=NOW,
            actor_id=self.admin.pk,
        )

    def look(self, day: date = DAY) -> None:
        """Check whatever is due on a day, and propose."""
        checks.find_due_checks(firm_id=self.firm.pk, price_date=day, now=NOW)
        proposals.propose(firm_id=self.firm.pk, price_date=day, now=NOW)

    def approve(
        self, proposal: rows.Proposal, user: User | None = None, now: datetime = NOW
    ) -> None:
        """Approve what is on record."""
        approvals.approve_proposal(
            proposal_id=proposal.pk,
            user_id=(user or self.advisor).pk,
            content_hash=proposal.content_hash,
            note="",
            now=now,
        )

    def trade(self, now: datetime = NOW, rounds: int = 12) -> None:
        """Send and poll until nothing is open."""
        for _ in range(rounds):
            orders.submit_orders(now=now)
            orders.poll_broker(now=now)


def expire_leases() -> None:
    """Let every lease of a sender pass; they count by the database's clock."""
    rows.Slice.objects.filter(lease_until__isnull=False).update(lease_until=NOW)


def make_world(*, name: str = "", **policy_terms: Any) -> World:
    """Return a firm with two advisors, a published model, prices of `DAY`, and a daily policy."""
    firm = people.make_firm(name, price_source=PriceSourceKind.SIMULATED)
    admin = people.make_user(firm, Role.ADMIN)
    other_admin = people.make_user(firm, Role.ADMIN)
    advisor, colleague = people.make_user(firm), people.make_user(firm)
    household = people.make_household(firm, advisor=advisor)
    from accounts.operations import people as people_operations

    people_operations.assign_advisor(
        household_id=household.pk, advisor_id=colleague.pk, is_lead=False, actor_id=admin.pk
    )
    class_ids = {
        code: securities.create_asset_class(
            firm_id=firm.pk, code=code, name=title, rank=rank, actor_id=admin.pk
        )
        for rank, (code, title) in enumerate(CLASSES.items())
    }
    security_ids = {
        symbol: securities.create_security(
            firm_id=firm.pk,
            details=securities.SecurityDetails(
                symbol=symbol,
                name=f"{symbol} Fund",
                asset_class_id=class_ids[class_code],
                share_step=D(step),
                half_spread_bps=D("2"),
            ),
            actor_id=admin.pk,
        )
        for symbol, (class_code, _price, step) in SECURITIES.items()
    }
    model_id = models.create_model(
        firm_id=firm.pk, name="Balanced", description="", actor_id=admin.pk
    )
    publish(firm, model_id, security_ids, WEIGHTS, author=admin, publisher=other_admin)
    policy = policies.save_policy(
        policy_id=None,
        firm_id=firm.pk,
        user_id=admin.pk,
        values={"name": "Daily", "trigger": "THRESHOLD", **policy_terms},
    )
    world = World(
        firm, advisor, colleague, admin, other_admin, household, security_ids, model_id, policy
    )
    world.set_prices(DAY)
    return world


def publish(
    firm: Firm,
    model_id: int,
    security_ids: dict[str, int],
    weights: dict[str, str],
    *,
    author: User,
    publisher: User,
) -> int:
    """Draft, review and publish a version; what the weights leave is cash."""
    cash = 1 - sum(D(weight) for weight in weights.values())
    version_id = models.save_draft(
        model_id=model_id,
        weights={security_ids[symbol]: D(weight) for symbol, weight in weights.items()},
        cash_weight=cash,
        reason="test",
        actor_id=author.pk,
    )
    version_id = getattr(version_id, "pk", version_id)
    models.submit_for_review(version_id=version_id, actor_id=author.pk)
    models.publish_model(version_id=version_id, now=NOW, actor_id=publisher.pk)
    return version_id
