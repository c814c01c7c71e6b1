"""Who reaches which page: every role, the other firm, the disabled and the anonymous."""

import uuid

import pytest
from django.urls import reverse

from accounts.domain.questionnaire import QUESTIONS
from accounts.domain.roles import Role
from accounts.models import User
from accounts.operations import people, users
from accounts.queries.people import get_service_user
from tests.answers import CALM_ANSWERS
from tests.people import PASSWORD, make_account, make_client, make_firm, make_household, make_user

pytestmark = pytest.mark.django_db

ACTORS = (
    "anonymous",
    "client",
    "other_client",
    "advisor",
    "unassigned_advisor",
    "admin",
    "other_firm_admin",
    "disabled_admin",
    "engine",
)


@pytest.fixture
def world():
    """Give a firm with people of every kind around one household, and a second firm."""
    firm, other_firm = make_firm(), make_firm()
    advisor = make_user(firm, Role.ADVISOR)
    household = make_household(firm, advisor=advisor)
    admin = make_user(firm, Role.ADMIN)
    disabled_admin = make_user(firm, Role.ADMIN)
    users.disable_user(user_id=disabled_admin.pk, actor_id=admin.pk)
    other_firm_admin = make_user(other_firm, Role.ADMIN)
    return {
        "firm": firm,
        "household": household,
        "account": make_account(household),
        "client": make_client(household),
        "other_client": make_client(make_household(firm)),
        "advisor": advisor,
        "unassigned_advisor": make_user(firm, Role.ADVISOR),
        "admin": admin,
        "other_firm_admin": other_firm_admin,
        "disabled_admin": User.objects.get(pk=disabled_admin.pk),
        "engine": get_service_user(firm.pk),
    }


def addresses(world):
    household, client = world["household"].public_id, world["client"].public_id
    return {
        "home": reverse("home"),
        "risk_profile": reverse("accounts:risk_profile", args=[household]),
        "risk_questionnaire": reverse("accounts:risk_questionnaire", args=[household]),
        "journal": reverse("accounts:journal"),
        "password": reverse("accounts:password"),
        "people": reverse("accounts:people"),
        "person_invite": reverse("accounts:person_invite"),
        "households": reverse("accounts:households"),
        "household_new": reverse("accounts:household_new"),
        "household": reverse("accounts:household", args=[household]),
        "admin": reverse("admin:index"),
        "admin_household": reverse("admin:accounts_household_change", args=[world["household"].pk]),
        "post person_disable": reverse("accounts:person_disable", args=[client]),
        "post person_enable": reverse("accounts:person_enable", args=[client]),
        "post person_link": reverse("accounts:person_link", args=[client]),
        "post person_role": reverse("accounts:person_role", args=[client]),
        "post advisor_assign": reverse("accounts:advisor_assign", args=[household]),
        "post advisor_release": reverse(
            "accounts:advisor_release", args=[household, world["advisor"].public_id]
        ),
    }


# Who gets more than a 404, and what; "other_firm_admin" has pages of their own, but not these rows.
EVERYBODY = {
    "client", "other_client", "advisor", "unassigned_advisor", "admin", "other_firm_admin",
}  # fmt: skip
EXPECTED = {
    "home": dict.fromkeys(EVERYBODY, 302),
    "risk_profile": dict.fromkeys(["client", "advisor", "admin"], 200),
    "risk_questionnaire": {"client": 200},
    "journal": dict.fromkeys(EVERYBODY, 200),
    "password": dict.fromkeys(EVERYBODY, 200),
    "people": dict.fromkeys(["admin", "other_firm_admin"], 200),
    "person_invite": dict.fromkeys(["admin", "other_firm_admin"], 200),
    "households": dict.fromkeys(["admin", "other_firm_admin"], 200),
    "household_new": dict.fromkeys(["admin", "other_firm_admin"], 200),
    "household": {"admin": 200},
    "admin": dict.fromkeys(["admin", "other_firm_admin"], 200),
    # Django's admin answers with a redirect to its start for a row that it does not find.
    "admin_household": {"admin": 200, "other_firm_admin": 302},
    "post person_disable": {"admin": 302},
    "post person_enable": {"admin": 302},
    "post person_link": {"admin": 302},
    "post person_role": {"admin": 302},
    "post advisor_assign": {"admin": 302},
    "post advisor_release": {"admin": 302},
}


@pytest.mark.parametrize("actor", ACTORS)
def test_access_matrix(world, client, actor):
    everywhere = addresses(world)
    assert everywhere.keys() == EXPECTED.keys()
    if actor != "anonymous":
        client.force_login(world[actor])
    is_shut_out = actor in ("anonymous", "disabled_admin", "engine")
    for name, address in everywhere.items():
        # Signing in is what someone shut out is asked for; for others an invisible page is a 404.
        expected = 302 if is_shut_out else EXPECTED[name].get(actor, 404)
        answer = client.post(address) if name.startswith("post ") else client.get(address)
        assert answer.status_code == expected, (actor, name, answer.status_code)
        if is_shut_out:
            # Django's admin has an address of its own for that, which leads to the same page.
            doors = (reverse("accounts:sign_in"), reverse("admin:login"))
            assert answer["Location"].startswith(doors), (actor, name)


def test_a_page_of_nobody_answers_as_a_page_of_somebody_else(world, client):
    client.force_login(world["client"])
    other = world["other_client"].household.public_id
    hidden = client.get(reverse("accounts:risk_profile", args=[other]))
    unknown = client.get(reverse("accounts:risk_profile", args=[uuid.uuid4()]))
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.content == unknown.content


def test_the_frame_shows_each_role_its_own_way_around(world, client):
    seen = {}
    for actor in ("client", "advisor", "admin"):
        client.force_login(world[actor])
        answer = client.get(reverse("accounts:journal"))
        seen[actor] = [entry["label"] for entry in answer.context["navigation"]]
        current = [entry for entry in answer.context["navigation"] if entry["is_current"]]
        assert [entry["url"] for entry in current] == [reverse("accounts:journal")]
    assert seen["client"] == ["Overview", "Risk profile", "Documents", "Activity"]
    assert "Work list" in seen["advisor"]
    assert "People" not in seen["advisor"]
    assert "People" in seen["admin"]
    assert "Market" not in seen["admin"]


def test_the_market_can_be_moved_in_the_demo_only_and_not_by_clients(world, client, settings):
    settings.DEMO = True
    for actor, is_offered in (("client", False), ("advisor", True), ("admin", True)):
        client.force_login(world[actor])
        context = client.get(reverse("accounts:journal")).context
        labels = [entry["label"] for entry in context["navigation"]]
        assert ("Market" in labels) is is_offered
        assert bool(context["demo_market_url"]) is is_offered


def test_the_frame_costs_session_person_and_a_clients_household(
    world, client, django_assert_num_queries
):
    for actor, count in (("client", 3), ("advisor", 2), ("admin", 2)):
        client.force_login(world[actor])
        with django_assert_num_queries(count):
            # A page that asks for nothing of its own.
            assert client.get(reverse("account_reset_password_done")).status_code == 200


@pytest.mark.parametrize("name", ["people", "households", "journal"])
def test_a_list_costs_the_same_for_many_rows_as_for_few(world, client, name):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(world["admin"])
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(reverse(f"accounts:{name}"))
    for _ in range(12):
        household = make_household(world["firm"], advisor=world["advisor"])
        make_client(household)
    with CaptureQueriesContext(connection) as many:
        answer = client.get(reverse(f"accounts:{name}"))
    assert len(answer.context["page"]) > 12
    assert len(many) == len(few)


# --- People ------------------------------------------------------------------------------------


def test_an_invited_person_gets_in_by_a_link_that_works_once(world, client):
    client.force_login(world["admin"])
    answer = client.post(
        reverse("accounts:person_invite"),
        {"name": "Ida Reed", "email": "Ida.REED@example.com", "role": "ADVISOR"},
        follow=True,
    )
    link = answer.context["link"]["url"]
    assert link in answer.content.decode()
    assert link not in client.get(reverse("accounts:people")).content.decode()
    client.logout()

    form_page = client.get(link, follow=True)
    assert form_page.context["validlink"] is True
    address = form_page.redirect_chain[-1][0]
    weak = client.post(address, {"new_password1": "short", "new_password2": "short"})
    assert "too short" in weak.content.decode()
    done = client.post(address, {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert done["Location"] == reverse("accounts:sign_in")

    signed_in = client.post(
        reverse("accounts:sign_in"), {"username": "ida.reed@EXAMPLE.com", "password": PASSWORD}
    )
    assert signed_in.status_code == 302
    client.logout()
    assert client.get(link, follow=True).context["validlink"] is False


def test_a_new_link_ends_the_old_password_and_open_sessions(world, client):
    other_browser = type(client)()
    other_browser.force_login(world["advisor"])
    client.force_login(world["admin"])
    client.post(reverse("accounts:person_link", args=[world["advisor"].public_id]))
    assert other_browser.get(reverse("accounts:journal")).status_code == 302
    assert not User.objects.get(pk=world["advisor"].pk).check_password(PASSWORD)


def test_a_link_of_somebody_disabled_is_dead(world, client):
    client.force_login(world["admin"])
    client.post(reverse("accounts:person_link", args=[world["advisor"].public_id]))
    link = client.session["accounts.sign_in_link"]["url"]
    users.disable_user(user_id=world["advisor"].pk, actor_id=world["admin"].pk)
    client.logout()
    assert client.get(link, follow=True).context["validlink"] is False


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"role": "CLIENT"}, "belongs to a household"),
        ({"role": "SERVICE"}, "not one of the available choices"),
        ({"role": "ADVISOR", "email": "not an address"}, "valid email"),
        ({"role": "ADVISOR", "email": "taken"}, "already in use"),
        ({"role": "CLIENT", "household": "foreign"}, "not one of the available choices"),
        ({"role": "CLIENT", "household": "x"}, "not a valid UUID"),
        ({"role": "ADVISOR", "name": ""}, "required"),
    ],
)
def test_a_bad_invitation_is_refused_with_the_reason(world, client, facts, words):
    facts = {"name": "New", "email": "new@example.com", **facts}
    if facts["email"] == "taken":
        facts["email"] = world["advisor"].email.upper()
    if facts.get("household") == "foreign":
        foreign = make_household(world["other_firm_admin"].firm)
        facts["household"] = str(foreign.public_id)
    client.force_login(world["admin"])
    count = User.objects.count()
    answer = client.post(reverse("accounts:person_invite"), facts)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert User.objects.count() == count


def test_roles_change_through_the_page_but_not_ones_own(world, client):
    client.force_login(world["admin"])
    client.post(
        reverse("accounts:person_role", args=[world["advisor"].public_id]), {"role": "ADMIN"}
    )
    assert User.objects.get(pk=world["advisor"].pk).role == Role.ADMIN
    answer = client.post(
        reverse("accounts:person_role", args=[world["admin"].public_id]),
        {"role": "ADVISOR"},
        follow=True,
    )
    assert "your own role" in answer.content.decode()
    assert User.objects.get(pk=world["admin"].pk).role == Role.ADMIN


def test_a_changed_password_keeps_this_session_and_ends_the_others(world, client):
    other_browser = type(client)()
    other_browser.force_login(world["advisor"])
    client.force_login(world["advisor"])
    new = "another-even-keel-77"
    answer = client.post(
        reverse("accounts:password"),
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
    )
    assert answer.status_code == 302
    assert client.get(reverse("accounts:journal")).status_code == 200
    assert other_browser.get(reverse("accounts:journal")).status_code == 302
    wrong = client.post(
        reverse("accounts:password"),
        {"old_password": PASSWORD, "new_password1": new, "new_password2": new},
    )
    assert wrong.status_code == 422


# --- Households --------------------------------------------------------------------------------


def test_a_household_is_set_up_with_rates_in_percent_and_gets_an_advisor(world, client):
    client.force_login(world["admin"])
    answer = client.post(
        reverse("accounts:household_new"),
        {"name": "Marsh", "short_term_rate": "37", "long_term_rate": "23.8"},
        follow=True,
    )
    household = answer.context["household"]
    assert (str(household.short_term_rate), str(household.long_term_rate)) == (
        "0.37000000",
        "0.23800000",
    )
    assert 'value="23.8"' in answer.content.decode()
    assign = reverse("accounts:advisor_assign", args=[household.public_id])
    client.post(assign, {"advisor": str(world["advisor"].public_id), "is_lead": "on"})
    client.post(assign, {"advisor": str(world["unassigned_advisor"].public_id), "is_lead": "on"})
    leads = household.assignments.filter(is_lead=True)
    assert [lead.advisor_id for lead in leads] == [world["unassigned_advisor"].pk]
    refused = client.post(assign, {"advisor": str(world["client"].public_id)}, follow=True)
    assert "Pick an advisor" in refused.content.decode()
    assert household.assignments.count() == 2


TAXES = {
    "tax_regime": "US",
    "short_term_rate": "37",
    "long_term_rate": "23.8",
    "is_together": "on",
    "gains_budget": "5000",
    "carried_short_loss": "0",
    "carried_long_loss": "1234.56",
    "deduction_rate": "",
    "loss_cap": "1500",
    "carried_share": "75",
    "deferral_years": "12.5",
    "realised_share": "50",
    "discount_rate": "4",
}


def test_a_households_taxes_are_set_in_percent_and_shown_again(world, client):
    client.force_login(world["admin"])
    household = world["household"]
    url = reverse("accounts:household", args=[household.public_id])
    page = client.post(url, TAXES, follow=True).content.decode()
    assert "Taxes saved." in page
    household.refresh_from_db()
    shown = [
        str(getattr(household, name))
        for name in ("carried_share", "realised_share", "gains_budget", "carried_long_loss")
    ]
    assert shown == ["0.75000000", "0.50000000", "5000.00", "1234.56"]
    assert household.deduction_rate is None
    assert household.is_together
    for value in ("23.8", "75", "1234.56", "12.5", "1500"):
        assert f'value="{value}"' in page


@pytest.mark.parametrize(
    "fault",
    [
        *({"short_term_rate": rate} for rate in ("", "-1", "101", "NaN", "1e9", "a third")),
        {"carried_share": "101"},
        {"carried_short_loss": "-1"},
        {"carried_long_loss": "1.234"},
        {"gains_budget": "a lot"},
        {"deferral_years": "-1"},
        {"tax_regime": "FR"},
    ],
)
def test_bad_taxes_are_refused(world, client, fault):
    client.force_login(world["admin"])
    answer = client.post(
        reverse("accounts:household", args=[world["household"].public_id]), {**TAXES, **fault}
    )
    assert answer.status_code == 422
    world["household"].refresh_from_db()
    assert world["household"].carried_long_loss == 0


def test_a_second_household_of_the_name_is_refused(world, client):
    client.force_login(world["admin"])
    answer = client.post(
        reverse("accounts:household_new"),
        {"name": world["household"].name, "short_term_rate": "35", "long_term_rate": "15"},
    )
    assert answer.status_code == 422
    assert "already a household called" in answer.content.decode()


# --- Risk --------------------------------------------------------------------------------------


def test_a_client_answers_and_sees_score_reasons_and_versions(world, client):
    client.force_login(world["client"])
    household = world["household"]
    questions = reverse("accounts:risk_questionnaire", args=[household.public_id])
    answer = client.post(questions, CALM_ANSWERS, follow=True)
    profile = answer.context["profile"]
    text = answer.content.decode()
    assert answer.redirect_chain[-1][0] == reverse(
        "accounts:risk_profile", args=[household.public_id]
    )
    assert profile.version == 1
    assert profile.contradictions == []
    assert profile.answered_by == world["client"]
    for reason in profile.reasons:
        assert reason in text
    # PostgreSQL keeps JSON keys in an order of its own; the page asks in the questionnaire's.
    questions_shown = [line["question"] for line in answer.context["answers"]]
    assert questions_shown == [question.text for question in QUESTIONS.values()]
    bold = {**CALM_ANSWERS, "loss_limit": "loss_10", "fall_reaction": "buy_more"}
    flagged = client.post(questions, bold, follow=True)
    assert flagged.context["profile"].version == 2
    assert "Please look at these answers again" in flagged.content.decode()

    client.force_login(world["advisor"])
    seen = client.get(reverse("accounts:risk_profile", args=[household.public_id]))
    assert "Answers to talk about" in seen.content.decode()
    journal = client.get(reverse("accounts:journal")).content.decode()
    assert "1 point to reconsider" in journal


def test_not_knowing_makes_no_profile_but_leaves_word_for_the_advisor(world, client):
    client.force_login(world["client"])
    household = world["household"]
    answers = {**CALM_ANSWERS, "liquidity_need": "", "liquidity_need_unsure": "on"}
    answer = client.post(
        reverse("accounts:risk_questionnaire", args=[household.public_id]), answers
    )
    assert answer.status_code == 422
    assert "go through this with your advisor" in answer.content.decode()
    assert household.risk_profiles.count() == 0
    client.force_login(world["advisor"])
    assert "would like to talk" in client.get(reverse("accounts:journal")).content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"priority": ""}, "Please answer this question"),
        ({"priority": "x"}, "not one of the available choices"),
        ({"horizon_years": "0"}, "Give 1 to 40 years"),
        ({"horizon_years": "\x00"}, "Null characters"),
        ({"investable_wealth": "0"}, "must be above zero"),
        ({"investable_wealth": "1,000"}, "in figures"),
        ({"investable_wealth": "9" * 400}, "at most 20 characters"),
        ({"liquidity_need": "-5"}, "from zero up"),
    ],
)
def test_bad_answers_come_back_with_the_reason_beside_them(world, client, changes, words):
    client.force_login(world["client"])
    household = world["household"]
    answer = client.post(
        reverse("accounts:risk_questionnaire", args=[household.public_id]),
        {**CALM_ANSWERS, **changes, "started": "forged"},
    )
    assert answer.status_code == 422
    (field,) = answer.context["form"].errors
    assert field in changes
    assert words in answer.content.decode()
    assert household.risk_profiles.count() == 0


def test_answers_in_a_hurry_are_noticed_by_our_own_clock(world, client):
    client.force_login(world["client"])
    questions = reverse("accounts:risk_questionnaire", args=[world["household"].public_id])
    started = client.get(questions).context["started"]
    answer = client.post(questions, {**CALM_ANSWERS, "started": started}, follow=True)
    codes = [item["code"] for item in answer.context["profile"].contradictions]
    assert codes == ["in_a_hurry"]


# --- Journal -----------------------------------------------------------------------------------


def test_everybody_reads_their_own_part_of_the_journal(world, client):
    firm, admin = world["firm"], world["admin"]
    elsewhere = make_household(firm, "Elsewhere")
    people.assign_advisor(
        household_id=elsewhere.pk, advisor_id=world["unassigned_advisor"].pk, actor_id=admin.pk
    )
    make_household(world["other_firm_admin"].firm, "Canary of the other firm")
    seen = {}
    for actor in ("client", "advisor", "admin"):
        client.force_login(world[actor])
        seen[actor] = client.get(reverse("accounts:journal")).content.decode()
    assert "Elsewhere" in seen["admin"]
    for actor in ("client", "advisor"):
        assert "Elsewhere" not in seen[actor]
        assert f"The household {world['household'].name} was set up" in seen[actor]
    assert all("Canary" not in text for text in seen.values())


def test_the_journal_is_narrowed_by_words_area_and_day(world, client):
    client.force_login(world["admin"])
    address = reverse("accounts:journal")
    everything = client.get(address).context["page"].paginator.count
    found = client.get(address, {"words": "SET UP"}).context["page"]
    assert 0 < found.paginator.count < everything
    assert all("set up" in entry.summary for entry in found)
    assert client.get(address, {"area": "rebalancer"}).context["page"].paginator.count == 0
    assert client.get(address, {"to_date": "2001-01-01"}).context["page"].paginator.count == 0
    assert (
        client.get(address, {"from_date": "2001-01-01"}).context["page"].paginator.count
        == everything
    )
    for nonsense in (
        {"from_date": "yesterday"},
        {"area": "x"},
        {"words": "\x00"},
        {"page": "-4"},
        {"to_date": "9999-12-31"},
    ):
        assert client.get(address, nonsense).status_code == 200
