"""The register of what we tell clients about how the product behaves, and what backs each sentence.

A sentence about behaviour may stand in a shipped disclosure only if it is here. A test finds the
test that is named, and the page that shows the live figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence about behaviour: the test that backs it, and the page with its live figure."""

    claim_id: str
    sentence: str
    test: str  # a pytest node, from the root of the repository
    figure: str = ""  # the name of a page's address; "" where nothing can be counted


_ROAD, _RULES = "tests/rebalancer/test_road.py", "tests/rebalancer/test_controls_rules.py"
_ANSWERS, _CONSENTS = "tests/rebalancer/test_client_answers.py", "tests/accounts/test_consents.py"
_WISHES = "tests/rebalancer/test_engine_wishes.py"
_ALL = (
    Claim(
        "schedule",
        "Your accounts are looked at on the trading days that their policy names, and whenever "
        "money comes or goes.",
        "tests/rebalancer/test_domain.py::test_a_year_of_evenings_has_one_look_each_period",
        "rebalancer:work_list",
    ),
    Claim(
        "bands",
        "Trades are proposed when a part of your account has left the band around its target, "
        "when cash is short, or when the policy's schedule asks for it.",
        "tests/rebalancer/test_engine_examples.py::test_band_widths",
        "rebalancer:work_list",
    ),
    Claim(
        "person_approves",
        "No proposal is carried out before a person at the firm, other than who made it, has "
        "approved it.",
        "tests/rebalancer/test_domain.py::test_nothing_is_sent_without_an_approval_or_a_block",
        "rebalancer:work_list",
    ),
    Claim(
        "client_yes",
        "Where you have not signed a mandate, nothing is traded before you have said yes to the "
        "very trades that you were shown.",
        f"{_ANSWERS}::test_without_the_clients_yes_nothing_begins",
        "rebalancer:orders",
    ),
    Claim(
        "mandate",
        "Where you have signed a mandate, trades keep within its limits and dates.",
        f"{_ANSWERS}::test_a_mandate_holds_within_its_limits_and_dates",
        "rebalancer:orders",
    ),
    Claim(
        "no_retroactive",
        "A mandate covers only trades that were proposed after it was put on record.",
        f"{_ANSWERS}::test_a_new_mandate_approves_nothing_of_before",
    ),
    Claim(
        "consent_first",
        "Nothing is traded for your household before you have agreed to these documents as they "
        "stand.",
        f"{_ANSWERS}::test_without_consent_to_the_words_in_force_nothing_begins",
        "rebalancer:orders",
    ),
    Claim(
        "change_notice",
        "A new version of this document is announced to you before it takes effect, and until "
        "then your agreement to the present one holds.",
        f"{_CONSENTS}::test_a_new_version_is_announced_and_the_old_consent_holds_until_then",
    ),
    Claim(
        "whole_lots",
        "Orders of several clients for the same security go out as one, and each gets the same "
        "average price.",
        "tests/rebalancer/test_execution.py::"
        "test_orders_of_many_accounts_go_as_one_and_share_one_price",
        "rebalancer:orders",
    ),
    Claim(
        "spread",
        "An order is not sent when its price would lie outside the collar around the last price.",
        f"{_RULES}::test_an_order_whose_spread_alone_leads_beyond_the_collar_is_refused",
        "rebalancer:controls",
    ),
    Claim(
        "cost_shown",
        "Each proposal shows what trading costs and what tax it is expected to cause.",
        f"{_ANSWERS}::test_the_client_reads_why_and_what_it_costs",
    ),
    Claim(
        "wash",
        "Under US law, a loss that a purchase in a retirement account of your household would "
        "wash is counted as lost.",
        "tests/rebalancer/test_books_loading.py::"
        "test_a_loss_washed_by_an_ira_is_lost_and_the_ira_keeps_its_cost",
    ),
    Claim(
        "wash_ours_only",
        "Trades at other firms, and in accounts that we do not know of, are not seen.",
        "tests/rebalancer/test_books_loading.py::test_households_do_not_wash_each_others_losses",
    ),
    Claim(
        "wishes",
        "A security that you asked us never to sell is not sold, and the others give way.",
        f"{_WISHES}::test_never_sell_makes_the_others_give_way",
    ),
    Claim(
        "unclassified",
        "An account that holds something nobody has classified is not traded until somebody has.",
        f"{_WISHES}::test_an_unclassified_holding_blocks",
        "rebalancer:work_list",
    ),
    Claim(
        "halt_notice",
        "When trading is stopped or goes on again, clients and advisors are told at the same time.",
        "tests/accounts/test_notices.py::test_clients_and_staff_are_told_of_a_stop_at_one_moment",
        "rebalancer:controls",
    ),
    Claim(
        "own_stop",
        "You can stop the trading of your own account at any time.",
        "tests/rebalancer/test_controls_pages.py::"
        "test_a_client_stops_the_own_account_and_two_people_let_it_go_on",
        "rebalancer:controls",
    ),
    Claim(
        "two_people",
        "Letting trading go on takes two different people.",
        "tests/rebalancer/test_controls_people.py::"
        "test_clearing_takes_two_people_and_the_setter_may_be_one",
        "rebalancer:controls",
    ),
    Claim(
        "profile_age",
        "When your risk profile is too old, or its answers contradict each other and nobody has "
        "talked them over with you, no trades are proposed.",
        f"{_ANSWERS}::test_an_old_or_contradictory_profile_stops_proposals",
        "rebalancer:work_list",
    ),
)
CLAIMS: Mapping[str, Claim] = {claim.claim_id: claim for claim in _ALL}
