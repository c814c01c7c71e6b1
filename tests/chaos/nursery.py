"""A parent that has imported everything once, and forks the programs that are to be killed.

Importing Django and the engine costs seconds of processor; a fork costs milliseconds, and a SIGKILL
to a forked process is as real as to any other. It is forked itself before its own parent opens a
connection or a thread, and it keeps the dead uncollected until asked: no number is reused.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from robo.processes import die_with_parent

Program = Callable[..., None]


class Nursery:
    """The door to the parent of all programs."""

    def __init__(self, programs: Mapping[str, Program], logs_dir: Path) -> None:
        """Fork it; call this before anything is opened that a child must not share."""
        logs_dir.mkdir(parents=True, exist_ok=True)
        self.logs_dir = logs_dir
        mine, its = socket.socketpair()
        hook = die_with_parent(signal.SIGKILL)
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                if hook is not None:
                    hook()
                mine.close()
                _serve(its, programs, logs_dir)
                status = 0
            finally:
                os._exit(status)
        its.close()
        self._socket = mine
        self._answers = mine.makefile("r")

    def _ask(self, **words: Any) -> Any:
        self._socket.sendall(json.dumps(words).encode() + b"\n")
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError("the nursery is gone")
        return json.loads(answer)

    def start(self, name: str, program: str, **terms: Any) -> int:
        """Fork a program, whose output goes to the log of this name; return its process number."""
        return int(self._ask(do="start", name=name, program=program, terms=terms))

    def kill(self, pid: int) -> bool:
        """SIGKILL a program with all its children; False: it had died before."""
        return bool(self._ask(do="kill", pid=pid))

    def is_alive(self, pid: int) -> bool:
        """Say whether a program runs; one that died stays on the books until `kill`."""
        return bool(self._ask(do="look", pid=pid))

    def close(self) -> None:
        """Kill every program, and the nursery."""
        with contextlib.suppress(OSError, RuntimeError):
            self._ask(do="close")
        self._answers.close()
        self._socket.close()
        os.waitpid(self.pid, 0)


def _serve(door: socket.socket, programs: Mapping[str, Program], logs_dir: Path) -> None:
    alive: set[int] = set()
    for line in door.makefile("r"):
        words = json.loads(line)
        answer: Any = True
        if words["do"] == "start":
            answer = _fork(programs[words["program"]], words, logs_dir, door)
            alive.add(answer)
        elif words["do"] == "kill":
            answer = _end(words["pid"])
            alive.discard(words["pid"])
        elif words["do"] == "look":
            answer = _look(words["pid"])
        else:
            while alive:
                _end(alive.pop())
            door.sendall(b"true\n")
            return
        door.sendall(json.dumps(answer).encode() + b"\n")


def _fork(program: Program, words: Mapping[str, Any], logs_dir: Path, door: socket.socket) -> int:
    hook = die_with_parent(signal.SIGKILL)
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        if hook is not None:
            hook()
        door.close()
        log = os.open(logs_dir / f"{words['name']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        program(**words["terms"])
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _look(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _end(pid: int) -> bool:
    was_alive = _look(pid)
    # Its number and its group are its own until it is collected.
    deadline = time.monotonic() + 5
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    while _look(pid) and time.monotonic() < deadline:
        # It may not have made its group yet.
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    os.waitpid(pid, 0)
    return was_alive
