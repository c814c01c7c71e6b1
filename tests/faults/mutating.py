"""Seeded bugs are edits of the product's own text, undone afterwards: no flags in the product."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Edit:
    """One place in a function (or a constant's text) that is made wrong."""

    module: str
    name: str
    old: str
    new: str


@contextmanager
def mutated(*edits: Edit) -> Iterator[None]:
    """Make these edits for a while, wherever the functions were imported to.

    :raises LookupError: when the text is not there (once) any more: the mutant is out of date.
    """
    undo: list[tuple[Any, str, Any]] = []
    try:
        by_place: dict[tuple[str, str], list[Edit]] = {}
        for edit in edits:
            by_place.setdefault((edit.module, edit.name), []).append(edit)
        for (module_name, name), mine in by_place.items():
            module = importlib.import_module(module_name)
            original = getattr(module, name)
            wrong = _make_wrong(module, original, name, mine)
            for holder in list(sys.modules.values()):
                if getattr(holder, "__dict__", {}).get(name) is original:
                    undo.append((holder, name, original))
                    setattr(holder, name, wrong)
        yield
    finally:
        for holder, name, original in undo:
            setattr(holder, name, original)


def _make_wrong(module: Any, original: Any, name: str, edits: list[Edit]) -> Any:
    text = original if isinstance(original, str) else inspect.getsource(original)
    for edit in edits:
        if text.count(edit.old) != 1:
            raise LookupError(f"{edit.module}.{name} does not contain once: {edit.old}")
        text = text.replace(edit.old, edit.new)
    if isinstance(original, str):
        return text
    space = dict(vars(module))
    # Its globals are the module's own, so that other patches hold in it as well.
    before = vars(module).get(name)
    exec(compile(text, f"<mutant of {name}>", "exec"), vars(module))
    wrong = vars(module)[name]
    vars(module)[name] = before
    del space
    return wrong
