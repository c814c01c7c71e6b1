"""Tax law as a regime: plain rules of one country behind one shape (`TaxRegime`).

Callers ask `get_regime` and pass ledgers in; nothing else of the product knows a country.
"""

from portfolios.domain.tax.regime import TaxRegime
from portfolios.domain.tax.united_kingdom import UnitedKingdom
from portfolios.domain.tax.united_states import UnitedStates

_REGIMES: dict[str, TaxRegime] = {
    regime.code: regime for regime in (UnitedStates(), UnitedKingdom())
}


def get_regime(code: str) -> TaxRegime:
    """Return the tax law of a country by its code.

    :raises ValueError: when the code is not known.
    """
    if code not in _REGIMES:
        raise ValueError(f"no tax regime {code!r}; known are {', '.join(sorted(_REGIMES))}")
    return _REGIMES[code]
