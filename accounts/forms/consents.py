"""What people type about texts for clients, mandates, and answers that contradict each other."""

from typing import Any

from django import forms

from accounts.domain.disclosures import (
    DEFAULT_TEXTS,
    TEXT_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    DisclosureKind,
)
from accounts.operations.consents import NOTE_LENGTH_MAX
from accounts.queries.people import list_accounts

KIND_LABELS = {kind: text.title for kind, text in DEFAULT_TEXTS.items()}
AGREED_MAX = 50


class ConsentForm(forms.Form):
    """The texts that a client agrees to, each as `id:hash` of what was on the page."""

    agree = forms.MultipleChoiceField(error_messages={"required": "Tick what you agree to."})

    def __init__(self, *args: Any, offered: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["agree"]
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = [(value, value) for value in offered]
            field.error_messages["invalid_choice"] = (
                "A document has changed since you opened this page: read it again."
            )

    def read(self) -> list[tuple[int, str]]:
        """Return ids and hashes."""
        pairs = (value.split(":", 1) for value in self.cleaned_data["agree"])
        return [(int(number), text_hash) for number, text_hash in pairs]


class DisclosureForm(forms.Form):
    """The next version of a text."""

    kind = forms.ChoiceField(label="About", choices=list(KIND_LABELS.items()))
    title = forms.CharField(max_length=TITLE_LENGTH_MAX)
    text = forms.CharField(
        max_length=TEXT_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 18}),
        help_text="What clients read. A blank line begins a new paragraph.",
    )

    def clean_kind(self) -> DisclosureKind:
        """Return the kind."""
        return DisclosureKind(self.cleaned_data["kind"])


class PublishForm(forms.Form):
    """When a text takes effect."""

    effective_date = forms.DateField(
        label="Takes effect on", widget=forms.DateInput(attrs={"type": "date"})
    )


class MandateForm(forms.Form):
    """A client's standing order, as they signed it."""

    account = forms.ChoiceField()
    signed_by = forms.CharField(label="Signed by", max_length=120)
    signed_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    starts_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    ends_on = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The last day. Empty: until somebody ends it.",
    )
    trade_amount_max = forms.DecimalField(
        label="Largest single trade",
        required=False,
        max_digits=18,
        decimal_places=2,
        help_text="Empty: no limit.",
    )
    turnover_share_max = forms.DecimalField(
        label="Largest part of the account moved at once, in percent",
        required=False,
        max_digits=5,
        decimal_places=2,
        help_text="Empty: no limit.",
    )
    asset_classes = forms.CharField(
        label="Only these kinds of security",
        required=False,
        max_length=400,
        help_text="Codes of asset classes with blanks between, such as us-equity. Empty: all.",
    )
    text = forms.CharField(
        label="The document, word for word",
        max_length=TEXT_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 10}),
    )

    def __init__(self, household_id: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accounts = {
            str(account.public_id): account
            for account in list_accounts(household_id)
            if account.is_open
        }
        field = self.fields["account"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(key, account.name) for key, account in self.accounts.items()]

    def read(self) -> dict[str, Any]:
        """Return the columns of a mandate; percent becomes a fraction."""
        values = dict(self.cleaned_data)
        share = values["turnover_share_max"]
        return {
            **values,
            "account": self.accounts[values["account"]],
            "turnover_share_max": None if share is None else share / 100,
            "asset_classes": values["asset_classes"].split(),
        }


class ReviewForm(forms.Form):
    """What came of talking over answers that disagree."""

    note = forms.CharField(
        label="What came of it",
        max_length=NOTE_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="From then on trades may be proposed again.",
    )
