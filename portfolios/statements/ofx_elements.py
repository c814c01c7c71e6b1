"""OFX text as a tree of elements: SGML without closing tags (1.x) and XML (2.x), strict and linear.

Lenient readers guess where an element ends and what `1,234` means; here a file that does not close
its aggregates is refused, and every value keeps its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from portfolios.statements.text import StatementUnreadable

ELEMENTS_MAX = 400_000
DEPTH_MAX = 40

_TAG = re.compile(r"<(/?)([A-Za-z0-9_.]{1,64})\s*(/?)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&amp;", "&"))


@dataclass(slots=True)
class Element:
    """An aggregate (children, no text) or a value (text, no children); names in upper case."""

    name: str
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, *names: str) -> Iterator["Element"]:
        """Yield the elements of any of those names at any depth, in file order."""
        for child in self.children:
            if child.name in names:
                yield child
            yield from child.all(*names)

    def find(self, name: str) -> "Element | None":
        """Return the first element of that name at any depth, or None."""
        return next(self.all(name), None)

    def own(self, name: str) -> str:
        """Return the text of the direct child of that name, blank when absent."""
        return next((child.text for child in self.children if child.name == name), "")

    def value(self, name: str) -> str:
        """Return the text of the first element of that name at any depth, blank when absent."""
        found = self.find(name)
        return "" if found is None else found.text


def read_elements(text: str) -> Element:
    """Return the OFX aggregate.

    :raises StatementUnreadable: naming the line, for unclosed or crossing aggregates, stray text,
        declarations, or too many elements.
    """
    start = re.search(r"<OFX>", text, re.IGNORECASE)
    if start is None:
        raise StatementUnreadable("the OFX file has a header but no <OFX> element")
    root = Element("", 0)
    stack = [root]
    # In SGML an empty value may stand without its closing tag: it is a name that is never closed.
    closed = {"OFX", *(name.upper() for name in re.findall(r"</([A-Za-z0-9_.]{1,64})", text))}
    line, place = text.count("\n", 0, start.start()) + 1, start.start()
    count = 0
    while place < len(text):
        tag = _TAG.match(text, place)
        if tag is None:
            raise _stray(text, place, line)
        count += 1
        if count > ELEMENTS_MAX:
            raise StatementUnreadable(f"line {line}: more than {ELEMENTS_MAX:,} OFX elements")
        after = text.find("<", tag.end())
        after = len(text) if after < 0 else after
        content = text[tag.end() : after]
        _take_tag(stack, closed, tag, content.strip(), line)
        line += text.count("\n", place, after)
        place = after
    if len(stack) > 1:
        _drop_values(stack)
    if len(stack) > 1:
        raise StatementUnreadable(f"<{stack[-1].name}> of line {stack[-1].line} is never closed")
    return root.children[0]


def _take_tag(
    stack: list[Element], closed: set[str], tag: re.Match[str], content: str, line: int
) -> None:
    closing, name, empty = tag[1], tag[2].upper(), tag[3]
    if closing:
        _close(stack, name, line)
        if content:
            raise StatementUnreadable(f"line {line}: text {content[:40]!r} after </{name}>")
        return
    if len(stack) == 1 and stack[0].children:
        raise StatementUnreadable(f"line {line}: <{name}> after the end of the OFX element")
    element = Element(name, line, _unescape(content))
    # A value that was never closed ends where the next tag begins.
    _drop_values(stack)
    stack[-1].children.append(element)
    if not empty and name in closed:
        stack.append(element)
    if len(stack) > DEPTH_MAX:
        raise StatementUnreadable(f"line {line}: OFX elements are nested above {DEPTH_MAX} deep")


def _drop_values(stack: list[Element]) -> None:
    if len(stack) > 1 and stack[-1].text:
        stack.pop()


def _close(stack: list[Element], name: str, line: int) -> None:
    """Close the innermost element, or the one around it when that is a value left open."""
    if len(stack) > 1 and stack[-1].name != name and not stack[-1].children:
        stack.pop()
    if len(stack) < 2 or stack[-1].name != name:
        inside = stack[-1].name if len(stack) > 1 else "nothing"
        raise StatementUnreadable(f"line {line}: </{name}> closes nothing; open is <{inside}>")
    stack.pop()


def _unescape(content: str) -> str:
    for entity, sign in _ENTITIES:
        content = content.replace(entity, sign)
    return content


def _stray(text: str, place: int, line: int) -> StatementUnreadable:
    found = " ".join(text[place : place + 40].split())
    return StatementUnreadable(f"line {line}: {found!r} is not an OFX tag")
