"""Shapes of the API: what comes in is refused when a key is unknown; decimals go out as strings."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rest_framework import serializers

from robo.common.api.errors import NON_FIELD

LIMIT_MAX = 200
OFFSET_MAX = 1_000_000_000
KEY_LENGTH_SHOWN = 60


class InputSerializer(serializers.Serializer[Any]):
    """Reads what somebody sent; a key that it does not know is an error that names the key."""

    default_error_messages = {"unknown_field": "Unknown field: {name}."}

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values.

        :raises ValidationError: with every fault at once, unknown keys included.
        """
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        faults = [
            serializers.ErrorDetail(
                self.error_messages["unknown_field"].format(name=_show(name)), "unknown_field"
            )
            for name in unknown
        ]
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not faults:
                raise
            known: Any = error.detail
            raise serializers.ValidationError(known | {NON_FIELD: faults}) from None
        if faults:
            raise serializers.ValidationError({NON_FIELD: faults})
        return values


def _show(name: str) -> str:
    """Return a key as text that any answer can carry, whatever was sent."""
    return ascii(name[:KEY_LENGTH_SHOWN])


class NoQuery(InputSerializer):
    """The query string of an endpoint that takes no parameters."""


class PageQuery(InputSerializer):
    """Which part of a list to answer."""

    limit = serializers.IntegerField(
        min_value=1, max_value=LIMIT_MAX, required=False, help_text="rows, 50 if not given"
    )
    offset = serializers.IntegerField(
        min_value=0, max_value=OFFSET_MAX, required=False, help_text="rows to skip"
    )


class Text(serializers.CharField):
    """A string that must come as one: a JSON number would have lost digits on its way."""

    default_error_messages = {"invalid": "Write this as a string."}

    def to_internal_value(self, data: Any) -> str:
        """Return the text.

        :raises ValidationError: when it was no string.
        """
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Money(serializers.DecimalField):
    """An amount in the firm's currency, as a string with 2 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=2, **options)


class Price(serializers.DecimalField):
    """A price per share, as a string with 6 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=6, **options)


class Quantity(serializers.DecimalField):
    """A number of shares, as a string with 8 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=28, decimal_places=8, **options)


class Weight(serializers.DecimalField):
    """A fraction of one (never percent), as a string with 8 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=8, **options)


class Code(serializers.ChoiceField):
    """One of a fixed list; the schema names the list after its enum."""

    def __init__(self, codes: type[StrEnum], **options: Any) -> None:
        self.codes = codes
        super().__init__(choices=[(code.value, code.value) for code in codes], **options)


class ErrorItemSerializer(serializers.Serializer[Any]):
    """One thing that was wrong."""

    code = serializers.CharField(help_text="for programs")
    detail = serializers.CharField(help_text="for people")
    attr = serializers.CharField(allow_null=True, help_text="the field at fault, if it is one")


class ErrorSerializer(serializers.Serializer[Any]):
    """Every answer that is not a 2xx."""

    type = serializers.CharField(help_text="validation_error, client_error or server_error")
    errors = ErrorItemSerializer(many=True)  # type: ignore[assignment]
