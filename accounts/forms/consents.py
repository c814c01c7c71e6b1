"""What people type about texts for clients, and answers that contradict each other."""

from typing import Any

from django import forms

from accounts.domain.disclosures import (
    DEFAULT_TEXTS,
    TEXT_LENGTH_MAX,
    TITLE_LENGTH_MAX,
    DisclosureKind,
)
from accounts.operations.consents import NOTE_LENGTH_MAX

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


class ReviewForm(forms.Form):
    """What came of talking over answers that disagree."""

    note = forms.CharField(
        label="What came of it",
        max_length=NOTE_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="From then on trades may be proposed again.",
    )
