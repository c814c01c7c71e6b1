"""Which address shows which page of the facts."""

from django.urls import path, register_converter

from portfolios.views import (
    breaks,
    corporate_actions,
    dividends,
    mandates,
    models,
    price_files,
    prices,
    securities,
    statements,
    wishes,
)


class Sha256Converter:
    """The hash that an upload is found again by."""

    regex = "[0-9a-f]{64}"

    def to_python(self, value: str) -> str:
        """Return the hash as it stands."""
        return value

    def to_url(self, value: str) -> str:
        """Return the hash as it stands."""
        return value


register_converter(Sha256Converter, "sha256")

app_name = "portfolios"
urlpatterns = [
    path("models/", models.list_models, name="models"),
    path("models/new/", models.create_model, name="model_create"),
    path("models/risk-scores/", models.edit_risk_mapping, name="risk_mapping"),
    path("models/<uuid:public_id>/", models.show_model, name="model"),
    path("models/<uuid:public_id>/draft/", models.edit_draft, name="model_draft"),
    path(
        "models/<uuid:public_id>/versions/<int:number>/",
        models.show_version,
        name="model_version",
    ),
    path(
        "models/<uuid:public_id>/versions/<int:number>/submit/",
        models.submit_version,
        name="model_submit",
    ),
    path(
        "models/<uuid:public_id>/versions/<int:number>/return/",
        models.return_version,
        name="model_return",
    ),
    path(
        "models/<uuid:public_id>/versions/<int:number>/publish/",
        models.publish_version,
        name="model_publish",
    ),
    path("securities/", securities.list_securities, name="securities"),
    path("securities/new/", securities.create_security, name="security_create"),
    path("securities/<uuid:public_id>/", securities.show_security, name="security"),
    path("securities/<uuid:public_id>/edit/", securities.edit_security, name="security_edit"),
    path("corporate-actions/", corporate_actions.show_actions, name="actions"),
    path(
        "corporate-actions/<uuid:public_id>/confirm/",
        corporate_actions.confirm,
        name="action_confirm",
    ),
    path(
        "corporate-actions/<uuid:public_id>/withdraw/",
        corporate_actions.withdraw,
        name="action_withdraw",
    ),
    path("breaks/", breaks.list_breaks, name="breaks"),
    path("breaks/<uuid:public_id>/", breaks.show_break, name="break"),
    path("breaks/<uuid:public_id>/assign/", breaks.assign, name="break_assign"),
    path("breaks/<uuid:public_id>/book/", breaks.confirm, name="adjustment_confirm"),
    path("breaks/<uuid:public_id>/drop/", breaks.drop, name="adjustment_drop"),
    path("accounts/<uuid:public_id>/dividends/", dividends.show_choices, name="reinvestment"),
    path("prices/", prices.list_prices, name="prices"),
    path("prices/refused/", prices.list_refused, name="refused_prices"),
    path(
        "prices/refused/<int:refused_price_id>/release/",
        prices.release_price,
        name="release_price",
    ),
    path("import/positions/", statements.upload_positions, name="import_positions"),
    path(
        "import/positions/<sha256:sha256>/",
        statements.preview_positions,
        name="import_positions_preview",
    ),
    path("import/prices/", price_files.upload_prices, name="import_prices"),
    path(
        "import/prices/<sha256:sha256>/",
        price_files.preview_prices,
        name="import_prices_preview",
    ),
    path("people/households/<uuid:public_id>/mandates/new/", mandates.record, name="mandate_new"),
    path("households/<uuid:household_id>/wishes/", wishes.show_wishes, name="wishes"),
    path("households/<uuid:household_id>/wishes/<int:wish_id>/end/", wishes.end, name="wish_end"),
]
