"""Shape and check how a broker is reached; which settings it takes is its connection's to say."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from accounts.domain.secret_names import SECRET_LENGTH_MAX
from rebalancer.domain.kinds import BrokerKind

TEXT_LENGTH_MAX = 120
ALPACA_DOMAIN = ".alpaca.markets"
NO_FIX_HOST = (
    "This installation allows no host for FIX yet: whoever runs it names the broker's in "
    "EVENKEEL_BROKER_HOSTS."
)
SECRET_NAMES: Mapping[BrokerKind, str] = {
    BrokerKind.ALPACA: "broker.alpaca.secret_key",
    BrokerKind.FIX: "broker.fix.password",
}


class ConnectionForm(forms.Form):
    """A broker without settings, as the paper broker is; the kind comes with the page."""

    kind = forms.ChoiceField(
        choices=[(kind.value, kind.value) for kind in BrokerKind], widget=forms.HiddenInput
    )
    secret_names = frozenset({"secret_name", "secret_value"})

    def read_settings(self) -> dict[str, Any]:
        """Return what is not secret; call it on a valid form."""
        left_out = {"kind", *self.secret_names}
        return {name: value for name, value in self.cleaned_data.items() if name not in left_out}


class SecretiveForm(ConnectionForm):
    """A broker with a key, which is kept among the firm's secrets."""

    secret_name = forms.CharField(
        max_length=80, required=False, help_text="Under which the firm's secrets keep the key."
    )
    secret_value = forms.CharField(
        max_length=SECRET_LENGTH_MAX,
        required=False,
        strip=False,
        label="Key",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="Kept encrypted and never shown; somebody else must confirm it. Empty: the one "
        "that is kept under this name.",
    )


class AlpacaForm(SecretiveForm):
    """An account at Alpaca."""

    key_id = forms.CharField(max_length=TEXT_LENGTH_MAX, label="Key id")
    url = forms.ChoiceField(label="Address")
    field_order = ("kind", "url", "key_id", "secret_name", "secret_value")

    def __init__(self, *args: Any, hosts: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["url"].choices = [  # type: ignore[attr-defined]
            (f"https://{host}", host) for host in hosts if host.endswith(ALPACA_DOMAIN)
        ]


class FixForm(SecretiveForm):
    """A session by FIX 4.4."""

    host = forms.ChoiceField()
    port = forms.IntegerField(min_value=1, max_value=65535)
    sender = forms.CharField(max_length=TEXT_LENGTH_MAX, label="Our name (SenderCompID)")
    target = forms.CharField(max_length=TEXT_LENGTH_MAX, label="Their name (TargetCompID)")
    username = forms.CharField(max_length=TEXT_LENGTH_MAX, required=False)
    heartbeat_seconds = forms.IntegerField(min_value=1, max_value=300, initial=30)
    has_tls = forms.BooleanField(required=False, initial=True, label="Encrypted (TLS)")
    has_unique_ids = forms.BooleanField(
        required=False,
        label="Refuses a second order under the same id",
        help_text="Without it, an order without an answer waits for two people.",
    )
    has_fractions = forms.BooleanField(required=False, label="Trades fractions of a share")
    has_blocks = forms.BooleanField(
        required=False, initial=True, label="Shares one order out among accounts"
    )
    field_order = (
        "kind", "host", "port", "sender", "target", "username", "heartbeat_seconds", "has_tls",
        "has_unique_ids", "has_fractions", "has_blocks", "secret_name", "secret_value",
    )  # fmt: skip

    def __init__(self, *args: Any, hosts: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Alpaca does not speak FIX: its own addresses are no choice here.
        own = [host for host in hosts if not host.endswith(ALPACA_DOMAIN)]
        field = self.fields["host"]
        field.choices = [(host, host) for host in own]  # type: ignore[attr-defined]
        if not own:
            field.help_text = NO_FIX_HOST


def build_form(
    kind: BrokerKind, data: Mapping[str, Any] | None, *, hosts: Sequence[str]
) -> ConnectionForm:
    """Return the form of a kind of broker, with the hosts that this installation allows."""
    initial = {"kind": kind.value, "secret_name": SECRET_NAMES.get(kind, "")}
    if kind is BrokerKind.ALPACA:
        return AlpacaForm(data, initial=initial, hosts=hosts)
    if kind is BrokerKind.FIX:
        return FixForm(data, initial=initial, hosts=hosts)
    return ConnectionForm(data, initial=initial)
