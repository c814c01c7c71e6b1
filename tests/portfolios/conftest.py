"""Fixtures of the tests of facts."""

import pytest

from accounts.domain.roles import Role
from tests.people import make_firm, make_household, make_user
from tests.portfolios.world import World


@pytest.fixture
def world(db):
    """Give two firms with people, a model, prices and a refused price."""
    return World()


@pytest.fixture
def firm(db):
    """Give an empty firm."""
    return make_firm()


@pytest.fixture
def admin(firm):
    """Give an admin of the firm."""
    return make_user(firm, Role.ADMIN)


@pytest.fixture
def household(firm):
    """Give a household of the firm."""
    return make_household(firm, "Reed")
