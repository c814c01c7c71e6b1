"""The API against its own schema, as every role and as a token: no failure of ours, no surprise.

Bounded and seeded; `SCHEMATHESIS_EXAMPLES=200 pytest tests/api/test_schemathesis.py` tries more.
"""

import os
import uuid
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from accounts.domain.roles import Role
from accounts.domain.scopes import Scope
from accounts.operations.tokens import create_token
from rebalancer.models import Decision
from robo.common import clock
from tests import people
from tests.api.cast import sign_in

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
ROLES = ("CLIENT", "ADVISOR", "SUPERVISOR", "MODEL_ADMIN", "ADMIN", "OPERATOR", "TOKEN", "NOBODY")


@contextmanager
def one_connection():
    """Keep the test's own connection open between calls, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def _no_end_of_calls(settings):
    settings.API_BUDGETS = dict.fromkeys(settings.API_BUDGETS, 1_000_000)


def make_credentials(cast: Any, role: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and cookies that a caller of this role sends with each call."""
    if role == "NOBODY":
        return {}, {}
    if role == "TOKEN":
        _, secret = create_token(
            firm_id=cast.world.firm.pk,
            name="all of it",
            scopes=list(Scope),
            networks=[],
            expires_at=clock.now() + timedelta(days=1),
            now=clock.now(),
            actor_id=cast.people["admin"].pk,
        )
        return {"Authorization": f"Bearer {secret}"}, {}
    known = {"CLIENT": "client", "ADVISOR": "advisor", "ADMIN": "admin"}
    if role in known:
        person = cast.people[known[role]]
    else:
        person = people.make_user(cast.world.firm, Role(role))
    client = sign_in(person)
    client.get("/password/")
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    token = next((value for name, value in cookies.items() if "csrf" in name), "")
    return {"X-CSRFToken": token}, cookies


@pytest.mark.parametrize("role", ROLES)
def test_no_role_meets_a_failure_of_ours(cast, role):
    """Every operation, with data of the schema's making, good and bad, on things that are there."""
    raw = sign_in(cast.people["advisor"]).get("/api/schema/?format=json").json()
    schema = schemathesis.openapi.from_dict(raw)
    schema.app = get_wsgi_application()
    credentials = make_credentials(cast, role)
    statuses: dict[int, int] = {}
    with one_connection():
        for result in schema.get_all_operations():
            try_operation(result.ok(), cast, credentials, statuses)
    assert sum(statuses.values()) >= 20 * EXAMPLES
    # Nobody is a 401; a made-up token is one too, until there are too many.
    expected = {401, 429} >= set(statuses) if role == "NOBODY" else 200 in statuses
    assert expected, statuses
    if role in ("CLIENT", "MODEL_ADMIN", "ADMIN", "OPERATOR", "TOKEN"):
        assert not Decision.objects.exists()


def try_operation(operation: Any, cast: Any, credentials: Any, statuses: Any) -> None:
    """Call one operation with a handful of cases, and check each answer against the schema."""
    keys, (headers, cookies) = cast.keys, credentials
    real = next(
        (
            keys[noun]
            for noun in ("account", "household", "proposal", "model")
            if f"/{noun}s/{{" in operation.path
        ),
        None,
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_real=st.booleans())
    def try_one(case: Any, is_real: bool) -> None:
        if is_real and real and "public_id" in (case.path_parameters or {}):
            case.path_parameters["public_id"] = real
        if is_real and "symbol" in (case.path_parameters or {}):
            case.path_parameters["symbol"] = keys["symbol"]
        own = {"Idempotency-Key": str(uuid.uuid4())} if case.method == "POST" else {}
        response = case.call(headers=headers | own, cookies=cookies)
        case.validate_response(response, checks=CHECKS, excluded_checks=[unsupported_method])
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1

    try_one()
