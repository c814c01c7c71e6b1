"""The rebalancing engine: arrays in, trades out. Knows no table, no clock and no request."""

from collections.abc import Mapping
from typing import Any

from rebalancer.domain.kinds import Mode


def solve_case(case: str | bytes | Mapping[str, Any], *, mode: str | None = None) -> dict[str, Any]:
    """Return the best trades for one household, with the proof and the reasons, as JSON values.

    `case` is JSON or the values of one, as `docs/cases.md` describes; `mode` goes before its own.

    :raises rebalancer.engine.case_rows.CaseRefused: with everything that is wrong with the case, or
        when the plan did not pass its exact check.
    """
    # Imported when somebody solves: the kernels take their time, and most of the product that
    # reads a part of this package never needs them.
    from rebalancer.domain.plan import PlanRefused
    from rebalancer.domain.policy import hash_json
    from rebalancer.engine.answering import solve_household
    from rebalancer.engine.case.book import build_named_book
    from rebalancer.engine.case.normal import normalise_case, read_mode
    from rebalancer.engine.case.report import describe_answer
    from rebalancer.engine.case.rows import CaseError, CaseRefused

    normal = normalise_case(case)
    if mode is not None:
        normal["policy"]["mode"] = read_mode(mode)
    chosen = normal["policy"]["mode"]
    named = build_named_book(normal)
    try:
        answer = solve_household(named.book, mode=None if chosen is None else Mode(chosen))
    except PlanRefused as error:
        raise CaseRefused([CaseError("", f"the plan failed its check: {error}")]) from error
    return describe_answer(named, answer, inputs_hash=hash_json(normal))
