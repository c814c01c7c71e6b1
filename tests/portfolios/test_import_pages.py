"""Uploads: previewed, then imported; unreadable ones say why."""

import gzip

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import Account
from portfolios import models
from tests.people import make_household
from tests.portfolios.world import sign_in

pytestmark = pytest.mark.django_db

STATEMENT = (
    "Account Number,Account Name,Symbol,Description,Quantity,Last Price,Current Value,"
    "Cost Basis Total\n"
    "Z1,Individual,VTI,US SHARES,10,$100.00,$1000.00,$800.00\n"
)


def upload(client, name, content, file_name="statement.csv"):
    file = SimpleUploadedFile(file_name, content)
    return client.post(reverse(f"portfolios:{name}"), {"file": file})


def test_a_statement_is_previewed_and_then_imported(client, world):
    sign_in(client, world.admin)
    preview_url = upload(client, "import_positions", STATEMENT.encode()).url
    page = client.get(preview_url)
    assert [row.culprit for row in page.context["plan"].refused] == ["Z1"]
    chosen = {"household": str(world.household.public_id), "create_missing": "on"}
    page = client.get(preview_url, chosen)
    plan = page.context["plan"]
    assert (plan.refused, len(plan.accounts)) == ((), 1)
    assert not Account.objects.exists()
    answer = client.post(preview_url, {**chosen, "fingerprint": plan.fingerprint}, follow=True)
    assert "1 account taken on" in answer.content.decode()
    account = Account.objects.get()
    assert (account.number, account.household) == ("Z1", world.household)
    assert models.Holding.objects.get().quantity == 10
    # The upload is gone; uploading it again finds nothing to do.
    assert client.get(preview_url).status_code == 302
    assert (
        client.get(upload(client, "import_positions", STATEMENT.encode()).url)
        .context["plan"]
        .imported_before
    )


def test_an_import_that_changed_since_it_was_shown_is_shown_again(client, world):
    sign_in(client, world.admin)
    preview_url = upload(client, "import_positions", STATEMENT.encode()).url
    chosen = {"household": str(world.household.public_id), "create_missing": "on"}
    answer = client.post(preview_url, {**chosen, "fingerprint": "old"})
    assert answer.status_code == 409
    assert "once more" in answer.content.decode()
    assert not Account.objects.exists()


def test_a_refused_import_books_nothing(client, world):
    sign_in(client, world.admin)
    preview_url = upload(client, "import_positions", STATEMENT.encode()).url
    answer = client.post(preview_url, {"fingerprint": ""})
    assert answer.status_code == 422
    assert "is not on record" in answer.content.decode()


def test_households_of_others_are_no_choice(client, world):
    sign_in(client, world.admin)
    preview_url = upload(client, "import_positions", STATEMENT.encode()).url
    theirs = make_household(world.stranger.firm)
    chosen = {"household": str(theirs.public_id), "create_missing": "on", "fingerprint": ""}
    answer = client.post(preview_url, chosen)
    assert answer.status_code == 422
    assert not Account.objects.exists()


def test_an_upload_belongs_to_who_uploaded_it(client, world):
    sign_in(client, world.admin)
    preview_url = upload(client, "import_positions", STATEMENT.encode()).url
    answer = sign_in(client, world.reviewer).get(preview_url)
    assert answer.status_code == 302
    assert answer.url == reverse("portfolios:import_positions")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b,c\n1,2,3\n", "unknown layout"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "statement.csv"),
        (b"PK\x03\x04" + b"\x00" * 50, "statement.csv"),
        (b"x" * (25 * 1024 * 1024 + 1), "at most 25 MB"),
    ],
)
@pytest.mark.parametrize("name", ["import_positions", "import_prices"])
def test_a_file_that_cannot_be_read_says_why(client, world, name, content, said):
    said = "unknown header" if said == "unknown layout" and name == "import_prices" else said
    answer = upload(sign_in(client, world.admin), name, content)
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_price_file_too_long_for_a_page_is_left_to_the_command(client, world, monkeypatch):
    monkeypatch.setattr("portfolios.views.price_files.ROWS_MAX", 2)
    content = b"date,ticker,close\n2024-12-30,A,1\n2024-12-30,B,1\n2024-12-30,C,1\n"
    answer = upload(sign_in(client, world.admin), "import_prices", content)
    assert answer.status_code == 422
    assert "import_prices takes longer files" in answer.content.decode()


def test_no_file_at_all_says_so(client, world):
    answer = sign_in(client, world.admin).post(reverse("portfolios:import_positions"))
    assert answer.status_code == 422
    assert "required" in answer.content.decode()


def test_prices_are_previewed_and_then_recorded(client, world):
    content = gzip.compress(
        b"date,ticker,close\n2024-12-30,VTI,100\n2024-12-30,BND,72\n2024-12-31,NEW,5\n"
    )
    sign_in(client, world.admin)
    preview_url = upload(client, "import_prices", content, "p.csv.gz").url
    plan = client.get(preview_url).context["plan"]
    assert (plan.recorded, plan.unchanged) == (1, 1)
    assert [(row.line, row.culprit) for row in plan.refused] == [(4, "NEW")]
    assert client.post(preview_url, {}).status_code == 422
    assert models.Price.objects.count() == 1
    answer = client.post(preview_url, {"create_missing": "on"}, follow=True)
    assert "Recorded 2 prices" in answer.content.decode()
    assert models.Price.objects.count() == 3
