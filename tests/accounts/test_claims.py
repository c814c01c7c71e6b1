"""What we tell clients about the product: every sentence is registered, and backed by a test."""

import ast
import re
from pathlib import Path

import pytest
from django.urls import reverse

from accounts.domain.claims import CLAIMS
from accounts.domain.disclosures import DEFAULT_TEXTS

CHECKOUT = Path(__file__).resolve().parents[2]
# Words of behaviour: a plain sentence may not promise what "we" or the program always do.
PROMISES = re.compile(
    r"\b(never|always|every day|daily|at once|at any time|before anything|guarantee\w*)\b", re.I
)


def list_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("claim_id", sorted(CLAIMS))
def test_the_test_that_backs_a_claim_exists(claim_id):
    path, _, name = CLAIMS[claim_id].test.partition("::")
    assert (CHECKOUT / path).is_file(), path
    assert name in list_tests(CHECKOUT / path), f"{path} has no {name}"


@pytest.mark.parametrize("claim_id", sorted(CLAIMS))
def test_the_live_figure_has_a_page(claim_id):
    claim = CLAIMS[claim_id]
    assert claim.claim_id == claim_id
    assert claim.sentence.endswith(".")
    if claim.figure:
        assert reverse(claim.figure).startswith("/")


def test_every_claim_is_told_and_plain_sentences_promise_nothing():
    told = {part for text in DEFAULT_TEXTS.values() for row in text.paragraphs for part in row}
    assert set(CLAIMS) <= told, "a claim that no text makes need not be registered"
    for text in DEFAULT_TEXTS.values():
        for sentence in text.list_plain():
            assert " " in sentence, f"{sentence} is no claim that we know"
            assert not PROMISES.search(sentence), f"register this as a claim: {sentence}"
