"""What people type about programs: service tokens, webhooks and secrets."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.domain.scopes import SCOPE_WORDS, NetworkUnreadable, read_networks
from accounts.domain.secret_names import SECRET_LENGTH_MAX, is_secret_name
from accounts.domain.webhook_events import EVENT_NAMES
from accounts.domain.webhook_targets import URL_LENGTH_MAX

LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("180", "180 days"), ("365", "a year")]


class TokenForm(forms.Form):
    """A new service token."""

    name = forms.CharField(max_length=80, help_text="Which program it is for.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(str(scope), words) for scope, words in SCOPE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text="Nothing that is not ticked. No token can approve or reject.",
    )
    days = forms.ChoiceField(label="It ends after", choices=LIFETIMES, initial="90")
    networks = forms.CharField(
        label="Only from these networks",
        required=False,
        max_length=1_000,
        help_text="Such as 192.0.2.0/24; several with blanks between. Empty: from anywhere.",
    )

    def clean_networks(self) -> list[str]:
        """Return the networks.

        :raises ValidationError: naming the first that is none.
        """
        try:
            return read_networks(self.cleaned_data["networks"])
        except NetworkUnreadable as error:
            raise ValidationError(str(error)) from None


class WebhookForm(forms.Form):
    """A new address that is told of events."""

    url = forms.CharField(
        label="Address", max_length=URL_LENGTH_MAX, help_text="It begins with https://"
    )
    events = forms.MultipleChoiceField(
        choices=[(name, name) for name in EVENT_NAMES], widget=forms.CheckboxSelectMultiple
    )


class SecretForm(forms.Form):
    """A new value of a secret; it is never shown again."""

    name = forms.CharField(max_length=80, help_text="Such as broker.alpaca.key_id")
    value = forms.CharField(
        max_length=SECRET_LENGTH_MAX,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="It is kept encrypted, and nobody can read it back, you included.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_id": "secret_%s"})

    def clean_name(self) -> str:
        """Return the name.

        :raises ValidationError: for one that no secret has.
        """
        name = str(self.cleaned_data["name"]).strip()
        if not is_secret_name(name):
            raise ValidationError("Write small letters and digits in words joined by dots.")
        return name
