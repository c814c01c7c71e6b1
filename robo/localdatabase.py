"""The roles of the embedded PostgreSQL, and the database that the first of them owns.

As in production none is a superuser, so that row security and grants bind them.
"""

# Who owns the tables; the web and the workers use them under roles of their own.
OWNER_ROLE = DATABASE = "robo"
APP_ROLE, WORKER_ROLE = "robo_app", "robo_worker"


def make_database(admin_url: str) -> None:
    """Make the roles and the database where they are missing; psycopg.Error says why not."""
    import psycopg  # here, so that settings can use this module without a driver

    with psycopg.connect(admin_url, autocommit=True) as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        if OWNER_ROLE not in roles:
            connection.execute("CREATE ROLE robo LOGIN CREATEDB")
        for role in sorted({APP_ROLE, WORKER_ROLE} - roles):
            connection.execute(f"CREATE ROLE {role} LOGIN")
            # Tests take the roles on; nothing is inherited that is not asked for.
            connection.execute(f"GRANT {role} TO robo WITH INHERIT FALSE, SET TRUE")
        databases = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if databases.fetchone() is None:
            connection.execute("CREATE DATABASE robo OWNER robo")
