"""Pages of models: written, reviewed and published in the browser."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from portfolios import models
from portfolios.operations import models as model_operations
from tests.portfolios.world import sign_in

pytestmark = pytest.mark.django_db


def test_a_model_is_written_reviewed_and_published_in_the_browser(client, world):
    sign_in(client, world.author)
    answer = client.post(reverse("portfolios:model_create"), {"name": "Bold", "description": ""})
    model = models.ModelPortfolio.objects.get(name="Bold")
    draft_url = reverse("portfolios:model_draft", args=[model.public_id])
    assert answer.url == draft_url
    weights = {f"security_{world.vti.pk}": "90.5", f"security_{world.bnd.pk}": "9.5", "cash": ""}
    answer = client.post(draft_url, {**weights, "reason": "growth"})
    version_url = reverse("portfolios:model_version", args=[model.public_id, 1])
    assert answer.url == version_url
    stored = {
        row.security.symbol: row.weight
        for row in models.ModelWeight.objects.filter(version__model=model)
    }
    assert stored == {"VTI": Decimal("0.905"), "BND": Decimal("0.095")}
    assert 'value="90.5"' in client.get(draft_url).content.decode()
    client.post(reverse("portfolios:model_submit", args=[model.public_id, 1]))
    publish_url = reverse("portfolios:model_publish", args=[model.public_id, 1])
    assert client.post(publish_url).status_code == 404, "who drafts models does not publish any"
    assert models.ModelVersion.objects.get(model=model).status == "IN_REVIEW"
    sign_in(client, world.reviewer)
    page = client.post(publish_url, follow=True).content.decode()
    assert "is now in force" in page
    assert models.ModelVersion.objects.get(model=model).status == "PUBLISHED"


@pytest.mark.parametrize(
    ("vti", "bnd", "cash", "said"),
    [
        ("60", "30", "", "10% is missing"),
        ("60", "50", "", "is too much"),
        ("abc", "40", "", "Enter a number"),
        ("-10", "110", "", "greater than or equal to 0"),
        ("NaN", "40", "", "Enter a number"),
        ("33.3333333", "66.6666667", "", "no more than 6 decimal places"),
        ("", "", "100", "holds no security"),
    ],
)
def test_a_draft_that_does_not_add_up_stays_on_the_page(client, world, vti, bnd, cash, said):
    url = reverse("portfolios:model_draft", args=[world.model.public_id])
    weights = {f"security_{world.vti.pk}": vti, f"security_{world.bnd.pk}": bnd, "cash": cash}
    answer = sign_in(client, world.author).post(url, {**weights, "reason": "x"})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert models.ModelVersion.objects.count() == 1


def test_a_version_in_review_cannot_be_edited_and_goes_back(client, world):
    version = model_operations.save_draft(
        model_id=world.model.pk,
        weights={world.vti.pk: Decimal(1)},
        cash_weight=Decimal(0),
        reason="",
        actor_id=world.author.pk,
    )
    model_operations.submit_for_review(version_id=version.pk, actor_id=world.author.pk)
    sign_in(client, world.author)
    draft_url = reverse("portfolios:model_draft", args=[world.model.public_id])
    version_url = reverse("portfolios:model_version", args=[world.model.public_id, 2])
    assert client.get(draft_url).url == version_url
    page = client.get(version_url).content.decode()
    assert "-60" not in page
    assert "−40.00" in page, "what publishing would change is shown"
    assert reverse("rebalancer:publish_preview", args=[version.pk]) in page
    client.post(reverse("portfolios:model_return", args=[world.model.public_id, 2]))
    assert client.get(draft_url).status_code == 200


def test_risk_scores_are_mapped_to_published_models(client, world):
    url = reverse("portfolios:risk_mapping")
    sign_in(client, world.admin)
    assert client.post(url, {"score_5": str(world.model.public_id)}).status_code == 302
    assert models.RiskMapping.objects.get().score == 5
    assert client.post(url, {"score_5": str(uuid4())}).status_code == 422
    assert client.post(url, {}).status_code == 302
    assert not models.RiskMapping.objects.exists()
