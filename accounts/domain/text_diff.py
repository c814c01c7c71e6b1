"""What is different between two versions of a text, line by line, for the page that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line: "same", "gone" or "new"."""

    state: str
    text: str


def compare_texts(before: str, after: str) -> Sequence[DiffLine]:
    """Return every line of both texts in reading order; blank lines are left out."""
    old, new = ([line for line in text.splitlines() if line.strip()] for text in (before, after))
    lines: list[DiffLine] = []
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            lines += [DiffLine("same", text) for text in new[new_from:new_to]]
            continue
        lines += [DiffLine("gone", text) for text in old[old_from:old_to]]
        lines += [DiffLine("new", text) for text in new[new_from:new_to]]
    return lines
