"""What must be right before a web server or worker takes its first request or task."""

import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from robo.common.builds import find_mismatch
from robo.common.schema import DIGITS_SHOWN, digest_migrations
from robo.common.secrets import SecretsKeyMissing, SecretUnreadable, find_key_faults, reseal

logger = logging.getLogger(__name__)


def check_start() -> None:
    """Refuse to start where secrets are kept that nobody here could read.

    :raises ImproperlyConfigured: saying which setting is missing or wrong.
    """
    faults = find_key_faults(settings.SECRETS_KEYS)
    if faults:
        raise ImproperlyConfigured(" ".join(faults))
    if settings.SECOND_FACTOR_REQUIRED and not settings.SECRETS_KEYS:
        raise ImproperlyConfigured(
            "Staff need a second step to sign in, and nothing can keep its secret:"
            " set EVENKEEL_SECRETS_KEY."
        )
    schema = digest_migrations(settings.OWN_MIGRATIONS)[:DIGITS_SHOWN]
    logger.info("%s of build %s, schema %s", settings.DB_ROLE, settings.BUILD, schema)
    try:
        words = find_mismatch()
        if words:
            logger.critical("%s", words)
        with connection.cursor() as cursor:
            # Not by the tables themselves, which show the web's role no row before it is known
            # whose request it is.
            cursor.execute("SELECT newest_sealed()")
            [sealed] = cursor.fetchone()
    except DatabaseError:
        logger.warning("The database cannot be asked for secrets yet")
        return
    finally:
        connection.close()
    if sealed is None:
        return
    try:
        reseal(sealed)
    except SecretsKeyMissing:
        raise ImproperlyConfigured(
            "Secrets are kept in the database, but EVENKEEL_SECRETS_KEY is not set."
        ) from None
    except SecretUnreadable:
        raise ImproperlyConfigured(
            "EVENKEEL_SECRETS_KEY is not the key that the secrets in the database need."
        ) from None
