"""`python -m tests.faults --seeds N [--seed S] [--steps N] [--mutants]`: on own servers."""

import argparse
import os
import sys
import time
from collections import Counter
from contextlib import suppress

from tests.own_database import own_database

# Tables stay small, and the checks fast.
SCHEDULES_PER_FLUSH = 40


def run_seeds(first: int, count: int, steps: int) -> int:
    """Run schedules one after the other; return how many failed."""
    from tests.faults import running
    from tests.faults.schedule import Violation, run_schedule

    figures: Counter[str] = Counter()
    failed: list[int] = []
    began = time.monotonic()
    # Stopped by hand, it still says what it has seen.
    with suppress(KeyboardInterrupt):
        for seed in range(first, first + count):
            try:
                figures += run_schedule(seed, steps=steps)
            except Violation as violation:
                failed.append(seed)
                running.say(str(violation))
            if failed[-1:] == [seed] or seed % SCHEDULES_PER_FLUSH == 0:
                running.empty_tables()
    seconds = time.monotonic() - began
    running.say(f"seeds from {first} on, {steps} steps each, {seconds:.0f} s")
    for name, number in sorted(figures.items()):
        running.say(f"  {name}: {number}")
    running.say(f"  failed: {len(failed)} {failed}")
    return len(failed)


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many schedules")
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--steps", type=int, default=60, help="of each")
    parser.add_argument("--mutants", action="store_true", help="the seeded bugs instead")
    parser.add_argument(
        "--only", default="", help="of the seeded bugs, those with this in the name"
    )
    asked = parser.parse_args()
    # Sets of texts come in an order of their own in every process: not in a replay.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.faults", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    with own_database():
        from tests.faults.running import fast_settings

        with fast_settings():
            if asked.mutants:
                from tests.faults.mutants import run_mutants

                return run_mutants(asked.seed, asked.seeds, asked.steps, asked.only)
            return min(1, run_seeds(asked.seed, asked.seeds, asked.steps))


if __name__ == "__main__":
    sys.exit(main())
