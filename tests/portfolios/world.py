"""Two firms to open pages in: people of every role, a model in force, prices and a refused one."""

from datetime import UTC, date, datetime

from accounts.domain.roles import Role
from accounts.models import Firm
from portfolios import models
from portfolios.domain.pricing import Quote
from portfolios.operations.prices import record_prices
from tests.market import make_price, make_published_model, make_security
from tests.people import make_client, make_firm, make_household, make_user

TODAY = date(2024, 12, 31)
NOW = datetime(2024, 12, 31, 23, tzinfo=UTC)


class World:
    """Two firms; the first with people of every role, a model, prices and a refused price."""

    def __init__(self):
        self.firm = make_firm(name="Ours")
        Firm.objects.filter(pk=self.firm.pk).update(simulated_date=TODAY)
        self.admin = make_user(self.firm, Role.ADMIN)
        self.reviewer = make_user(self.firm, Role.ADMIN)
        self.advisor = make_user(self.firm, Role.ADVISOR)
        self.author = make_user(self.firm, Role.MODEL_ADMIN)
        self.supervisor = make_user(self.firm, Role.SUPERVISOR)
        self.household = make_household(self.firm, "Reed", advisor=self.advisor)
        self.other_household = make_household(self.firm, "Stone")
        self.client = make_client(self.household)
        self.stranger = make_user(make_firm(name="Theirs"), Role.ADMIN)
        self.vti = make_security(self.admin, "VTI", themes=("fossil-fuels",))
        self.bnd = make_security(self.admin, "BND", code="bonds")
        make_price(self.admin, "VTI", date(2024, 12, 30), "100")
        record_prices(
            firm_id=self.firm.pk,
            quotes=[Quote("VTI", TODAY, "200")],
            source="test",
            now=NOW,
            actor_id=self.admin.pk,
        )
        self.refused = models.RefusedPrice.objects.get()
        self.model = make_published_model(self.admin, self.reviewer, {"VTI": "0.6", "BND": "0.4"})


def sign_in(client, user):
    client.force_login(user)
    return client
