"""A firm for outside checks: its people of every role, its market, its rules and its households.

Made by operations only. Every free text begins with the firm's mark, or with another client's.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accounts.domain.roles import PriceSourceKind, Role, TaxStatus, WishKind
from accounts.operations import cash_needs, consents, people, risk, users, wishes
from accounts.operations.firms import advance_simulated_date
from accounts.queries import people as people_queries
from portfolios.domain.lots import OpeningLot
from portfolios.domain.pricing import Quote
from portfolios.operations import books, models, prices, securities
from rebalancer.management.demo_firm import TEMPERS
from rebalancer.operations import policies
from robo.common.market_calendar import get_latest_closed_session, list_sessions

if TYPE_CHECKING:
    from accounts.models import User

D = Decimal
EXCHANGE = "XNYS"
CANARY_B, CANARY_C = "CANARY-B", "CANARY-C"
# By symbol: asset class, price, share step, weight in the model.
MARKET = {
    "RVUS": ("us-equity", "100", "1", "0.40"),
    "RVIN": ("intl-equity", "40", "0.001", "0.20"),
    "RVBD": ("us-bonds", "80", "1", "0.38"),
}
CLASSES = {"us-equity": "US equity", "intl-equity": "International equity", "us-bonds": "US bonds"}
THEME = "fossil-fuels"
LONG_AGO = timedelta(days=2500)
# By the name that outside checks know a person by: role, and which household a client is of.
PEOPLE: dict[str, tuple[Role, str]] = {
    "admin": (Role.ADMIN, ""),
    "second_admin": (Role.ADMIN, ""),
    "supervisor": (Role.SUPERVISOR, ""),
    "second_supervisor": (Role.SUPERVISOR, ""),
    "model_admin": (Role.MODEL_ADMIN, ""),
    "advisor": (Role.ADVISOR, ""),
    "colleague": (Role.ADVISOR, ""),
    "unassigned_advisor": (Role.ADVISOR, ""),
    "disabled_advisor": (Role.ADVISOR, ""),
    "operator": (Role.OPERATOR, ""),
    "granted_operator": (Role.OPERATOR, ""),
    "client": (Role.CLIENT, "first"),
    "spouse": (Role.CLIENT, "first"),
    "other_client": (Role.CLIENT, "second"),
}


@dataclass
class ReviewFirm:
    """A firm in the making, and whatever a check must be able to name afterwards."""

    key: str  # a or b
    tag: str
    password: str
    now: datetime
    mark: str  # of every free text
    other_mark: str  # of those of the second household
    firm_id: int = 0
    firm_public_id: str = ""
    people: "dict[str, User]" = field(default_factory=dict)
    households: dict[str, Any] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    security_ids: dict[str, int] = field(default_factory=dict)
    model_id: int = 0
    policy_id: int = 0

    @property
    def name(self) -> str:
        """Return the firm's name."""
        return f"{self.mark} review {self.key} {self.tag}"

    @cached_property
    def days(self) -> tuple[date, date]:
        """Return the last two sessions that have closed."""
        today = get_latest_closed_session(EXCHANGE, self.now)
        sessions = [day for day in list_sessions(EXCHANGE) if day <= today]
        return sessions[-2], sessions[-1]

    def actor(self, who: str) -> int:
        """Return the id of a person of the firm."""
        return self.people[who].pk

    # --- Who is there, and what is traded ------------------------------------------------------

    def found(self) -> None:
        """Make the firm, its people, its market of the day before yesterday, and its rules."""
        firm = people.create_firm(
            name=self.name, exchange=EXCHANGE, price_source=PriceSourceKind.SIMULATED
        )
        self.firm_id, self.firm_public_id = firm.pk, str(firm.public_id)
        service_id = people_queries.get_service_user(firm.pk).pk
        for household, mark in (("first", self.mark), ("second", self.other_mark)):
            self.households[household] = people.create_household(
                firm_id=firm.pk, name=f"{mark} {household} household", actor_id=service_id
            )
        for who, (role, household) in PEOPLE.items():
            self._sign_up(who, role, household, service_id)
        self._hand_out()
        self._list_securities()
        self.set_prices(self.days[0])
        self._set_rules()
        self._ask_clients()

    def _sign_up(self, who: str, role: Role, household: str, service_id: int) -> None:
        mark = self.other_mark if household == "second" else self.mark
        address = f"{who.replace('_', '-')}.{self.key}.{self.tag}@review.example"
        self.people[who] = users.create_user(
            firm_id=self.firm_id,
            email=address,
            name=f"{mark} {who.replace('_', ' ')}",
            role=role,
            password=self.password,
            household_id=self.households[household].pk if household else None,
            actor_id=service_id,
        )

    def _hand_out(self) -> None:
        """Give the first household its advisors, and shut one of them out."""
        admin_id = self.actor("admin")
        for household, who in (
            ("first", "advisor"),
            ("first", "colleague"),
            ("first", "disabled_advisor"),
            ("second", "unassigned_advisor"),
        ):
            people.assign_advisor(
                household_id=self.households[household].pk,
                advisor_id=self.actor(who),
                is_lead=who in ("advisor", "unassigned_advisor"),
                actor_id=admin_id,
            )
        users.disable_user(user_id=self.actor("disabled_advisor"), actor_id=admin_id)

    def _list_securities(self) -> None:
        class_ids = {
            code: securities.create_asset_class(
                firm_id=self.firm_id,
                code=code,
                name=f"{self.mark} {name}",
                rank=rank,
                actor_id=self.actor("admin"),
            )
            for rank, (code, name) in enumerate(CLASSES.items())
        }
        for symbol, (code, _price, step, _weight) in MARKET.items():
            details = securities.SecurityDetails(
                symbol=symbol,
                name=f"{self.mark} fund {symbol}",
                asset_class_id=class_ids[code],
                share_step=D(step),
                half_spread_bps=D(2),
                themes=(THEME,) if symbol == "RVIN" else (),
            )
            self.security_ids[symbol] = securities.create_security(
                firm_id=self.firm_id, details=details, actor_id=self.actor("admin")
            )

    def set_prices(self, day: date) -> None:
        """Let the firm's market reach a day, with closes that stay as they are."""
        advance_simulated_date(firm_id=self.firm_id, simulated_date=day)
        prices.record_prices(
            firm_id=self.firm_id,
            quotes=[Quote(symbol, day, price) for symbol, (_c, price, _s, _w) in MARKET.items()],
            source=f"{self.mark} prices",
            now=self.now,
            actor_id=self.actor("admin"),
        )

    def _set_rules(self) -> None:
        self.model_id = models.create_model(
            firm_id=self.firm_id,
            name=f"{self.mark} balanced",
            description=f"{self.mark} a quiet mix",
            actor_id=self.actor("model_admin"),
        )
        version_id = self.draft(D(0))
        models.submit_for_review(version_id=version_id, actor_id=self.actor("model_admin"))
        models.publish_model(version_id=version_id, now=self.now, actor_id=self.actor("admin"))
        self.policy_id = policies.save_policy(
            policy_id=None,
            firm_id=self.firm_id,
            user_id=self.actor("admin"),
            values={"name": f"{self.mark} daily", "trigger": "THRESHOLD"},
        ).pk

    def draft(self, more: Decimal) -> int:
        """Save a draft of the model, with so much more in bonds; return its version's id."""
        weights = {self.security_ids[s]: D(w) for s, (_c, _p, _s, w) in MARKET.items()}
        weights[self.security_ids["RVBD"]] += more
        return models.save_draft(
            model_id=self.model_id,
            weights=weights,
            cash_weight=1 - sum(weights.values(), D(0)),
            reason=f"{self.mark} reason",
            actor_id=self.actor("model_admin"),
        ).pk

    def _ask_clients(self) -> None:
        for who, household, mark in (
            ("client", "first", self.mark),
            ("other_client", "second", self.other_mark),
        ):
            home_id, person_id = self.households[household].pk, self.actor(who)
            risk.answer_questionnaire(
                household_id=home_id, answers=TEMPERS["calm"], actor_id=person_id, now=self.now
            )
            wishes.record_wish(
                household_id=home_id,
                kind=WishKind.EXCLUDE,
                subject=THEME,
                note=f"{mark} wish",
                actor_id=person_id,
            )

    # --- Accounts ------------------------------------------------------------------------------

    def open_account(self, name: str, household: str = "first") -> int:
        """Open an account that holds too much of one fund, so that trades are wanted."""
        mark = self.mark if household == "first" else self.other_mark
        account_id = books.open_account(
            household_id=self.households[household].pk,
            name=f"{mark} {name}",
            number=f"{mark}-{self.key}-{self.tag}-{len(self.accounts) + 1:03d}",
            custodian=f"{mark} custody",
            tax_status=TaxStatus.TAXABLE,
            is_discretionary=True,
            opened_date=self.days[0] - LONG_AGO,
            actor_id=self.actor("admin"),
        )
        long_ago = self.days[0] - LONG_AGO
        books.book_opening(
            account_id=account_id,
            entry_date=long_ago,
            source=f"opening:{account_id}",
            cash=D(1000),
            lots=[
                OpeningLot(self.security_ids["RVUS"], D(80), D(4000), long_ago),
                OpeningLot(self.security_ids["RVBD"], D(10), D(900), long_ago),
            ],
            actor_id=self.actor("admin"),
            memo=f"{mark} memo",
        )
        consents.record_mandate(
            account_id=account_id,
            details=consents.MandateDetails(
                text=f"{mark} mandate: trade within my plan.",
                signed_by=f"{mark} client",
                signed_on=long_ago,
                starts_on=long_ago,
            ),
            user_id=self.actor("admin"),
        )
        models.assign_model(
            account_id=account_id, model_id=self.model_id, actor_id=self.actor("admin")
        )
        policies.assign_policy(
            account_ids=[account_id], policy_id=self.policy_id, user_id=self.actor("admin")
        )
        self.accounts[name] = account_id
        return account_id

    def add_need(self, name: str, household: str = "first") -> int:
        """Announce money that an account will have to pay out; return its id."""
        mark = self.mark if household == "first" else self.other_mark
        return cash_needs.add_cash_need(
            account_id=self.accounts[name],
            amount=D(70),
            due_date=self.days[1] + timedelta(days=60),
            purpose=f"{mark} purpose",
            actor_id=self.actor("client" if household == "first" else "other_client"),
        ).pk
