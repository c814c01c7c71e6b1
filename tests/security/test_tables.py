"""The second wall itself: which tables it guards, what each role of the database may do to them."""

import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from accounts.models import AuditEntry, Household
from robo.common import tenancy
from robo.common.row_security import FIRMS, read_tables
from robo.common.tenancy import APP_ROLE, WORKER_ROLE
from tests.people import make_firm, make_household
from tests.security.walls import take_role

pytestmark = pytest.mark.django_db
OUR_APPS = ("accounts_", "portfolios_", "rebalancer_")
# Tables of ours that belong to no firm, and why.
EXEMPT = {
    "accounts_attempt": "counts knocks at the door before anybody is known; keys are hashes",
    "accounts_outgoingmail": "mail to whoever asks for a link; written at the door, sent by a task",
    "accounts_user_groups": "Django's own; nobody is in a group",
    "accounts_user_user_permissions": "Django's own; permissions come from roles",
}
# What is on record: both roles may only add to it.
APPEND_ONLY = {
    "accounts_auditentry",
    "accounts_consent",
    "accounts_profilereview",
    "accounts_riskprofile",
    "portfolios_closedperiod",
    "portfolios_disposal",
    "portfolios_journalentry",
    "portfolios_lotadjustment",
    "portfolios_price",
    "portfolios_transfer",
    "rebalancer_clientanswer",
    "rebalancer_decision",
    "rebalancer_execution",
    "rebalancer_fill",
    "rebalancer_trade",
    "rebalancer_tradelot",
}
# Binary fractions that say how well something was, never what is owned, owed or paid.
FLOATS = set()


def ask(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def list_ours():
    with connection.cursor() as cursor:
        return {table for table in read_tables(cursor) if table.startswith(OUR_APPS)}


def test_every_table_of_a_firm_has_row_security_that_binds_even_its_owner():
    open_tables = {
        table
        for table, is_on, is_forced in ask(
            "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        if table in list_ours() and not (is_on and is_forced)
    }
    assert open_tables - set(EXEMPT) == set(), "call secure_tables in a migration, or say why not"
    assert set(EXEMPT) <= list_ours()


def test_the_policies_are_the_ones_we_know():
    policies = ask("SELECT tablename, policyname, roles::text[], cmd, qual FROM pg_policies")
    of_table: dict[str, dict[str, tuple[list[str], str, str]]] = {}
    for table, name, roles, command, condition in policies:
        of_table.setdefault(table, {})[name] = (sorted(roles), command, condition)
    [(owner,)] = ask("SELECT tableowner FROM pg_tables WHERE tablename = %s", FIRMS)
    for table, found in of_table.items():
        assert found["every_firm"] == (sorted([owner, WORKER_ROLE]), "ALL", "true"), table
        roles, command, condition = found["firm_only"]
        assert (roles, command) == ([APP_ROLE], "ALL"), table
        assert "app.firm" in condition or "EXISTS" in condition, table
    at_the_door = {
        table: sorted(set(found) - {"every_firm", "firm_only"}) for table, found in of_table.items()
    }
    assert {table: names for table, names in at_the_door.items() if names} == {
        "accounts_firm": ["door_read"],
        "accounts_servicetoken": ["door_read"],
        "accounts_user": ["door_change", "door_read"],
    }
    shared = {
        table for table, found in of_table.items() if "firm_id IS NULL" in found["firm_only"][2]
    }
    assert shared == {"rebalancer_parkedreport", "rebalancer_switch"}


def test_the_roles_are_no_superusers_and_own_nothing():
    rows = ask(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolname IN (%s, %s)",
        APP_ROLE,
        WORKER_ROLE,
    )
    assert {row[0] for row in rows} == {APP_ROLE, WORKER_ROLE}
    assert all(row[1:] == (False, False, False, False) for row in rows)
    owners = ask(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        " AND tableowner IN (%s, %s)",
        APP_ROLE,
        WORKER_ROLE,
    )
    assert owners == []


@pytest.mark.parametrize("role", [APP_ROLE, WORKER_ROLE])
def test_grants_end_where_history_begins(role):
    grants: dict[str, set[str]] = {}
    for table, privilege in ask(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = %s AND table_schema = 'public'",
        role,
    ):
        grants.setdefault(table, set()).add(privilege)
    guarded = {
        table for (table,) in ask(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only_rows'"
        )
    }  # fmt: skip
    assert guarded >= APPEND_ONLY
    for table in guarded:
        assert grants[table] == {"SELECT", "INSERT"}, table
    assert grants["django_migrations"] == {"SELECT"}
    every = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert all(found <= every for found in grants.values()), (
        "no TRUNCATE, no REFERENCES, no TRIGGER"
    )
    assert list_ours() <= set(grants)


@pytest.mark.parametrize("role", [APP_ROLE, WORKER_ROLE])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE stolen (id int)",
        "ALTER TABLE accounts_user ADD COLUMN more int",
        "ALTER TABLE accounts_user DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE accounts_auditentry DISABLE TRIGGER USER",
        "DROP TABLE accounts_wish",
        "DROP POLICY firm_only ON accounts_household",
        "TRUNCATE accounts_household",
        "UPDATE accounts_auditentry SET summary = 'nothing happened'",
        "DELETE FROM portfolios_journalentry",
        "UPDATE django_migrations SET name = 'x'",
        "SET session_replication_role = replica",
        "CREATE FUNCTION stolen() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_web_and_the_workers_change_no_table_and_no_history(role, statement):
    with (
        pytest.raises(ProgrammingError),
        take_role(role),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_no_table_of_money_holds_a_binary_fraction():
    found = {
        f"{table}.{column}"
        for table, column in ask(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type IN ('real', 'double precision')"
        )
        if table.startswith(OUR_APPS)
    }
    assert found - FLOATS == set()


def test_no_view_reads_with_the_rights_of_its_owner():
    views = ask(
        "SELECT relname FROM pg_class WHERE relkind IN ('v', 'm')"
        " AND relnamespace = 'public'::regnamespace"
        " AND NOT coalesce(reloptions::text, '') LIKE '%%security_invoker=true%%'"
    )
    assert views == []


# --- What the wall does ---------------------------------------------------------------------------


@pytest.fixture
def homes(db):
    return [make_household(make_firm()) for _ in range(2)]


def test_without_a_firm_nothing_is_there_and_nothing_can_be_put_there(homes):
    with take_role():
        assert Household.objects.count() == 0
        assert AuditEntry.objects.count() == 0
        assert Household.objects.update(name="taken") == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Household.objects.create(firm_id=homes[0].firm_id, name="smuggled")


def test_a_request_sees_its_firm_and_no_other(homes):
    ours, theirs = homes
    with tenancy.guard(), take_role():
        tenancy.enter_firm(ours.firm_id)
        assert list(Household.objects.all()) == [ours]
        assert Household.objects.filter(pk=theirs.pk).update(name="taken") == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Household.objects.filter(pk=ours.pk).update(firm_id=theirs.firm_id)
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Household.objects.create(firm_id=theirs.firm_id, name="smuggled")
        assert AuditEntry.objects.exclude(firm_id=ours.firm_id).count() == 0
        with pytest.raises(tenancy.FirmMixedUp):
            tenancy.enter_firm(theirs.firm_id)


def test_a_savepoint_that_is_rolled_back_takes_nothing_with_it(homes):
    ours, _theirs = homes
    with tenancy.guard(), take_role():
        point = transaction.savepoint()
        tenancy.enter_firm(ours.firm_id)
        assert Household.objects.count() == 1
        transaction.savepoint_rollback(point)
        assert list(Household.objects.all()) == [ours]


def test_a_worker_sees_every_firm(homes):
    with take_role(WORKER_ROLE):
        assert set(Household.objects.all()) == set(homes)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_on_a_connection_that_is_used_again():
    ours, theirs = (make_household(make_firm()) for _ in range(2))
    with take_role():
        with tenancy.guard():
            tenancy.enter_firm(ours.firm_id)
            # One statement alone, a transaction, and one after it.
            assert list(Household.objects.all()) == [ours]
            with transaction.atomic():
                assert list(Household.objects.all()) == [ours]
            assert [row.pk for row in Household.objects.iterator(chunk_size=1)] == [ours.pk]
        assert ask("SELECT current_setting('app.firm', true)") in ([("",)], [(None,)])
        assert Household.objects.count() == 0
        with tenancy.guard():
            tenancy.enter_firm(theirs.firm_id)
            assert list(Household.objects.all()) == [theirs]
