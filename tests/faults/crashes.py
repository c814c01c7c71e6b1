"""Crash points: a process may die, or another may step in, between any two effects."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

# A process that dies right after a commit is as likely as all the others together.
HOOK_WEIGHT = 5
# Statements that change no row by themselves.
HARMLESS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET CONSTRAINTS")


class Crash(BaseException):
    """The process dies here; nothing may catch it but the scheduler."""


class Points:
    """Decides, from the schedule's seed, what happens at each point."""

    def __init__(self, rng: Random, *, crash: float, query_crash: float, meddle: float) -> None:
        self.rng = rng
        self.crash, self.query_crash, self.meddle = crash, query_crash, meddle
        self.is_off = True
        self.crash_count = self.meddle_count = 0
        # What another worker does meanwhile; never inside of itself.
        self.step_in: Callable[[], None] = lambda: None
        self._is_inside = False
        # Whether anything was written since this was last reset: else nothing needs a look.
        self.is_dirty = True

    def hit(self, _name: str, *, may_meddle: bool = True) -> None:
        """Die here, let another worker step in, or go on."""
        if self.is_off:
            return
        draw = self.rng.random()
        if draw < self.crash:
            self.crash_count += 1
            raise Crash
        is_outside = not connection.in_atomic_block
        if may_meddle and is_outside and not self._is_inside and draw > 1 - self.meddle:
            self._is_inside = True
            try:
                self.meddle_count += 1
                self.step_in()
            finally:
                self._is_inside = False

    def _around_query(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if not self.is_off and self.rng.random() < self.query_crash:
            self.crash_count += 1
            raise Crash
        answer = execute(sql, params, many, context)
        if not self.is_dirty and not sql.startswith(HARMLESS):
            # Most workers look, and find nothing to change.
            self.is_dirty = context["cursor"].rowcount != 0
        return answer

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put points around every outermost transaction, and before every query."""
        enter, leave = Atomic.__enter__, Atomic.__exit__
        points = self

        def __enter__(atomic: Atomic) -> None:
            if not connection.in_atomic_block:
                points.hit("before a transaction")
            enter(atomic)

        def __exit__(atomic: Atomic, kind: Any, error: Any, trace: Any) -> None:
            is_outermost = len(connection.atomic_blocks) == 1
            if is_outermost and kind is None:
                try:
                    points.hit("before commit")
                except Crash as crash:
                    leave(atomic, Crash, crash, crash.__traceback__)
                    raise
            leave(atomic, kind, error, trace)
            if is_outermost and kind is None:
                points.hit("after commit")

        run_hooks = BaseDatabaseWrapper.run_and_clear_commit_hooks

        def run_hooks_late(wrapper: BaseDatabaseWrapper) -> None:
            # What is done after a commit may never be done.
            is_due = bool(wrapper.run_on_commit) and not points.is_off
            if is_due and points.rng.random() < points.crash * HOOK_WEIGHT:
                wrapper.run_on_commit = []
                points.crash_count += 1
                raise Crash
            run_hooks(wrapper)

        with (
            patch.object(BaseDatabaseWrapper, "run_and_clear_commit_hooks", run_hooks_late),
            patch.object(Atomic, "__enter__", __enter__),
            patch.object(Atomic, "__exit__", __exit__),
            connection.execute_wrapper(self._around_query),
        ):
            yield
