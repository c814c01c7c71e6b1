"""The demo firm as data: who works there, who its clients are, what they hold and want.

Invented from first to last: people, securities and prices. What does something with it is
`seed_demo`, through operations only.
"""

from dataclasses import dataclass
from decimal import Decimal

from accounts.domain.roles import TaxStatus, WishKind

FIRM_NAME = "Harbor Lane Advisory"
HISTORY_SESSIONS = 250
LIVE_SESSIONS = 30

ADVISORS = (
    ("ana@harborlane.example", "Ana Reyes"),
    ("ben@harborlane.example", "Ben Okafor"),
    ("chloe@harborlane.example", "Chloe Martin"),
)
ADMINS = (
    ("dev@harborlane.example", "Dev Patel"),
    ("erin@harborlane.example", "Erin Walsh"),
)

# By code: the name, and the order in lists.
ASSET_CLASSES = {
    "us-equity": ("US equity", 10),
    "intl-equity": ("International equity", 20),
    "emerging-equity": ("Emerging markets", 30),
    "real-estate": ("Real estate", 40),
    "us-bonds": ("US bonds", 50),
    "intl-bonds": ("International bonds", 60),
    "inflation-bonds": ("Inflation-linked bonds", 70),
}
# Where a tilt of an account takes its weight from, and where it puts it.
TILT = {"us-equity": 1.0, "us-bonds": -1.0}


@dataclass(frozen=True, slots=True)
class DemoSecurity:
    """A fund of the simulated market, with its price a year ago."""

    symbol: str
    name: str
    class_code: str
    price: str
    half_spread_bps: str = "2"
    share_step: str = "1"
    themes: tuple[str, ...] = ()
    substitutes: tuple[str, ...] = ()


SECURITIES = (
    DemoSecurity(
        "USTM",
        "Meridian US Total Market",
        "us-equity",
        "212.40",
        "0.5",
        themes=("fossil-fuels", "weapons"),
        substitutes=("USCS", "USLC"),
    ),
    DemoSecurity(
        "USLC",
        "Alder US Large Cap",
        "us-equity",
        "148.15",
        "0.8",
        themes=("fossil-fuels", "weapons"),
    ),
    DemoSecurity("USCS", "Meridian US Conscience", "us-equity", "96.30", "1.5"),
    DemoSecurity(
        "DEVX",
        "Meridian Developed Markets",
        "intl-equity",
        "54.85",
        "1",
        themes=("fossil-fuels",),
        substitutes=("DEVC",),
    ),
    DemoSecurity("DEVC", "Alder Developed Conscience", "intl-equity", "71.20", "2"),
    DemoSecurity(
        "EMKT",
        "Meridian Emerging Markets",
        "emerging-equity",
        "43.60",
        "2",
        themes=("fossil-fuels",),
        substitutes=("EMCS",),
    ),
    DemoSecurity("EMCS", "Alder Emerging Conscience", "emerging-equity", "38.75", "4"),
    DemoSecurity("REIT", "Meridian Real Estate", "real-estate", "88.10", "1.5"),
    DemoSecurity(
        "USAG", "Meridian US Aggregate Bond", "us-bonds", "73.90", "0.7", substitutes=("USGV",)
    ),
    DemoSecurity("USGV", "Alder US Government Bond", "us-bonds", "51.35", "1"),
    DemoSecurity("INTB", "Meridian International Bond", "intl-bonds", "49.20", "1"),
    DemoSecurity("TIPX", "Meridian Inflation-Linked Bond", "inflation-bonds", "108.60", "1.2"),
)

# What a model's weights leave is its cash weight.
MODELS = {
    "Conservative": {
        "USTM": "0.16",
        "DEVX": "0.08",
        "REIT": "0.03",
        "USAG": "0.45",
        "INTB": "0.14",
        "TIPX": "0.12",
    },
    "Balanced": {
        "USTM": "0.33",
        "DEVX": "0.16",
        "EMKT": "0.06",
        "REIT": "0.05",
        "USAG": "0.25",
        "INTB": "0.08",
        "TIPX": "0.06",
    },
    "Growth": {
        "USTM": "0.44",
        "DEVX": "0.22",
        "EMKT": "0.09",
        "REIT": "0.06",
        "USAG": "0.13",
        "INTB": "0.05",
    },
    "All equity": {"USTM": "0.54", "DEVX": "0.27", "EMKT": "0.12", "REIT": "0.06"},
}
MODEL_OF_SCORE = {
    1: "Conservative", 2: "Conservative", 3: "Conservative", 4: "Balanced", 5: "Balanced",
    6: "Balanced", 7: "Growth", 8: "Growth", 9: "All equity", 10: "All equity",
}  # fmt: skip

POLICIES: dict[str, dict[str, object]] = {
    "Daily look, two points": {"trigger": "THRESHOLD", "absolute_band": Decimal("0.02")},
    "Quarterly look, wider band": {
        "trigger": "COMBINED",
        "schedule": "QUARTERLY",
        "band_measure": "WIDER",
        "absolute_band": Decimal("0.03"),
        "relative_band": Decimal("0.20"),
    },
    "Monthly to target": {"trigger": "CALENDAR", "schedule": "MONTHLY"},
    "Daily look, 20% relative, to the edge": {
        "trigger": "THRESHOLD",
        "band_level": "SECURITY",
        "band_measure": "RELATIVE",
        "relative_band": Decimal("0.20"),
        "band_floor": Decimal("0.015"),
        "destination": "BAND_EDGE",
    },
    "Fridays, 5/25": {
        "trigger": "COMBINED",
        "schedule": "CRON",
        "cron_line": "0 16 * * 5",
        "band_measure": "NARROWER",
        "absolute_band": Decimal("0.05"),
        "relative_band": Decimal("0.25"),
    },
}

_CAREFUL = {
    "priority": "income", "loss_limit": "loss_10", "fall_reaction": "wait",
    "outcome_range": "range_2",
    "sure_or_chance": "sure", "experience": "savings", "uncertainty": "uneasy",
    "emergency_months": "months_6_12", "income_stability": "steady", "debt_service": "under_10",
    "goal_flexibility": "little", "horizon_years": "8", "investable_wealth": "900000",
    "liquidity_need": "40000",
}  # fmt: skip
_CALM = {
    **_CAREFUL, "priority": "balanced", "loss_limit": "loss_20", "outcome_range": "range_3",
    "sure_or_chance": "likely", "experience": "funds", "uncertainty": "neutral",
    "goal_flexibility": "some", "horizon_years": "15", "liquidity_need": "0",
}  # fmt: skip
_BOLD = {
    **_CALM, "priority": "growth", "loss_limit": "loss_30", "fall_reaction": "hold",
    "outcome_range": "range_4", "sure_or_chance": "even", "experience": "through_fall",
    "uncertainty": "at_ease", "emergency_months": "over_12", "income_stability": "secure",
    "goal_flexibility": "open", "horizon_years": "25",
}  # fmt: skip
TEMPERS = {"careful": _CAREFUL, "calm": _CALM, "bold": _BOLD}


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """One account: what it is, what it is worth, and which policy it follows."""

    name: str
    tax_status: TaxStatus
    value: int
    policy: str
    # Weight held in shares instead of bonds, so that the account soon leaves its bands.
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class DemoHousehold:
    """One household, with what is special about it."""

    name: str
    client: tuple[str, str]
    temper: str
    accounts: tuple[DemoAccount, ...]
    wishes: tuple[tuple[WishKind, str, str], ...] = ()
    # What happens on the last day before the demo begins, so that its work list has work.
    cash_need: tuple[str, int, str] | None = None  # (amount, days from then, purpose)
    deposit: str = ""
    is_late: bool = False  # comes from another adviser on that day
    # Holds shares that nobody has classified yet, which blocks the account.
    has_legacy: bool = False


JOINT, IRA, ROTH = TaxStatus.TAXABLE, TaxStatus.TAX_DEFERRED, TaxStatus.TAX_FREE
DAILY, QUARTERLY, MONTHLY, RELATIVE, FRIDAYS = POLICIES


def _couple(
    name: str,
    first: str,
    temper: str,
    value: int,
    *policies: str,
    tilt: float = 0.0,
    **more: object,
) -> DemoHousehold:
    """Return a household with a joint account, an IRA and, with three policies, a Roth IRA."""
    kinds = (("Joint account", JOINT, 1.0), ("Traditional IRA", IRA, 0.6), ("Roth IRA", ROTH, 0.25))
    return DemoHousehold(
        name=name,
        client=(f"{first.lower()}@{name.lower().replace(' ', '')}.example", f"{first} {name}"),
        temper=temper,
        accounts=tuple(
            DemoAccount(title, status, int(value * share), policy, tilt)
            for (title, status, share), policy in zip(kinds, policies, strict=False)
        ),
        **more,  # type: ignore[arg-type]
    )


HOUSEHOLDS = (
    _couple("Carter", "Mia", "calm", 480_000, DAILY, DAILY, QUARTERLY, tilt=0.028),
    _couple(
        "Lindqvist",
        "Olof",
        "bold",
        310_000,
        DAILY,
        RELATIVE,
        wishes=((WishKind.EXCLUDE, "fossil-fuels", "Our children asked for it"),),
    ),
    _couple(
        "Nakamura",
        "Yuki",
        "careful",
        620_000,
        DAILY,
        QUARTERLY,
        cash_need=("45000.00", 21, "Deposit on a flat"),
    ),
    _couple("Osei", "Kwame", "bold", 150_000, MONTHLY, MONTHLY, MONTHLY, deposit="18000.00"),
    _couple("Bianchi", "Carla", "calm", 205_000, FRIDAYS, DAILY),
    _couple(
        "Dubois",
        "Henri",
        "calm",
        890_000,
        DAILY,
        RELATIVE,
        wishes=((WishKind.NEVER_SELL, "USTM", "Inherited; never to be sold"),),
    ),
    _couple("Silva", "Rita", "careful", 260_000, DAILY, QUARTERLY, tilt=0.03),
    _couple("Novak", "Petra", "bold", 95_000, RELATIVE, DAILY),
    _couple("Haddad", "Sami", "calm", 340_000, DAILY, RELATIVE, FRIDAYS, tilt=0.09, is_late=True),
    _couple(
        "Whitfield",
        "June",
        "careful",
        1_250_000,
        DAILY,
        MONTHLY,
        wishes=((WishKind.NEVER_BUY, "EMKT", "No emerging markets, please"),),
    ),
    _couple("Fraser", "Iain", "calm", 175_000, DAILY, DAILY),
    _couple("Moreau", "Lucie", "bold", 430_000, DAILY, QUARTERLY, has_legacy=True),
)
