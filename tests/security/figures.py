"""What the tests of this folder tried, counted while they run and printed at the end.

`python -m tests.security` runs the matrix of permissions alone.
"""

from collections import Counter

counts: Counter[str] = Counter()
LINES = (
    ("matrix", ("routes", "methods", "relations", "calls", "violations", "unlisted")),
    ("matrix of the admin", ("tables", "admin calls", "admin violations")),
    ("canaries", ("pages read", "canaries found")),
    ("fuzz of uploads", ("files tried", "files read", "files refused")),
)


def describe() -> list[str]:
    """Return one line for each kind of test that ran."""
    return [
        f"{title}: " + ", ".join(f"{counts[name]:,} {name}" for name in names)
        for title, names in LINES
        if counts[names[0]]
    ]
