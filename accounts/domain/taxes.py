"""What a household's tax return says, as the firm keeps it: rates, losses carried, a budget.

Only what a value may be is decided here; the law itself is in `portfolios.domain.tax`.
"""

from collections.abc import Mapping
from decimal import Decimal

from accounts.domain.roles import TaxCountry

DEFERRAL_YEARS_MAX = 100
AMOUNT_LIMIT = Decimal("1e12")
# By field: what it is called in a sentence. Fractions lie between 0 and 1.
FRACTIONS: Mapping[str, str] = {
    "short_term_rate": "short-term tax rate",
    "long_term_rate": "long-term tax rate",
    "deduction_rate": "tax rate on other income",
    "carried_share": "worth of a loss carried on",
    "discount_rate": "discount rate",
    "realised_share": "chance that a gain put off is taxed",
}
AMOUNTS: Mapping[str, str] = {
    "carried_short_loss": "short-term loss carried in",
    "carried_long_loss": "long-term loss carried in",
    "loss_cap": "loss set against income",
    "gains_budget": "gains budget",
}
MAY_BE_EMPTY = frozenset({"deduction_rate", "loss_cap", "gains_budget"})
# Every field of a household's taxes, in the order in which it is shown and written down.
TAX_FIELDS = (
    "tax_regime",
    *FRACTIONS,
    *AMOUNTS,
    "deferral_years",
    "is_together",
)


def find_tax_fault(name: str, value: object) -> str:
    """Return what is wrong with a value of a household's taxes, as a sentence; empty if nothing."""
    if name == "tax_regime":
        known = value in list(TaxCountry)
        return "" if known else f"No tax law is known for {value!r}."
    if name == "is_together":
        return "" if isinstance(value, bool) else "Accounts are managed together, or they are not."
    if value is None and name in MAY_BE_EMPTY:
        return ""
    if not isinstance(value, Decimal) or not value.is_finite():
        return f"The {_call(name)} {value} is not between 0 and {_get_limit(name)}."
    if not 0 <= value <= _get_limit(name):
        return f"The {_call(name)} {value} is not between 0 and {_get_limit(name)}."
    if name in AMOUNTS and value != value.quantize(Decimal("0.01")):
        return f"The {_call(name)} {value} has more than two decimals."
    return ""


def _call(name: str) -> str:
    return {**FRACTIONS, **AMOUNTS}.get(name, name.replace("_", " "))


def _get_limit(name: str) -> int:
    if name in FRACTIONS:
        return 1
    return DEFERRAL_YEARS_MAX if name == "deferral_years" else int(AMOUNT_LIMIT) - 1
