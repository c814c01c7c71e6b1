"""PostgreSQL and Redis for one run outside of pytest, started, migrated, and gone at its end."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from robo.localservices import LocalServices
from robo.pytest_services import point_settings_at


@contextmanager
def own_database() -> Iterator[None]:
    """Start servers for this run alone, and make the tables; Django reads its settings here."""
    folder = Path(tempfile.mkdtemp(prefix="robo-own-"))
    folder.chmod(0o755)  # PostgreSQL's own user must reach the data when we are root
    services = LocalServices(folder, fsync=False)
    services.start()
    try:
        point_settings_at(services.runtime_dir)
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield
    finally:
        services.stop()
        shutil.rmtree(folder, ignore_errors=True)
