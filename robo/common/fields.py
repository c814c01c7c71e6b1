"""How numbers are kept: the precision of money, prices, quantities and weights, defined once; and
the two columns that the journal needs beyond Django's own.
"""

import json
from decimal import Decimal
from typing import Any

from django.db import models

# PostgreSQL orders NaN above every number, so `> 0` alone would let it in; this bound does not.
NUMBER_LIMIT = Decimal("1e12")
# The engine counts shares in units of 1e-8 in 64 bits, which reach to 9.2e10.
QUANTITY_LIMIT = Decimal("1e10")


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An amount in the account's currency, to its minor unit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 20, "decimal_places": 2, **kwargs})


class PriceField(models.DecimalField):  # type: ignore[type-arg]
    """A price per share, 6 places."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 20, "decimal_places": 6, **kwargs})


class QuantityField(models.DecimalField):  # type: ignore[type-arg]
    """A number of shares, 8 places."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 28, "decimal_places": 8, **kwargs})


class WeightField(models.DecimalField):  # type: ignore[type-arg]
    """A fraction of one (never percent), 8 places."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 9, "decimal_places": 8, **kwargs})


class StoredJSONField(models.TextField):  # type: ignore[type-arg]
    """JSON kept as the very text that was written.

    `jsonb` reorders keys and drops what is said twice; text that is hashed must come back as it
    was. Whoever writes rows past this field chooses the text.
    """

    def from_db_value(self, value: str | None, *_: object) -> Any:
        """Return what the text says."""
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        """Return the text to store."""
        return None if value is None else json.dumps(value, sort_keys=True, allow_nan=False)


class TransactionIdField(models.Field):  # type: ignore[type-arg]
    """The number of a database transaction (`xid8`): 64 bits, never used twice."""

    def db_type(self, connection: object) -> str:
        """Return PostgreSQL's own type."""
        return "xid8"

    def from_db_value(self, value: str | None, *_: object) -> int | None:
        """Return the number."""
        return None if value is None else int(value)

    def get_prep_value(self, value: Any) -> Any:
        """Return the number as PostgreSQL reads it."""
        return None if value is None else str(value)


class CurrentTransactionId(models.Func):
    """The number of the transaction that is writing."""

    function = "pg_current_xact_id"
    arity = 0
    output_field = TransactionIdField()


def positive(field: str) -> models.Q:
    """Return the condition that a number column is above zero and finite."""
    return models.Q(**{f"{field}__gt": 0, f"{field}__lt": NUMBER_LIMIT})


def not_negative(field: str) -> models.Q:
    """Return the condition that a number column is zero or above and finite."""
    return models.Q(**{f"{field}__gte": 0, f"{field}__lt": NUMBER_LIMIT})


def fraction(field: str) -> models.Q:
    """Return the condition that a weight or rate lies between zero and one."""
    return models.Q(**{f"{field}__gte": 0, f"{field}__lte": 1})
