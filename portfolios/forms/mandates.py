"""Shape and check what an admin types of a mandate that a client signed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.html import escape

from accounts.domain.disclosures import TEXT_LENGTH_MAX
from portfolios.forms import PercentField

if TYPE_CHECKING:
    from accounts.models import Account


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
    turnover_share_max = PercentField(
        label="Largest part of the account moved at once, in percent",
        required=False,
        help_text="Empty: no limit.",
    )
    asset_classes = forms.CharField(
        label="Only these kinds of security", required=False, max_length=400
    )
    text = forms.CharField(
        label="The document, word for word",
        max_length=TEXT_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 10}),
    )

    def __init__(
        self,
        *args: Any,
        accounts: "Sequence[Account]",
        class_codes: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.accounts = {str(account.public_id): account for account in accounts}
        field = self.fields["account"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(key, account.name) for key, account in self.accounts.items()]
        known = escape(", ".join(class_codes)) or "none yet"  # help texts are shown as they are
        classes = self.fields["asset_classes"]
        classes.help_text = f"Codes with blanks between. The firm has: {known}. Empty: all."

    def read(self) -> dict[str, Any]:
        """Return the columns of a mandate."""
        values = dict(self.cleaned_data)
        return {
            **values,
            "account": self.accounts[values["account"]],
            "asset_classes": values["asset_classes"].split(),
        }
