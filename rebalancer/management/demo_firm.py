"""The demo firm as data: who works there, who its clients are, what they hold and want.

Invented from first to last, like its market (`demo_market`). What does something with it is
`seed_demo`, through operations only.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from accounts.domain.disclosures import DisclosureKind
from accounts.domain.roles import TaxStatus, WishKind

FIRM_NAME = "Harbor Lane Advisory"
MANDATE_TEXT = (
    f"{FIRM_NAME} may buy and sell in this account without asking each time, so that it follows "
    "the portfolio we agreed on. I may end this at any time."
)
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
SUPERVISORS = (
    ("fay@harborlane.example", "Fay Lindqvist"),
    ("ian@harborlane.example", "Ian Brooks"),
)
MODEL_ADMIN = ("gus@harborlane.example", "Gus Almeida")
OPERATOR = ("hana@harborlane.example", "Hana Kim")

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
    "Mindful of tax": {
        "trigger": "THRESHOLD",
        "absolute_band": Decimal("0.02"),
        "willingness": Decimal("0.025"),
        "harvests_losses": True,
        "ticket_price": Decimal(1),
        "hold_for_long_term_days": 30,
    },
    "Close to the model's risk": {
        "trigger": "RISK",
        "drift_measure": "RISK",
        "tracking_error_max": Decimal("0.006"),
        "willingness": Decimal("0.025"),
        "ticket_price": Decimal(1),
    },
    "When it pays": {
        "trigger": "ECONOMIC",
        "willingness": Decimal("0.025"),
        "harvests_losses": True,
        "ticket_price": Decimal(1),
        "hurdle_bps": Decimal(1),
        "caps": [{"kind": "ASSET_CLASS", "name": "US equity", "max_weight": "0.65"}],
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
    is_discretionary: bool = True  # else each proposal waits for the client's yes


@dataclass(frozen=True, slots=True)
class DemoLot:
    """Shares that an account holds for a reason, beside those that are drawn by lot."""

    account: int  # place in the household, from 0
    symbol: str
    value: int
    age_days: int
    gain: float  # of the cost; below zero: a loss


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
    # Texts that the client has not agreed to yet: what is proposed for the household waits.
    unread: tuple[DisclosureKind, ...] = ()
    # Holds shares that nobody has classified yet, which blocks the account.
    has_legacy: bool = False
    taxes: dict[str, object] = field(default_factory=dict)
    lots: tuple[DemoLot, ...] = ()


JOINT, IRA, ROTH = TaxStatus.TAXABLE, TaxStatus.TAX_DEFERRED, TaxStatus.TAX_FREE
DAILY, QUARTERLY, MONTHLY, RELATIVE, FRIDAYS, MINDFUL, RISK, PAYING = POLICIES


def _couple(
    name: str,
    first: str,
    temper: str,
    value: int,
    *policies: str,
    tilt: float = 0.0,
    asked_first: bool = False,
    **more: object,
) -> DemoHousehold:
    """Return a household with a joint account, an IRA and, with three policies, a Roth IRA.

    `asked_first`: the joint account has no mandate.
    """
    kinds = (("Joint account", JOINT, 1.0), ("Traditional IRA", IRA, 0.6), ("Roth IRA", ROTH, 0.25))
    return DemoHousehold(
        name=name,
        client=(f"{first.lower()}@{name.lower().replace(' ', '')}.example", f"{first} {name}"),
        temper=temper,
        accounts=tuple(
            DemoAccount(
                title,
                status,
                int(value * share),
                policy,
                tilt,
                is_discretionary=not (asked_first and status is JOINT),
            )
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
    # Says yes or no to each proposal for the joint account.
    _couple(
        "Haddad",
        "Sami",
        "calm",
        340_000,
        DAILY,
        RELATIVE,
        FRIDAYS,
        tilt=0.09,
        asked_first=True,
        is_late=True,
    ),
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
    # One target over three accounts: bonds belong where their interest is not taxed.
    _couple(
        "Larsen",
        "Ingrid",
        "calm",
        520_000,
        MINDFUL,
        MINDFUL,
        MINDFUL,
        tilt=0.03,
        taxes={"is_together": True},
    ),
    # Gains realised on the way to target, losses carried in, and a budget for the rest of the year.
    _couple(
        "Weber",
        "Jonas",
        "bold",
        360_000,
        DAILY,
        RISK,
        tilt=0.08,
        taxes={
            "carried_short_loss": Decimal("1500.00"),
            "carried_long_loss": Decimal("4000.00"),
            "gains_budget": Decimal("15000.00"),
        },
    ),
    # A trap: the loss in one account would be denied for what another bought ten days ago.
    _couple(
        "Petrov",
        "Elena",
        "calm",
        280_000,
        MINDFUL,
        RISK,
        tilt=0.04,
        is_late=True,
        lots=(DemoLot(0, "USTM", 45_000, 90, -0.16), DemoLot(1, "USTX", 18_000, 10, 0.0)),
    ),
    # A loss that a substitute can stand in for while it is harvested; a text waits to be read.
    _couple(
        "Costa",
        "Bruno",
        "calm",
        240_000,
        MINDFUL,
        PAYING,
        is_late=True,
        unread=(DisclosureKind.HALTS,),
        lots=(DemoLot(0, "DEVX", 30_000, 150, -0.22),),
    ),
)
