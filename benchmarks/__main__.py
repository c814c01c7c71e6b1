"""Runs every comparison and prints one table; `make bench`.

With names (`python -m benchmarks convex netting`) only those; `--accounts N` sizes the big Book.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable

from benchmarks import accounts, million, returns, rules, startup, together
from benchmarks.table import Line, print_head, print_line, print_load

COMPARISONS: dict[str, tuple[str, Callable[[], Iterable[Line]]]] = {
    "convex": ("Accounts of 12 securities x 1-4 lots, any amount", accounts.compare_convex),
    "discrete": (
        "The same in whole shares, with smallest trades and tickets",
        accounts.compare_discrete,
    ),
    "netting": ("Gains netted over the year's tax return", returns.compare_netting),
    "limits": ("Limits and partners, any amount", returns.compare_limits),
    "covariance": ("Drift by full covariance", together.compare_covariance),
    "households": ("Households of 5 x 20 x 5", together.compare_households),
    "spread": ("Laying money upon rows", rules.compare_spread),
}
TABLES: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "rules": ("What simpler rules lose on the accounts above", rules.compare_rules),
    "startup": ("The first call", startup.measure_start),
}


def main() -> None:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join([*COMPARISONS, "book", *TABLES]))
    parser.add_argument("--accounts", type=int, default=100_000, help="in the big Book")
    arguments = parser.parse_args()
    known = [*COMPARISONS, "book", *TABLES]
    names = arguments.names or known
    if set(names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(set(names) - set(known)))}")
    start = time.monotonic()
    print("Times are processor seconds of one case on one thread, but for the big Book.")
    print_load()
    for name in names:
        if name == "book":
            million.report(arguments.accounts, processes=min(2, os.cpu_count() or 1))
            million.report_road(min(arguments.accounts, 10_000), min(arguments.accounts, 500))
        elif name in COMPARISONS:
            title, compare = COMPARISONS[name]
            print_head(f"{title} [{name}]")
            for line in compare():
                print_line(line)
        else:
            title, tabulate = TABLES[name]
            print(f"\n{title} [{name}]")
            for text in tabulate():
                print(f"  {text}")
    print(f"\n{time.monotonic() - start:.0f} s in all; ", end="")
    print_load()


if __name__ == "__main__":
    main()
