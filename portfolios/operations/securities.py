"""Every write of securities: the firm's list, its asset classes, and taking on unknown symbols."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import IntegrityError, transaction

from accounts.operations.audit import record_audit_entry
from portfolios import models
from portfolios.domain.kinds import SubstituteUse
from portfolios.domain.money import ZERO
from portfolios.domain.symbols import is_symbol
from robo.common.errors import Conflict, Refused
from robo.common.fields import NUMBER_LIMIT

UNCLASSIFIED_CODE = "unclassified"
SPREAD_MAX_BPS = Decimal(1000)
# No security moves so much that this would not be a mistake: 500 % a year.
VOLATILITY_MAX = Decimal(5)
GROUP_PATTERN = re.compile(r"[-a-zA-Z0-9_]{0,40}")


class SecurityRefused(Refused):
    """What was said of a security does not hold; the text names the culprit."""


@dataclass(frozen=True, slots=True)
class SecurityDetails:
    """Everything a firm says about a security; substitutes best first.

    `daily_volume` is in shares, `volatility` and yields are fractions per year.
    """

    symbol: str
    name: str
    asset_class_id: int
    share_step: Decimal
    half_spread_bps: Decimal
    themes: tuple[str, ...] = ()
    substitute_ids: tuple[int, ...] = ()  # in any account
    taxable_substitute_ids: tuple[int, ...] = ()
    sheltered_substitute_ids: tuple[int, ...] = ()
    identical_group: str = ""
    sector: str = ""
    issuer: str = ""
    daily_volume: Decimal | None = None
    volatility: Decimal | None = None
    qualified_yield: Decimal = ZERO
    ordinary_yield: Decimal = ZERO
    is_active: bool = True

    @property
    def substitutes(self) -> tuple[tuple[int, SubstituteUse], ...]:
        """Return every substitute with the kind of account it is for, in order."""
        return (
            *((key, SubstituteUse.ANY) for key in self.substitute_ids),
            *((key, SubstituteUse.TAXABLE) for key in self.taxable_substitute_ids),
            *((key, SubstituteUse.SHELTERED) for key in self.sheltered_substitute_ids),
        )


@transaction.atomic
def create_asset_class(*, firm_id: int, code: str, name: str, rank: int, actor_id: int) -> int:
    """Add an asset class to a firm; return its id.

    :raises Conflict: when the code is taken.
    """
    try:
        with transaction.atomic():
            row = models.AssetClass.objects.create(firm_id=firm_id, code=code, name=name, rank=rank)
    except IntegrityError as error:
        raise Conflict(f"The asset class {code} exists already.") from error
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        action="portfolios.asset_class.created",
        object_id=code,
        summary=f"Added the asset class {name}",
        detail={"rank": rank},
    )
    return row.pk


@transaction.atomic
def create_security(*, firm_id: int, details: SecurityDetails, actor_id: int) -> int:
    """Add a security to a firm's list; return its id.

    :raises Conflict: when the firm has the symbol already.
    :raises SecurityRefused: naming what is wrong.
    """
    _check(firm_id, details, own_id=None)
    try:
        with transaction.atomic():
            security = models.Security.objects.create(firm_id=firm_id, **_columns(details))
    except IntegrityError as error:
        raise Conflict(f"{details.symbol} is already on your list.") from error
    _set_substitutes(security, details)
    _audit(security, actor_id, "created", f"Added {security.symbol}", _described(details))
    return security.pk


@transaction.atomic
def change_security(*, security_id: int, details: SecurityDetails, actor_id: int) -> None:
    """Change what the firm says about a security; what changed goes into the audit trail.

    :raises SecurityRefused: naming what is wrong; a symbol never changes.
    """
    security = models.Security.objects.select_for_update(no_key=True).get(pk=security_id)
    if details.symbol != security.symbol:
        raise SecurityRefused("A symbol cannot change: prices and lots are kept under it.")
    _check(security.firm_id, details, own_id=security.pk)
    before = _described(_read_details(security))
    for field, value in _columns(details).items():
        setattr(security, field, value)
    security.save(update_fields=list(_columns(details)))
    _set_substitutes(security, details)
    after = _described(details)
    changed = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    if changed:
        names = ", ".join(sorted(changed)).replace("_", " ")
        _audit(security, actor_id, "changed", f"Changed {security.symbol}: {names}", changed)


@transaction.atomic
def create_unclassified(*, firm_id: int, names: Mapping[str, str], actor_id: int) -> dict[str, int]:
    """Take on securities by symbol and name that nobody has classified yet; return their ids.

    They can be held and priced; accounts that hold one do not trade until it is classified.

    :raises SecurityRefused: when a symbol is too long or empty.
    """
    if not names:
        return {}
    for symbol in names:
        _check_symbol(symbol)
    asset_class, _is_new = models.AssetClass.objects.get_or_create(
        firm_id=firm_id,
        code=UNCLASSIFIED_CODE,
        defaults={"name": "Unclassified", "rank": 999, "is_unclassified": True},
    )
    # Somebody else may be taking the same symbol on; then theirs is as good.
    models.Security.objects.bulk_create(
        [
            models.Security(
                firm_id=firm_id, symbol=symbol, name=(name or symbol)[:120], asset_class=asset_class
            )
            for symbol, name in sorted(names.items())
        ],
        ignore_conflicts=True,
    )
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        action="portfolios.security.taken_on",
        object_id=UNCLASSIFIED_CODE,
        summary=f"Took on {len(names)} unclassified securities: {', '.join(sorted(names))}"[:300],
        detail={"symbols": sorted(names)},
    )
    return dict(
        models.Security.objects.filter(firm_id=firm_id, symbol__in=names).values_list(
            "symbol", "id"
        )
    )


def _check(firm_id: int, details: SecurityDetails, own_id: int | None) -> None:
    _check_symbol(details.symbol)
    if not details.name.strip():
        raise SecurityRefused(f"{details.symbol} needs a name.")
    if not models.AssetClass.objects.filter(firm_id=firm_id, pk=details.asset_class_id).exists():
        raise SecurityRefused("Choose one of your firm's asset classes.")
    step = details.share_step
    if (
        not step.is_finite()
        or not 0 < step < NUMBER_LIMIT
        or step != step.quantize(Decimal("0.00000001"))
    ):
        raise SecurityRefused(f"The share step {step} is not above zero with at most 8 decimals.")
    spread = details.half_spread_bps
    if not spread.is_finite() or not 0 <= spread <= SPREAD_MAX_BPS:
        raise SecurityRefused(f"A half spread of {spread} basis points is not believable.")
    _check_measures(details)
    _check_substitutes(firm_id, [key for key, _use in details.substitutes], own_id)


def _check_measures(details: SecurityDetails) -> None:
    if not GROUP_PATTERN.fullmatch(details.identical_group):
        raise SecurityRefused(
            f"The group {details.identical_group!r} has other characters than letters, digits, "
            "hyphens and underscores, or more than 40."
        )
    measures: tuple[tuple[str, Decimal | None, Decimal], ...] = (
        ("daily volume", details.daily_volume, NUMBER_LIMIT - 1),
        ("volatility", details.volatility, VOLATILITY_MAX),
        ("qualified yield", details.qualified_yield, Decimal(1)),
        ("ordinary yield", details.ordinary_yield, Decimal(1)),
    )
    for name, value, most in measures:
        if value is not None and not (value.is_finite() and 0 <= value <= most):
            raise SecurityRefused(f"A {name} of {value} is not between 0 and {most}.")


def _check_symbol(symbol: str) -> None:
    if not is_symbol(symbol):
        raise SecurityRefused(f"{symbol!r} is not a symbol: 1 to 24 characters without spaces.")


def _check_substitutes(firm_id: int, ids: Sequence[int], own_id: int | None) -> None:
    if own_id in ids:
        raise SecurityRefused("A security is no substitute for itself.")
    if len(set(ids)) != len(ids):
        raise SecurityRefused("A substitute is named twice.")
    found = models.Security.objects.filter(firm_id=firm_id, pk__in=ids).count()
    if found != len(ids):
        raise SecurityRefused("Choose substitutes among your firm's securities.")


def _columns(details: SecurityDetails) -> dict[str, object]:
    return {
        "symbol": details.symbol,
        "name": details.name.strip(),
        "asset_class_id": details.asset_class_id,
        "share_step": details.share_step,
        "half_spread_bps": details.half_spread_bps,
        "themes": list(details.themes),
        "identical_group": details.identical_group,
        "sector": details.sector.strip(),
        "issuer": details.issuer.strip(),
        "daily_volume": details.daily_volume,
        "volatility": details.volatility,
        "qualified_yield": details.qualified_yield,
        "ordinary_yield": details.ordinary_yield,
        "is_active": details.is_active,
    }


def _read_details(security: models.Security) -> SecurityDetails:
    substitutes: dict[str, list[int]] = {use: [] for use in SubstituteUse}
    rows = security.substitutes.order_by("rank").values_list("substitute_id", "used_in")
    for substitute_id, used_in in rows:
        substitutes[used_in].append(substitute_id)
    return SecurityDetails(
        symbol=security.symbol,
        name=security.name,
        asset_class_id=security.asset_class_id,
        share_step=security.share_step,
        half_spread_bps=security.half_spread_bps,
        themes=tuple(security.themes),
        substitute_ids=tuple(substitutes[SubstituteUse.ANY]),
        taxable_substitute_ids=tuple(substitutes[SubstituteUse.TAXABLE]),
        sheltered_substitute_ids=tuple(substitutes[SubstituteUse.SHELTERED]),
        identical_group=security.identical_group,
        sector=security.sector,
        issuer=security.issuer,
        daily_volume=security.daily_volume,
        volatility=security.volatility,
        qualified_yield=security.qualified_yield,
        ordinary_yield=security.ordinary_yield,
        is_active=security.is_active,
    )


def _described(details: SecurityDetails) -> dict[str, object]:
    return {
        "name": details.name.strip(),
        "asset_class": details.asset_class_id,
        "share_step": _plain(details.share_step),
        "half_spread_bps": _plain(details.half_spread_bps),
        "themes": list(details.themes),
        "substitutes": list(details.substitute_ids),
        "taxable_substitutes": list(details.taxable_substitute_ids),
        "sheltered_substitutes": list(details.sheltered_substitute_ids),
        "identical_group": details.identical_group,
        "sector": details.sector.strip(),
        "issuer": details.issuer.strip(),
        "daily_volume": _plain(details.daily_volume),
        "volatility": _plain(details.volatility),
        "qualified_yield": _plain(details.qualified_yield),
        "ordinary_yield": _plain(details.ordinary_yield),
        "is_active": details.is_active,
    }


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else f"{number.normalize():f}"


def _set_substitutes(security: models.Security, details: SecurityDetails) -> None:
    security.substitutes.all().delete()
    models.Substitute.objects.bulk_create(
        models.Substitute(
            security=security, substitute_id=substitute_id, rank=rank, used_in=used_in
        )
        for rank, (substitute_id, used_in) in enumerate(details.substitutes, start=1)
    )


def _audit(
    security: models.Security, actor_id: int, event: str, summary: str, detail: Mapping[str, object]
) -> None:
    record_audit_entry(
        firm_id=security.firm_id,
        actor_id=actor_id,
        action=f"portfolios.security.{event}",
        object_id=str(security.public_id),
        summary=summary[:300],
        detail=detail,
    )
