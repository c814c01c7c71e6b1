"""While the database is away or read only, people are told to try again, and shown no trace."""

from types import ModuleType

import pytest
from django.contrib.auth.decorators import login_not_required
from django.db import (
    DataError,
    IntegrityError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)
from django.test import Client
from django.urls import path

from robo.common.api.errors import UnavailableError, translate
from robo.common.unavailable import is_out_of_reach


def serve(settings, error):
    @login_not_required
    def fail(_request):
        raise error

    urls = ModuleType("urls")
    urls.urlpatterns = [path("page/", fail), path("api/v1/thing/", fail)]
    urls.handler500 = "robo.common.unavailable.answer_failure"
    settings.ROOT_URLCONF = urls
    return Client(raise_request_exception=False)


@pytest.mark.django_db
def test_a_page_says_try_again(settings):
    answer = serve(settings, OperationalError("the connection is closed")).get("/page/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "This is not possible right now" in answer.text
    assert "connection is closed" not in answer.text


@pytest.mark.django_db
def test_an_endpoint_says_so_in_json(settings):
    answer = serve(settings, OperationalError("gone")).get("/api/v1/thing/")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["code"] == "unavailable"


@pytest.mark.django_db
def test_any_other_failure_stays_a_500(settings):
    assert serve(settings, RuntimeError("odd")).get("/page/").status_code == 500


@pytest.mark.django_db
def test_a_write_to_a_read_only_database_is_out_of_reach():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        cursor.execute("SET LOCAL transaction_read_only = on")
        with pytest.raises(InternalError) as caught:
            cursor.execute("DELETE FROM accounts_attempt")
        cursor.execute("ROLLBACK TO SAVEPOINT before")
    assert is_out_of_reach(caught.value)
    assert isinstance(translate(caught.value), UnavailableError)


@pytest.mark.parametrize("error", [IntegrityError(), DataError(), InternalError(), None])
def test_what_is_wrong_with_the_data_is_not_out_of_reach(error):
    assert not is_out_of_reach(error)
