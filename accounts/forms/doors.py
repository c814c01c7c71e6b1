"""What people type, and what their devices send, at the doors: sign-in, second steps, lost ones."""

from typing import Any

from allauth.account.forms import LoginForm
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.core.exceptions import ValidationError

from accounts.operations.passwords import LENGTH_MAX
from accounts.operations.second_factors import spend_code
from robo.common import clock

NAME_LENGTH_MAX = 60
MISS = "That does not fit, or was used before."
# What the library raises when an answer of a passkey is not one at all.
NONSENSE = (KeyError, TypeError, ValueError, AttributeError)


class SignInForm(LoginForm):  # type: ignore[misc]
    """E-mail and password; the page and its users know the first field as `username`."""

    password = forms.CharField(max_length=LENGTH_MAX, strip=False, widget=forms.PasswordInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"] = forms.CharField(label="E-mail", max_length=254)

    def add_prefix(self, field_name: str) -> str:
        """Return the name under which a field is sent."""
        return "username" if field_name == "login" else str(super().add_prefix(field_name))


class CodeForm(AuthenticateForm):  # type: ignore[misc]
    """The code of an authenticator app, or a recovery code; looking at it spends it."""

    code = forms.CharField(
        max_length=64,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def clean_code(self) -> str:
        """Spend the code.

        :raises ValidationError: when it is none of this person's, or was used before.
        """
        code: str = self.cleaned_data["code"]
        factor = spend_code(user_id=self.user.pk, code=code, now=clock.now())
        if factor is None:
            raise ValidationError(MISS, code="incorrect")
        factor.user = self.user
        self.authenticator = factor
        return code


class StepUpCodeForm(CodeForm, ReauthenticateForm):  # type: ignore[misc]
    """The same, by somebody who is signed in."""

    def save(self) -> None:
        """Remember in the session that the person has just proved who they are."""
        ReauthenticateForm.save(self)


class _Passkey:
    """Takes whatever a browser sends as a passkey's answer: what cannot be read is a miss."""

    def clean_credential(self) -> Any:
        """Return the passkey whose answer this is.

        :raises ValidationError: when it is nobody's, or makes no sense.
        """
        try:
            return super().clean_credential()  # type: ignore[misc]
        except NONSENSE:
            raise ValidationError(MISS, code="incorrect") from None


class PasskeyForm(_Passkey, AuthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey as the second step of a sign-in."""


class PasskeySignInForm(_Passkey, LoginWebAuthnForm):  # type: ignore[misc]
    """A passkey as all there is of a sign-in."""


class StepUpPasskeyForm(_Passkey, ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey of somebody who is signed in."""


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey, which signs in without a password unless that is not wanted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].max_length = NAME_LENGTH_MAX
        self.fields["name"].widget.attrs["maxlength"] = str(NAME_LENGTH_MAX)
        self.fields["passwordless"].initial = True
        self.fields["passwordless"].label = "Sign in with it alone, without a password"
        self.fields["passwordless"].help_text = "It then asks for your finger, face or PIN."

    def clean_name(self) -> str:
        """Return what to call it."""
        return str(super().clean_name())[:NAME_LENGTH_MAX]

    def clean(self) -> dict[str, Any]:
        """Check what the browser sent.

        :raises ValidationError: when it makes no sense.
        """
        try:
            values: dict[str, Any] = super().clean()
        except NONSENSE:
            raise ValidationError(MISS, code="incorrect") from None
        return values


class ForgottenForm(forms.Form):
    """Where to send a link that sets a new password."""

    email = forms.CharField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )


class AddressForm(forms.Form):
    """Another address for somebody to sign in with."""

    email = forms.EmailField(label="New e-mail address", max_length=254)


class ResetForm(forms.Form):
    """Why a second step is to be removed."""

    reason = forms.CharField(
        max_length=200, help_text="Its owner and the journal get to read it, word for word."
    )
