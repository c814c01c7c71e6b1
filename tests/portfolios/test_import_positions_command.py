"""The command import_positions: a dry run first, every refused row named."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.people import make_firm
from tests.portfolios.test_import_positions import TWO_ACCOUNTS, books, count_rows

pytestmark = pytest.mark.django_db


def run(*arguments):
    """Return (exit status, what was printed)."""
    out = StringIO()
    try:
        call_command("import_positions", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "statement.csv"
    path.write_text(TWO_ACCOUNTS)
    return str(path)


def test_the_command_is_a_dry_run_first(firm, household, file):
    before = count_rows()
    status, said = run(file, "--household", "reed", "--create-missing")
    assert (status, count_rows()) == (0, before)
    assert "Dry run" in said
    assert "VTI 10" in said
    status, said = run(file, "--household", "Reed", "--create-missing", "--apply")
    assert status == 0
    assert "Imported." in said
    assert set(books(firm)) == {"Z1", "Z2"}
    status, said = run(file, "--household", "Reed", "--create-missing", "--apply")
    assert status == 0
    assert "Nothing to do" in said


def test_the_command_names_every_refused_row_and_fails(household, file):
    before = count_rows()
    for extra in ([], ["--apply"]):
        status, said = run(file, *extra)
        assert status == 1
        assert "line 2: Z1: is not on record" in said
        assert "Nothing was written" in said
    assert count_rows() == before


def test_the_command_says_what_is_wrong_with_its_arguments(firm, household, file, tmp_path):
    with pytest.raises(CommandError, match="no household named 'Nobody'"):
        run(file, "--household", "Nobody")
    with pytest.raises(CommandError, match="no firm named 'Nowhere'"):
        run(file, "--firm", "Nowhere")
    with pytest.raises(CommandError, match="No such file"):
        run(str(tmp_path / "missing.csv"))
    junk = tmp_path / "junk.csv"
    junk.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(CommandError, match="junk.csv: unknown layout"):
        run(str(junk))
    make_firm("Second")
    with pytest.raises(CommandError, match="several firms.*Second"):
        run(file)
