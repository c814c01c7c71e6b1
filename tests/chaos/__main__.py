"""`python -m tests.chaos [kills|race|drain|database|crash|skew|all] [--kills N] [--seed S]`."""

import argparse
import os
import subprocess
import sys
import time

NAMES = ("kills", "race", "drain", "database", "crash", "skew")


def main() -> int:
    """Read the arguments and run; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", default="kills", choices=[*NAMES, "all"])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--drops", type=int, default=100, help="database connections to drop")
    parser.add_argument("--flushes", type=int, default=5, help="times that Redis is emptied")
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--crashes", type=int, default=10, help="of the database server")
    parser.add_argument("--accounts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="use the servers of the environment")
    parser.add_argument("--logs", action="store_true", help="when it fails, print the logs' ends")
    asked = parser.parse_args()
    if asked.what == "all":
        return _run_all()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "robo.settings")
    return _run(asked)


def _run_all() -> int:
    """Run everything, each part in a process of its own: settings are read only once."""
    rest = [word for word in sys.argv[1:] if word != "all"]
    codes = [
        subprocess.run([sys.executable, "-m", "tests.chaos", name, *rest], check=False).returncode
        for name in NAMES
    ]
    return max(codes)


def _run(asked: argparse.Namespace) -> int:
    from tests.chaos.stage import open_stage
    from tests.chaos.telling import say

    began = time.monotonic()
    say(f"--- {asked.what}, seed {asked.seed}")
    with open_stage(asked.seed, is_here=asked.here, fsync=asked.what == "crash") as stage:
        # Models can be imported now.
        from tests.chaos.acts import ACTS

        found = ACTS[asked.what](stage, asked)
        for sentence in found[:40]:
            say(f"WRONG: {sentence}")
        if asked.logs and found:
            for path in sorted(stage.nursery.logs_dir.glob("*.log")):
                say(f"----- {path.name}\n{path.read_text(errors='replace')[-6000:]}")
    say(f"{asked.what}: {len(found)} wrong, in {time.monotonic() - began:.0f} s")
    return min(1, len(found))


if __name__ == "__main__":
    sys.exit(main())
