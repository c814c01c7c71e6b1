"""Model portfolios: drafts add up, four eyes publish, what is in force never changes."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.model_lifecycle import (
    IN_WORK,
    MODEL_TRANSITIONS,
    ModelEvent,
    TransitionRefused,
    WeightsRefused,
    advance,
    check_weights,
)
from portfolios.operations import models as operations
from portfolios.operations.books import open_account
from portfolios.operations.securities import (
    change_security,
    create_unclassified,
)
from portfolios.queries.models import list_targets, sum_by_class
from robo.common.errors import Conflict, Refused
from tests.market import make_published_model, make_security
from tests.people import make_firm, make_household, make_user
from tests.portfolios.test_securities import details

NOW = datetime(2024, 6, 3, 12, 0, tzinfo=UTC)


# --- The table and the weights, without a database -----------------------------------------------


@pytest.mark.parametrize("status", list(ModelStatus))
@pytest.mark.parametrize("event", list(ModelEvent))
def test_only_what_the_table_lists_can_happen(status, event):
    if (status, event) in MODEL_TRANSITIONS:
        assert advance(status, event) == MODEL_TRANSITIONS[status, event]
    else:
        with pytest.raises(TransitionRefused, match=status.lower().replace("_", " ")):
            advance(status, event)


def test_every_way_to_force_leads_through_review():
    assert {
        status for (status, _event), after in MODEL_TRANSITIONS.items() if after == "PUBLISHED"
    } == {ModelStatus.IN_REVIEW}
    assert not [key for key in MODEL_TRANSITIONS if key[0] is ModelStatus.RETIRED]
    assert ModelStatus.PUBLISHED not in IN_WORK


@pytest.mark.parametrize(
    ("weights", "cash", "culprit"),
    [
        ({"VTI": "0.6", "BND": "0.3"}, "0", "add up to 90%; 10% is missing"),
        ({"VTI": "0.6", "BND": "0.5"}, "0", "10% is too much"),
        ({"VTI": "0.99999999"}, "0", "0.000001% is missing"),
        ({"VTI": "0", "BND": "1"}, "0", "VTI"),
        ({"VTI": "-0.1", "BND": "1.1"}, "0", "VTI, -10%"),
        ({"VTI": "1.1"}, "-0.1", "cash, -10%"),
        ({"VTI": "NaN"}, "0", "VTI is not a number"),
        ({"VTI": "Infinity"}, "0", "VTI is not a number"),
        ({"VTI": "1"}, "NaN", "cash is not a number"),
        ({"VTI": "0.333333333", "BND": "0.666666667"}, "0", "VTI, 33.3333333%"),
        ({}, "1", "no security"),
    ],
)
def test_weights_that_do_not_add_up_name_the_culprit(weights, cash, culprit):
    with pytest.raises(WeightsRefused, match=culprit.replace(".", r"\.")):
        check_weights(
            weights={symbol: Decimal(weight) for symbol, weight in weights.items()},
            cash_weight=Decimal(cash),
        )


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=12), st.integers(0, 10**8))
def test_weights_are_taken_exactly_when_they_sum_to_one(parts, cash):
    unit = Decimal("0.00000001")
    weights = {f"S{number}": part * unit for number, part in enumerate(parts)}
    if sum(parts) + cash == 10**8:
        check_weights(weights=weights, cash_weight=cash * unit)
    else:
        with pytest.raises(WeightsRefused):
            check_weights(weights=weights, cash_weight=cash * unit)
    total = sum(parts)
    if total < 10**8:
        check_weights(weights=weights, cash_weight=(10**8 - total) * unit)


# --- Against the database ------------------------------------------------------------------------


@pytest.fixture
def author(firm):
    return make_user(firm, Role.ADMIN)


@pytest.fixture
def reviewer(firm):
    return make_user(firm, Role.ADMIN)


@pytest.fixture
def funds(author):
    return [
        make_security(author, "VTI"),
        make_security(author, "BND", code="bonds", name="Bond fund"),
    ]


def new_model(author, name="Balanced"):
    return operations.create_model(
        firm_id=author.firm_id, name=name, description="", actor_id=author.pk
    )


def draft(author, model_id, weights, cash="0"):
    return operations.save_draft(
        model_id=model_id,
        weights={key: Decimal(weight) for key, weight in weights.items()},
        cash_weight=Decimal(cash),
        reason="because",
        actor_id=author.pk,
    )


def publish(version, actor):
    operations.publish_model(version_id=version.pk, now=NOW, actor_id=actor.pk)


def submit(version, actor):
    operations.submit_for_review(version_id=version.pk, actor_id=actor.pk)


def status_of(version):
    return models.ModelVersion.objects.get(pk=version.pk).status


def test_a_model_goes_from_draft_to_force_and_retires_its_predecessor(author, reviewer, funds):
    vti, bnd = funds
    model_id = new_model(author)
    first = draft(author, model_id, {vti.pk: "0.6", bnd.pk: "0.39"}, cash="0.01")
    submit(first, author)
    publish(first, reviewer)
    second = draft(reviewer, model_id, {vti.pk: "0.5", bnd.pk: "0.5"})
    assert (first.number, second.number) == (1, 2)
    assert status_of(first) == "PUBLISHED"
    submit(second, reviewer)
    publish(second, author)
    assert (status_of(first), status_of(second)) == ("RETIRED", "PUBLISHED")
    actions = AuditEntry.objects.filter(action__startswith="portfolios.model.")
    assert [entry.action.rpartition(".")[2] for entry in actions.order_by("pk")] == [
        "created",
        *["draft_saved", "submitted", "published"] * 2,
    ]


def test_nobody_publishes_what_they_wrote(author, reviewer, funds):
    version = draft(author, new_model(author), {funds[0].pk: "1"})
    submit(version, author)
    with pytest.raises(operations.FourEyes, match="somebody else"):
        publish(version, author)
    assert status_of(version) == "IN_REVIEW"
    operations.return_to_draft(version_id=version.pk, reason="too bold", actor_id=reviewer.pk)
    # The reviewer rewrites it: now the first author may publish, the reviewer may not.
    again = draft(reviewer, version.model_id, {funds[1].pk: "1"})
    assert again.pk == version.pk
    submit(again, reviewer)
    with pytest.raises(operations.FourEyes):
        publish(again, reviewer)
    publish(again, author)
    assert status_of(again) == "PUBLISHED"


def test_each_step_is_possible_only_from_its_state(author, reviewer, funds):
    version = draft(author, new_model(author), {funds[0].pk: "1"})
    with pytest.raises(operations.WrongState, match="draft"):
        publish(version, reviewer)
    submit(version, author)
    with pytest.raises(operations.WrongState, match="in review"):
        submit(version, author)
    with pytest.raises(operations.WrongState, match="in review; it cannot be edited"):
        draft(author, version.model_id, {funds[1].pk: "1"})
    publish(version, reviewer)
    with pytest.raises(operations.WrongState, match="published"):
        publish(version, reviewer)


def test_a_draft_names_what_it_may_not_hold(author, funds):
    stranger = make_user(make_firm(), Role.ADMIN)
    theirs = make_security(stranger, "VTI")
    model_id = new_model(author)
    with pytest.raises(operations.DraftRefused, match="own list"):
        draft(author, model_id, {theirs.pk: "1"})
    ids = create_unclassified(firm_id=author.firm_id, names={"ZZZ": "?"}, actor_id=author.pk)
    with pytest.raises(operations.DraftRefused, match="ZZZ has no asset class"):
        draft(author, model_id, {ids["ZZZ"]: "1"})
    change_security(
        security_id=funds[0].pk, details=details(funds[0], is_active=False), actor_id=author.pk
    )
    with pytest.raises(operations.DraftRefused, match="VTI is no longer in use"):
        draft(author, model_id, {funds[0].pk: "1"})
    assert not models.ModelVersion.objects.exists()


def test_a_security_retired_during_review_stops_publication(author, reviewer, funds):
    version = draft(author, new_model(author), {funds[0].pk: "1"})
    submit(version, author)
    change_security(
        security_id=funds[0].pk, details=details(funds[0], is_active=False), actor_id=author.pk
    )
    with pytest.raises(operations.DraftRefused, match="VTI"):
        publish(version, reviewer)
    assert status_of(version) == "IN_REVIEW"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE portfolios_modelweight SET weight = 0.5",
        "DELETE FROM portfolios_modelweight",
        "INSERT INTO portfolios_modelweight (version_id, security_id, weight)"
        " SELECT v.id, s.id, 0.1 FROM portfolios_modelversion v, portfolios_security s"
        " WHERE s.symbol = 'BND'",
        "UPDATE portfolios_modelversion SET cash_weight = 0.5",
        "UPDATE portfolios_modelversion SET status = 'DRAFT'",
        "UPDATE portfolios_modelversion SET status = 'RETIRED', reason = 'rewritten'",
        "DELETE FROM portfolios_modelversion",
    ],
)
def test_postgresql_refuses_to_change_what_is_in_force(author, reviewer, funds, sql):
    make_published_model(author, reviewer, {"VTI": "1"})
    with (
        pytest.raises(IntegrityError, match="never changed|only while"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


def test_postgresql_lets_a_published_version_retire_and_then_nothing(author, reviewer, funds):
    make_published_model(author, reviewer, {"VTI": "1"})
    models.ModelVersion.objects.update(status="RETIRED")
    with pytest.raises(IntegrityError), transaction.atomic():
        models.ModelVersion.objects.update(status="PUBLISHED")


def test_weights_of_a_version_in_review_are_closed_too(author, funds):
    version = draft(author, new_model(author), {funds[0].pk: "1"})
    submit(version, author)
    with pytest.raises(IntegrityError), transaction.atomic():
        version.weights.all().delete()


def test_targets_show_what_publishing_changes(author, reviewer, funds):
    vti, bnd = funds
    model = make_published_model(author, reviewer, {"VTI": "0.6", "BND": "0.4"})
    make_security(author, "SCHB", code="us-shares")
    schb = models.Security.objects.get(symbol="SCHB")
    version = draft(author, model.pk, {schb.pk: "0.55", bnd.pk: "0.4"}, cash="0.05")
    rows = list_targets(version)
    assert {row.security.symbol: row.change for row in rows} == {
        "SCHB": Decimal("0.55"),
        "BND": Decimal(0),
        "VTI": Decimal("-0.6"),
    }
    assert rows[-1].security == vti
    assert dict(sum_by_class(rows, version.cash_weight)) == {
        "Us shares": Decimal("0.55"),
        "Bonds": Decimal("0.4"),
        "Cash": Decimal("0.05"),
    }


def test_names_are_taken_once_per_firm(author):
    new_model(author)
    with pytest.raises(Conflict, match="Balanced"):
        new_model(author)
    new_model(make_user(make_firm(), Role.ADMIN))
    with pytest.raises(operations.DraftRefused, match="name"):
        new_model(author, name=" ")


def test_scores_and_accounts_follow_published_models_of_their_firm_only(author, reviewer, funds):
    model = make_published_model(author, reviewer, {"VTI": "1"})
    unpublished = new_model(author, name="Idea")
    firm_id = author.firm_id
    operations.map_risk_score(firm_id=firm_id, score=5, model_id=model.pk, actor_id=author.pk)
    for score, model_id in ((0, model.pk), (11, model.pk), (5, unpublished), (5, 10**9)):
        with pytest.raises(Refused):
            operations.map_risk_score(
                firm_id=firm_id, score=score, model_id=model_id, actor_id=author.pk
            )
    [mapping] = models.RiskMapping.objects.all()
    assert (mapping.score, mapping.model_id) == (5, model.pk)
    stranger = make_firm()
    account_id = open_books(stranger)
    with pytest.raises(Refused, match="your firm's models"):
        operations.assign_model(account_id=account_id, model_id=model.pk, actor_id=author.pk)
    own_id = open_books(author.firm)
    operations.assign_model(account_id=own_id, model_id=model.pk, actor_id=author.pk)
    operations.map_risk_score(firm_id=firm_id, score=5, model_id=None, actor_id=author.pk)
    assert models.ModelAssignment.objects.get().account_id == own_id
    assert not models.RiskMapping.objects.exists()


def open_books(firm):
    household = make_household(firm)
    actor = make_user(firm, Role.ADMIN)
    return open_account(
        household_id=household.pk,
        name="Joint",
        number=f"{household.pk}",
        custodian="Custodian",
        tax_status="TAXABLE",
        is_discretionary=False,
        opened_date=NOW.date(),
        actor_id=actor.pk,
    )
