"""Builds the demo firm from its data, through operations only."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random

from django.conf import settings

from accounts.domain.disclosures import DEFAULT_TEXTS
from accounts.domain.roles import PriceSourceKind, Role, TaxStatus, WishKind
from accounts.operations import cash_needs, consents, people, risk, users
from accounts.operations.firms import advance_simulated_date
from accounts.queries import people as people_queries
from accounts.queries.consents import list_published
from portfolios.domain.lots import OpeningLot
from portfolios.operations import books, models, prices, securities, wishes
from portfolios.price_sources.simulated import Listing, simulate_closes
from portfolios.queries import market
from portfolios.queries.prices import get_security_ids
from rebalancer.management import demo_firm as demo
from rebalancer.management import demo_market
from rebalancer.management.demo_lots import LotMaker
from rebalancer.operations import policies
from rebalancer.queries import seeding
from robo.common.market_calendar import get_latest_closed_session, list_sessions

D = Decimal
EXCHANGE = "XNYS"
# Lots drawn for whoever comes on the last day wash no loss; those that should are named.
LATE_AGE_MIN = 62
# Shares nobody has classified, and what one of them is thought to be worth.
LEGACY_SYMBOL, LEGACY_NAME, LEGACY_PRICE = "OLDCO", "Old Company shares", D("25.00")


def found_firm(now: datetime) -> None:
    """Make the firm with its people, securities, a year of prices, models, policies and clients.

    The caller holds the one transaction that all of it happens in.
    """
    firm = people.create_firm(
        name=demo.FIRM_NAME, price_source=PriceSourceKind.SIMULATED, exchange=EXCHANGE
    )
    desk = DemoDesk(firm.pk, now)
    for who in demo.ADMINS:
        desk.sign_up(who, Role.ADMIN)
    for who in demo.ADVISORS:
        desk.sign_up(who, Role.ADVISOR)
    for who in demo.SUPERVISORS:
        desk.sign_up(who, Role.SUPERVISOR)
    desk.sign_up(demo.MODEL_ADMIN, Role.MODEL_ADMIN)
    desk.sign_up(demo.OPERATOR, Role.OPERATOR)
    desk.list_securities()
    desk.live_prices()
    desk.publish_texts()
    for name, weights in demo_market.MODELS.items():
        desk.publish(name, weights)
    for score, name in demo_market.MODEL_OF_SCORE.items():
        models.map_risk_score(
            firm_id=firm.pk, score=score, model_id=desk.model_ids[name], actor_id=desk.admin_id
        )
    for name, values in demo.POLICIES.items():
        policies.save_policy(
            policy_id=None,
            firm_id=firm.pk,
            user_id=desk.admin_id,
            values={"name": name, **values},
        )
    opened = desk.history[5]
    for number, household in enumerate(demo.HOUSEHOLDS):
        if not household.is_late:
            desk.take_on(number, household, opened)


def let_things_happen(firm_id: int, now: datetime) -> None:
    """Let money come in, a need arise and a household arrive, once, before the last day.

    The caller holds the one transaction that all of it happens in.
    """
    desk = DemoDesk(firm_id, now)
    today = people_queries.get_firm(firm_id).simulated_date
    for number, household in enumerate(demo.HOUSEHOLDS):
        known = people_queries.find_household(firm_id=firm_id, name=household.name)
        if today is None or (household.is_late and known is not None):
            continue
        if household.is_late:
            desk.take_on(number, household, today)
        elif known is not None:
            desk.move_money(number, household, known.public_id, today)


class DemoDesk:
    """Whoever makes the demo firm: knows its ids by name, and draws lots from one set of dice."""

    def __init__(self, firm_id: int, now: datetime) -> None:
        self.firm_id, self.now = firm_id, now
        self.dice = Random(demo.FIRM_NAME)

    @cached_property
    def lots(self) -> LotMaker:
        """Return what fills accounts with shares, at the newest closes."""
        return LotMaker(self.dice, self.closes, self.security_ids)

    # --- What is known by name --------------------------------------------------------------------

    @cached_property
    def history(self) -> list[date]:
        """Return the sessions of the past year, up to where the live weeks begin."""
        today = get_latest_closed_session(EXCHANGE, self.now)
        sessions = [day for day in list_sessions(EXCHANGE) if day <= today]
        return sessions[-demo.HISTORY_SESSIONS - demo.LIVE_SESSIONS : -demo.LIVE_SESSIONS]

    @cached_property
    def security_ids(self) -> dict[str, int]:
        """Return security ids by symbol."""
        return get_security_ids(self.firm_id, {row.symbol for row in demo_market.SECURITIES})

    @cached_property
    def model_ids(self) -> dict[str, int]:
        """Return model ids by name."""
        return seeding.get_model_ids(self.firm_id)

    @cached_property
    def policy_ids(self) -> dict[str, int]:
        """Return policy ids by name."""
        return seeding.get_policy_ids(self.firm_id)

    @cached_property
    def closes(self) -> dict[str, Decimal]:
        """Return the newest close by symbol."""
        today = people_queries.get_firm(self.firm_id).simulated_date
        if today is None:
            raise RuntimeError("the simulated market has not begun")
        latest = market.get_latest_prices(firm_id=self.firm_id, price_date=today, age_days_max=10)
        return {symbol: latest[pk][1] for symbol, pk in self.security_ids.items()}

    @cached_property
    def admin_id(self) -> int:
        """Return the admin who sets things up."""
        return self._user_id(demo.ADMINS[0])

    def _user_id(self, who: tuple[str, str]) -> int:
        user = people_queries.find_user(who[0])
        if user is None:
            raise RuntimeError(f"{who[0]} is not there yet")
        return user.pk

    # --- The firm ------------------------------------------------------------------------------

    def sign_up(self, who: tuple[str, str], role: Role, household_id: int | None = None) -> int:
        """Make a person who can sign in; return the id."""
        email, name = who
        return users.create_user(
            firm_id=self.firm_id,
            email=email,
            name=name,
            role=role,
            password=settings.DEMO_PASSWORD,
            household_id=household_id,
            actor_id=people_queries.get_service_user(self.firm_id).pk,
        ).pk

    def list_securities(self) -> None:
        """Make asset classes and securities, substitutes before what they stand in for."""
        classes = {
            code: securities.create_asset_class(
                firm_id=self.firm_id, code=code, name=name, rank=rank, actor_id=self.admin_id
            )
            for code, (name, rank) in demo_market.ASSET_CLASSES.items()
        }
        ids: dict[str, int] = {}
        for row in sorted(demo_market.SECURITIES, key=lambda row: bool(row.substitutes)):
            ids[row.symbol] = securities.create_security(
                firm_id=self.firm_id,
                details=_describe(row, classes[row.class_code], ids),
                actor_id=self.admin_id,
            )

    def live_prices(self) -> None:
        """Record a year of simulated closes."""
        codes = {row.symbol: row.class_code for row in demo_market.SECURITIES}
        closes = {row.symbol: D(row.price) for row in demo_market.SECURITIES}
        quotes = []
        for day in self.history:
            listings = [Listing(symbol, codes[symbol], close) for symbol, close in closes.items()]
            today = simulate_closes(listings=listings, price_date=day, seed=str(self.firm_id))
            closes = {quote.symbol: D(quote.quoted) for quote in today}
            quotes.extend(today)
        advance_simulated_date(firm_id=self.firm_id, simulated_date=self.history[-1])
        prices.record_prices(
            firm_id=self.firm_id,
            quotes=quotes,
            source="simulated",
            now=self.now,
            actor_id=people_queries.get_service_user(self.firm_id).pk,
        )

    def publish_texts(self) -> None:
        """Write and publish the texts that ship, for clients to agree to."""
        author, publisher = (self._user_id(who) for who in demo.ADMINS)
        for kind, text in DEFAULT_TEXTS.items():
            row = consents.draft_disclosure(
                firm_id=self.firm_id,
                kind=kind,
                title=text.title,
                text=text.write(),
                user_id=author,
            )
            today = self.history[-1]
            consents.publish_disclosure(
                disclosure_id=row.pk, effective_date=today, today=today, user_id=publisher
            )

    def publish(self, name: str, weights: Mapping[str, str]) -> None:
        """Draft, review and publish a model; what its weights leave is cash."""
        author = self._user_id(demo.MODEL_ADMIN)
        publisher = self.admin_id
        model_id = models.create_model(
            firm_id=self.firm_id, name=name, description=f"The {name.lower()} mix", actor_id=author
        )
        version_id = models.save_draft(
            model_id=model_id,
            weights={self.security_ids[symbol]: D(weight) for symbol, weight in weights.items()},
            cash_weight=1 - sum((D(weight) for weight in weights.values()), D(0)),
            reason="First version",
            actor_id=author,
        ).pk
        models.submit_for_review(version_id=version_id, actor_id=author)
        models.publish_model(version_id=version_id, now=self.now, actor_id=publisher)

    # --- Its clients ---------------------------------------------------------------------------

    def take_on(self, number: int, household: demo.DemoHousehold, opened: date) -> None:
        """Make a household with its people, profile, wishes and accounts."""
        row = people.create_household(
            firm_id=self.firm_id, name=household.name, actor_id=self.admin_id
        )
        if household.taxes:
            people.set_tax_terms(
                household_id=row.pk, values=household.taxes, actor_id=self.admin_id
            )
        for place in (0, 1):
            people.assign_advisor(
                household_id=row.pk,
                advisor_id=self._user_id(demo.ADVISORS[(number + place) % len(demo.ADVISORS)]),
                is_lead=place == 0,
                actor_id=self.admin_id,
            )
        client_id = self.sign_up(household.client, Role.CLIENT, row.pk)
        consents.give_consents(
            household_id=row.pk,
            user_id=client_id,
            agreed=[
                (text.pk, text.text_hash)
                for text in list_published([self.firm_id])
                if text.kind not in household.unread
            ],
        )
        profile = risk.answer_questionnaire(
            household_id=row.pk,
            answers=demo.TEMPERS[household.temper],
            actor_id=client_id,
            now=self.now,
        )
        for kind, subject, note in household.wishes:
            wishes.record_wish(
                household_id=row.pk, kind=kind, subject=subject, note=note, actor_id=client_id
            )
        model = demo_market.MODEL_OF_SCORE[profile.score]
        for place in range(len(household.accounts)):
            self._open(row.pk, account_number(number, place + 1), place, model, household, opened)

    def move_money(
        self, number: int, household: demo.DemoHousehold, household_key: uuid.UUID, today: date
    ) -> None:
        """Book the household's deposit, and announce the money that it will need."""
        account = people_queries.find_account(
            firm_id=self.firm_id, custodian="Paper Custody", number=account_number(number, 1)
        )
        if account is None:
            return
        client_id = self._user_id(household.client)
        if household.deposit:
            books.deposit_cash(
                account_id=account.pk,
                amount=D(household.deposit),
                entry_date=today,
                token=uuid.uuid5(household_key, "deposit"),
                actor_id=client_id,
            )
        if household.cash_need and not account.cash_needs.exists():
            amount, days, purpose = household.cash_need
            cash_needs.add_cash_need(
                account_id=account.pk,
                amount=D(amount),
                due_date=today + timedelta(days=days),
                purpose=purpose,
                actor_id=client_id,
            )

    def _open(
        self,
        household_id: int,
        number: str,
        place: int,
        model: str,
        household: demo.DemoHousehold,
        opened: date,
    ) -> None:
        account = household.accounts[place]
        account_id = books.open_account(
            household_id=household_id,
            name=account.name,
            number=number,
            custodian="Paper Custody",
            tax_status=account.tax_status,
            is_discretionary=account.is_discretionary,
            opened_date=opened,
            actor_id=self.admin_id,
        )
        if account.is_discretionary:
            consents.record_mandate(
                account_id=account_id,
                details=consents.MandateDetails(
                    text=demo.MANDATE_TEXT,
                    signed_by=household.client[1],
                    signed_on=opened,
                    starts_on=opened,
                ),
                user_id=self.admin_id,
            )
        excluded = {
            subject for kind, subject, _note in household.wishes if kind is WishKind.EXCLUDE
        }
        lots, held = self.lots.place(household, place, opened)
        drawn, drawn_value = self.lots.draw(
            replace(account, value=account.value - int(held)),
            demo_market.MODELS[model],
            excluded,
            opened,
            age_min=LATE_AGE_MIN if household.is_late else 0,
        )
        lots, held = [*lots, *drawn], held + drawn_value
        if household.has_legacy and account.tax_status is TaxStatus.TAXABLE:
            lots.append(self._legacy_lot(opened))
        books.book_opening(
            account_id=account_id,
            entry_date=opened,
            source=f"opening:{account_id}",
            cash=max(D(account.value) - held, D(account.value) / 200).quantize(D("0.01")),
            lots=lots,
            actor_id=self.admin_id,
            memo="Taken on from the previous custodian",
        )
        models.assign_model(
            account_id=account_id, model_id=self.model_ids[model], actor_id=self.admin_id
        )
        policies.assign_policy(
            account_ids=[account_id],
            policy_id=self.policy_ids[account.policy],
            user_id=self.admin_id,
        )

    def _legacy_lot(self, opened: date) -> OpeningLot:
        """Return shares that nobody has classified: their account is blocked until someone does."""
        ids = securities.create_unclassified(
            firm_id=self.firm_id, names={LEGACY_SYMBOL: LEGACY_NAME}, actor_id=self.admin_id
        )
        cost = (120 * LEGACY_PRICE * D("0.8")).quantize(D("0.01"))
        return OpeningLot(ids[LEGACY_SYMBOL], D(120), cost, opened - timedelta(days=3000))


def _describe(
    row: demo_market.DemoSecurity, asset_class_id: int, ids: Mapping[str, int]
) -> securities.SecurityDetails:
    behaviour = demo_market.BEHAVIOUR[row.class_code]
    return securities.SecurityDetails(
        symbol=row.symbol,
        name=row.name,
        asset_class_id=asset_class_id,
        share_step=D(row.share_step),
        half_spread_bps=D(row.half_spread_bps),
        themes=row.themes,
        substitute_ids=tuple(ids[symbol] for symbol in row.substitutes),
        taxable_substitute_ids=tuple(ids[symbol] for symbol in row.taxable_substitutes),
        identical_group=row.identical_group,
        sector=behaviour.sector,
        issuer=row.issuer,
        daily_volume=D(row.daily_volume),
        volatility=D(behaviour.volatility),
        qualified_yield=D(behaviour.qualified_yield),
        ordinary_yield=D(behaviour.ordinary_yield),
    )


def account_number(household: int, place: int) -> str:
    """Return the custodian's number of a household's account."""
    return f"HL-{household + 1:03d}-{place}"
