"""Reading JSON from strangers: typed fields, unknown keys, and every fault with its path.

A fault never stops the reading: what could not be read is None, so that one answer names all.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

ERRORS_MAX = 20
SHOWN_LENGTH_MAX = 40
DIGITS_MAX = 28  # as many as decimal arithmetic keeps
NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,60}(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,9})?|nan|inf(?:inity)?)", re.I
)
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class CaseError:
    """One thing that is wrong: where, as keys and row numbers with dots between, and what."""

    path: str
    message: str


class CaseRefused(ValueError):
    """A case that cannot be solved as it is; `errors` are the first faults, `count` all of them."""

    def __init__(self, errors: list[CaseError], count: int | None = None) -> None:
        self.errors = errors
        self.count = len(errors) if count is None else count
        lines = [
            f"{error.path}: {error.message}" if error.path else error.message for error in errors
        ]
        super().__init__("\n".join(lines))


@dataclass
class Faults:
    """Collects what is wrong."""

    errors: list[CaseError] = field(default_factory=list)
    count: int = 0

    def add(self, path: str, message: str) -> None:
        """Note one fault; beyond `ERRORS_MAX` they are only counted."""
        self.count += 1
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(CaseError(path, message))

    def refuse(self) -> None:
        """Go on when nothing was wrong.

        :raises CaseRefused: otherwise.
        """
        if self.count:
            raise CaseRefused(self.errors, self.count)


# --- Text to values ------------------------------------------------------------------------------


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds, numbers as exact decimals.

    NaN and Infinity come through, to be refused by the field they stand in.

    :raises CaseRefused: when it is no JSON, nests without end, or names a key twice.
    """
    twice: list[str] = []

    def pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            counts = Counter(key for key, _value in pairs)
            twice.extend(key for key, count in counts.items() if count > 1)
        return values

    try:
        value = json.loads(
            text,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=Decimal,
            object_pairs_hook=pair,
        )
    except RecursionError:
        raise CaseRefused([CaseError("", "the JSON nests too deeply")]) from None
    except (ValueError, InvalidOperation) as error:
        raise CaseRefused([CaseError("", f"this is no JSON: {error}")]) from None
    if twice:
        faults = Faults()
        for key in twice:
            faults.add("", f"the key {show(key)} stands twice in one object")
        faults.refuse()
    return value


def show(value: object) -> str:
    """Return a value as it may stand in a message, whatever was sent."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = ascii(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= SHOWN_LENGTH_MAX else f"{text[:SHOWN_LENGTH_MAX]}..."


def join(path: str, key: object) -> str:
    """Return the path of a key or row below `path`."""
    name = ascii(key)[1:-1] if isinstance(key, str) else str(key)
    name = name[:SHOWN_LENGTH_MAX]
    return f"{path}.{name}" if path else name


def write_decimal(number: Decimal) -> str:
    """Return the one way to write a number: no exponent, no needless zeros, no minus zero."""
    if number == 0:
        return "0"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_plain(value: Any) -> Any:
    """Return values as JSON holds them: numbers as decimal strings, dates ISO 8601."""
    if isinstance(value, Mapping):
        return {key: write_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [write_plain(item) for item in value]
    if isinstance(value, Decimal):
        return write_decimal(value)
    if isinstance(value, str):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


def sort_id(text: str | None) -> tuple[int, str]:
    """Return what ids are sorted by: numbers written as text come in the order of numbers."""
    return len(text or ""), text or ""


def sort_rows(rows: Any) -> list[dict[str, Any]]:
    """Return rows in an order that follows from what is in them."""
    return sorted(rows, key=lambda row: [str(write_plain(value)) for value in row.values()])


# --- Kinds of values -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal within limits, `places` at most after the point."""

    places: int
    low: Decimal
    high: Decimal
    is_low_allowed: bool = True

    def read(self, value: object) -> Decimal:
        """Return the number.

        :raises ValueError: saying what is wrong with it.
        """
        number = _to_decimal(value)
        if not number.is_finite():
            raise ValueError(f"{number} is not a finite number")
        if number < self.low or (number == self.low and not self.is_low_allowed):
            bound = "not be below" if self.is_low_allowed else "be above"
            raise ValueError(f"{show(value)} must {bound} {write_decimal(self.low)}")
        if number > self.high:
            raise ValueError(f"{show(value)} must not be above {write_decimal(self.high)}")
        _sign, digits, exponent = number.as_tuple()
        while isinstance(exponent, int) and exponent < -self.places and digits[-1] == 0:
            digits, exponent = digits[:-1] or (0,), exponent + 1
            if digits == (0,):
                exponent = 0
        if int(exponent) < -self.places or len(digits) > DIGITS_MAX:
            raise ValueError(f"{show(value)} has more than {self.places} decimal places")
        return Decimal(write_decimal(number))


def _to_decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int | float):
        raise ValueError(f"{_name(value)} is not a number")
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError(f"{show(value)} is not a number")
    # A float stands for the shortest number that is written like it.
    return Decimal(repr(value) if isinstance(value, float) else value)


def _name(value: object) -> str:
    return "null" if value is None else show(value)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within limits."""

    low: int
    high: int

    def read(self, value: object) -> int:
        """Return the number.

        :raises ValueError: saying what is wrong with it.
        """
        return int(Number(0, Decimal(self.low), Decimal(self.high)).read(value))


@dataclass(frozen=True, slots=True)
class Text:
    """Printable text without spaces at its ends."""

    length_max: int
    is_symbol: bool = False
    may_be_empty: bool = False

    def read(self, value: object) -> str:
        """Return the text.

        :raises ValueError: saying what is wrong with it.
        """
        if not isinstance(value, str):
            raise ValueError(f"{_name(value)} is not a text: write it in quotes")
        if not value and not self.may_be_empty:
            raise ValueError("must not be empty")
        if len(value) > self.length_max:
            raise ValueError(f"is longer than {self.length_max} characters")
        if not value.isprintable() or value != value.strip():
            raise ValueError(f"{show(value)} must be printable, without spaces at its ends")
        if self.is_symbol and " " in value:
            raise ValueError(f"{show(value)} must not hold a space")
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the codes of an enum."""

    codes: type[StrEnum]

    def read(self, value: object) -> StrEnum:
        """Return the code.

        :raises ValueError: naming the codes there are.
        """
        known = [code.value for code in self.codes]
        if isinstance(value, str) and value in known:
            return self.codes(value)
        raise ValueError(f"{_name(value)} is none of {', '.join(known)}{suggest(value, known)}")


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, value: object) -> bool:
        """Return the value.

        :raises ValueError: when it is neither.
        """
        if isinstance(value, bool):
            return value
        raise ValueError(f"{_name(value)} is neither true nor false")


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar date, ISO 8601."""

    def read(self, value: object) -> date:
        """Return the date.

        :raises ValueError: when it is none between 1900 and 2199.
        """
        if isinstance(value, date):
            value = value.isoformat()
        try:
            day = date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
        except ValueError:
            day = None
        if day is None or not 1900 <= day.year <= 2199:
            raise ValueError(f"{_name(value)} is no date like 2026-11-20, of 1900 to 2199")
        return day


Kind = Number | Whole | Text | Choice | Flag | Day


@dataclass(frozen=True, slots=True)
class Field:
    """One key of an object: its kind, its default, and what it means, in words."""

    name: str
    kind: Kind
    words: str
    default: Any = REQUIRED
    may_be_null: bool = False


def suggest(value: object, known: list[str]) -> str:
    """Return a "did you mean" for what is misspelt, or nothing."""
    text = value if isinstance(value, str) else ""
    found = get_close_matches(text.casefold(), [name.casefold() for name in known], n=1)
    names = [name for name in known if found and name.casefold() == found[0]]
    return f": did you mean {names[0]}?" if names else ""


# --- Objects and lists ---------------------------------------------------------------------------


@dataclass
class Row:
    """One JSON object while it is read; `label` names it for people, as in "lot L1 of VTI"."""

    faults: Faults
    path: str
    values: Mapping[str, Any]
    label: str = ""

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with one key, or with the object where the key is empty."""
        where = f" ({self.label})" if self.label else ""
        self.faults.add(join(self.path, key) if key else self.path, f"{message}{where}")

    def check_keys(self, known: list[str]) -> None:
        """Note every key that nobody knows."""
        for key in self.values:
            if key not in known:
                hint = suggest(key, known) if self.faults.count < ERRORS_MAX else ""
                self.fault(str(key), f"unknown key {show(key)}{hint}")

    def read(self, spec: Field) -> Any:
        """Return the value of one field, its default, or None where it is wrong."""
        if spec.name not in self.values:
            if spec.default is REQUIRED:
                self.fault(spec.name, "is required")
                return None
            return spec.default
        value = self.values[spec.name]
        if value is None and (spec.may_be_null or spec.default is None):
            return None
        try:
            return spec.kind.read(value)
        except ValueError as error:
            self.fault(spec.name, str(error))
            return None

    def read_all(self, specs: tuple[Field, ...], *more: str) -> dict[str, Any]:
        """Return the values of these fields, and note keys that are neither they nor `more`."""
        self.check_keys([*(spec.name for spec in specs), *more])
        return {spec.name: self.read(spec) for spec in specs}

    def rows(self, key: str, *, count_max: int, name: Callable[[Any], str]) -> Iterator["Row"]:
        """Yield the objects of a list; a missing list is an empty one.

        `name` makes a label from what an object holds, whatever that is.
        """
        for number, value in enumerate(self.items(key, count_max=count_max)):
            path = join(join(self.path, key), number)
            if isinstance(value, Mapping):
                yield Row(self.faults, path, value, name(value))
            else:
                self.faults.add(path, f"{_name(value)} is not an object")

    def items(self, key: str, *, count_max: int) -> list[Any]:
        """Return a list as it was sent; a missing one is empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list | tuple):
            self.fault(key, f"{_name(value)} is not a list")
            return []
        if len(value) > count_max:
            self.fault(key, f"holds {len(value)} rows; at most {count_max} are taken")
            return []
        return list(value)

    def object(self, key: str, label: str = "") -> "Row":
        """Return an object below this one; a missing one is empty."""
        value = self.values.get(key, {})
        if not isinstance(value, Mapping):
            self.fault(key, f"{_name(value)} is not an object")
            value = {}
        return Row(self.faults, join(self.path, key), value, label or self.label)
