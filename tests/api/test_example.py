"""The example in docs/api.md, run as it is printed against a real server."""

import re
from pathlib import Path

import pytest
import time_machine

from robo.common import clock
from tests.api.cast import Cast
from tests.people import PASSWORD

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


@pytest.mark.django_db(transaction=True)
def test_the_printed_example_signs_in_and_approves(live_server, cast: Cast):
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    first_line = re.compile(r"^site, email, password = .*$", re.MULTILINE)
    said = f"site, email, password = {(live_server.url, cast.people['advisor'].email, PASSWORD)!r}"
    code, count = first_line.subn(said, code)
    assert count == 1
    names: dict[str, object] = {}
    # The sign-in is on the same day as the market: an old one would not be fresh enough.
    with time_machine.travel(clock.now()):
        exec(compile(code, str(GUIDE), "exec"), names)
    assert names["answer"].status_code == 200, names["answer"].text
    assert names["answer"].json()["decision"]["note"] == "As agreed on the phone."
    cast.proposal.refresh_from_db()
    assert cast.proposal.status == "APPROVED"
