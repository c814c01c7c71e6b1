"""Shape and check what people type about models, securities, prices, statements and wishes.

Forms never save, and they never query: what may be chosen is handed in by the view.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from accounts.domain.roles import TaxStatus, WishKind

UPLOAD_BYTES_MAX = 25 * 1024 * 1024
PERCENT = Decimal(100)
# Ids are looked up among what the view offers, so that a forged one is simply no choice.
Choices = Sequence[tuple[str, str]]


class ModelForm(forms.Form):
    """A new model portfolio."""

    name = forms.CharField(max_length=80)
    description = forms.CharField(max_length=300, required=False)


class PercentField(forms.DecimalField):
    """A share typed in percent; cleaned to a fraction, or None where nothing is typed."""

    def __init__(self, *, limit: int = 100, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=limit, decimal_places=6, max_digits=9, **kwargs)
        self.widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def clean(self, value: Any) -> Decimal | None:
        """Return the fraction."""
        percent = super().clean(value)
        return None if percent is None else percent / PERCENT

    def prepare_value(self, value: Any) -> Any:
        """Show a fraction as percent, and what was typed as it was typed."""
        if not isinstance(value, Decimal):
            return value
        text = f"{value * PERCENT:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class WeightPercentField(PercentField):
    """A target weight in a table of them; nothing typed is no weight."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widget.attrs |= {
            "class": "form-control form-control-sm text-end w-auto d-inline-block",
            "size": "10",
            "data-weight": "",
        }

    def clean(self, value: Any) -> Decimal:
        """Return the fraction."""
        return super().clean(value) or Decimal(0)


class DraftForm(forms.Form):
    """Target weights of a model, one field per security, in percent."""

    cash = WeightPercentField(required=False, label="Cash")
    reason = forms.CharField(
        max_length=300, label="Why this version", help_text="Read by whoever reviews it."
    )

    def __init__(self, *args: Any, symbols: Mapping[int, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.security_ids = list(symbols)
        for security_id, symbol in symbols.items():
            field = WeightPercentField(required=False, label=f"Weight of {symbol} in percent")
            field.widget.attrs["aria-label"] = field.label
            self.fields[f"security_{security_id}"] = field

    @property
    def weights(self) -> dict[int, Decimal]:
        """Return the weights above zero by security id, as fractions."""
        cleaned = {key: self.cleaned_data[f"security_{key}"] for key in self.security_ids}
        return {key: weight for key, weight in cleaned.items() if weight}


class RiskMappingForm(forms.Form):
    """Which model each risk score leads to."""

    def __init__(self, *args: Any, choices: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for score in range(1, 11):
            self.fields[f"score_{score}"] = forms.ChoiceField(
                choices=[("", "No model"), *choices], required=False, label=f"Risk score {score}"
            )


class ReturnForm(forms.Form):
    """Why a version goes back to its author."""

    reason = forms.CharField(max_length=300, required=False)


class SecurityForm(forms.Form):
    """What the firm says about a security."""

    symbol = forms.CharField(max_length=24)
    name = forms.CharField(max_length=120)
    asset_class = forms.TypedChoiceField(coerce=int)
    share_step = forms.DecimalField(
        max_digits=28,
        decimal_places=8,
        min_value=Decimal("0.00000001"),
        initial=Decimal(1),
        help_text="Smallest quantity that can be traded; 1 for whole shares.",
    )
    half_spread_bps = forms.DecimalField(
        max_digits=8,
        decimal_places=3,
        min_value=0,
        max_value=1000,
        initial=Decimal(2),
        label="Half spread",
        help_text="Half of the usual gap between bid and ask, in basis points.",
    )
    themes = forms.CharField(
        max_length=400,
        required=False,
        help_text="Themes a household may exclude, separated by commas, e.g. fossil-fuels.",
    )
    substitutes = forms.CharField(
        max_length=400,
        required=False,
        help_text="Symbols that may be bought in its place, best first, separated by commas.",
    )
    taxable_substitutes = forms.CharField(
        max_length=400,
        required=False,
        label="Substitutes in taxable accounts only",
        help_text="They come before the others; for instance the partner for a harvested loss.",
    )
    sheltered_substitutes = forms.CharField(
        max_length=400,
        required=False,
        label="Substitutes in sheltered accounts only",
        help_text="For tax-deferred and tax-free accounts; they come before the others there.",
    )
    identical_group = forms.SlugField(
        max_length=40,
        required=False,
        label="Substantially identical to",
        help_text="Securities with the same word here are one for wash sales, such as two share "
        "classes of a fund. Empty: only itself.",
    )
    sector = forms.CharField(max_length=60, required=False, help_text="For caps by sector.")
    issuer = forms.CharField(
        max_length=80, required=False, help_text="The company or fund house, for caps by issuer."
    )
    daily_volume = forms.DecimalField(
        max_digits=20,
        decimal_places=8,
        min_value=0,
        required=False,
        label="Daily volume",
        help_text="Shares that change hands on a usual day; large trades then count their impact.",
    )
    volatility = PercentField(
        required=False,
        limit=500,
        label="Volatility",
        help_text="Of its returns, percent a year. Used where prices do not go back far enough.",
    )
    qualified_yield = PercentField(
        required=False,
        label="Qualified income",
        help_text="Percent a year that is taxed like long-term gains, such as most dividends.",
    )
    ordinary_yield = PercentField(
        required=False,
        label="Ordinary income",
        help_text="Percent a year that is taxed like other income, such as interest.",
    )
    is_active = forms.BooleanField(required=False, initial=True, label="In use")

    def __init__(
        self, *args: Any, asset_classes: Choices, symbols: Mapping[str, int], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.symbols = symbols
        field = self.fields["asset_class"]
        if isinstance(field, forms.TypedChoiceField):
            field.choices = [("", "Choose…"), *asset_classes]

    def clean_symbol(self) -> str:
        """Return a new symbol in capitals; one that is kept, as it is."""
        symbol = str(self.cleaned_data["symbol"])
        return symbol if self.fields["symbol"].disabled else symbol.upper()

    def clean_themes(self) -> tuple[str, ...]:
        """Return the themes in lower case, each once; each at most 40 characters."""
        themes = tuple(dict.fromkeys(_split(self.cleaned_data["themes"].lower())))
        long = [theme for theme in themes if len(theme) > 40]
        if long:
            raise forms.ValidationError(f"“{long[0]}” is longer than 40 characters.")
        return themes

    def clean_substitutes(self) -> tuple[int, ...]:
        """Return the ids of the symbols named, in order, each once."""
        return self._read_symbols("substitutes")

    def clean_taxable_substitutes(self) -> tuple[int, ...]:
        """Return the ids of the symbols named, in order, each once."""
        return self._read_symbols("taxable_substitutes")

    def clean_sheltered_substitutes(self) -> tuple[int, ...]:
        """Return the ids of the symbols named, in order, each once."""
        return self._read_symbols("sheltered_substitutes")

    def clean_qualified_yield(self) -> Decimal:
        """Return the fraction; nothing typed is no income."""
        return self.cleaned_data["qualified_yield"] or Decimal(0)

    def clean_ordinary_yield(self) -> Decimal:
        """Return the fraction; nothing typed is no income."""
        return self.cleaned_data["ordinary_yield"] or Decimal(0)

    def _read_symbols(self, name: str) -> tuple[int, ...]:
        named = list(dict.fromkeys(_split(self.cleaned_data[name].upper())))
        unknown = [symbol for symbol in named if symbol not in self.symbols]
        if unknown:
            raise forms.ValidationError(f"Not on your list: {', '.join(unknown)}.")
        return tuple(self.symbols[symbol] for symbol in named)


class SecurityFilterForm(forms.Form):
    """What the list of securities is narrowed by."""

    text = forms.CharField(max_length=60, required=False, label="Symbol or name")
    asset_class = forms.TypedChoiceField(coerce=int, empty_value=None, required=False)
    all = forms.BooleanField(required=False, label="Also those not in use")

    def __init__(self, *args: Any, asset_classes: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["asset_class"]
        if isinstance(field, forms.TypedChoiceField):
            field.choices = [("", "All asset classes"), *asset_classes]


class ReleaseForm(forms.Form):
    """Why a refused price is right after all."""

    reason = forms.CharField(max_length=200)


class UploadForm(forms.Form):
    """A file to import, of a size that can be read while somebody waits."""

    file = forms.FileField(
        max_length=200, allow_empty_file=True, help_text="At most 25 MB; nothing is booked yet."
    )

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse empty and oversized files before they are read."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        size = file.size or 0
        if not size:
            raise forms.ValidationError("This file is empty.")
        if size > UPLOAD_BYTES_MAX:
            raise forms.ValidationError(
                f"This file has {size / 1024 / 1024:.1f} MB; at most 25 MB can be taken."
            )
        return file


class ImportTermsForm(forms.Form):
    """On what terms a statement is taken on."""

    household = forms.ChoiceField(
        required=False,
        label="Household of new accounts",
        help_text="Needed only for accounts that are not on record yet.",
    )
    create_missing = forms.BooleanField(
        required=False,
        label="Take on what is new",
        help_text="Opens unknown accounts, and takes unknown securities on as unclassified.",
    )
    tax_status = forms.ChoiceField(
        required=False,
        label="Tax status of new accounts",
        choices=[
            ("", "Guess from each account's name"),
            (TaxStatus.TAXABLE, "Taxable"),
            (TaxStatus.TAX_DEFERRED, "Tax-deferred"),
            (TaxStatus.TAX_FREE, "Tax-free"),
        ],
    )

    def __init__(self, *args: Any, households: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["household"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", "None"), *households]

    @property
    def chosen_tax_status(self) -> TaxStatus | None:
        """Return the tax status chosen, or None to guess."""
        chosen = self.cleaned_data["tax_status"]
        return TaxStatus(chosen) if chosen else None


class PriceTermsForm(forms.Form):
    """On what terms a price file is taken in."""

    create_missing = forms.BooleanField(
        required=False, label="Take on unknown symbols as unclassified securities"
    )
    skip_refused = forms.BooleanField(
        required=False, label="Record the good prices although some rows are refused"
    )


class WishForm(forms.Form):
    """Something a household asks of its managers: about a security, or about a whole theme."""

    kind = forms.ChoiceField(
        choices=[
            (WishKind.NEVER_BUY, "Never buy this security"),
            (WishKind.NEVER_SELL, "Never sell this security"),
            (WishKind.EXCLUDE, "Keep this theme out"),
        ],
        label="What",
    )
    # The value says which kind of thing it is: a theme may be spelt like a symbol.
    about = forms.ChoiceField(help_text="A security, or a theme at the end of the list.")
    note = forms.CharField(max_length=200, required=False, help_text="In your own words.")

    def __init__(self, *args: Any, symbols: Choices, themes: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["about"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [
                ("", "Choose…"),
                ("Securities", [(f"symbol:{symbol}", name) for symbol, name in symbols]),
                ("Themes", [(f"theme:{theme}", theme.replace("-", " ")) for theme in themes]),
            ]

    def clean(self) -> dict[str, Any]:
        """Set `subject`; what is kept out is a theme, what is never traded is a security."""
        cleaned = super().clean() or self.cleaned_data
        sort, _colon, subject = cleaned.get("about", "").partition(":")
        needed = "theme" if cleaned.get("kind") == WishKind.EXCLUDE else "symbol"
        if subject and sort != needed:
            words = "theme to keep out" if needed == "theme" else "security for this"
            self.add_error("about", f"Choose a {words}.")
        cleaned["subject"] = subject
        return cleaned


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
