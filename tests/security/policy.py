"""Who may do what at every address: the matrix of permissions as one table, for pages, API, admin.

A route that is not here fails `test_matrix`. To add one: its name, what its address is made of (in
order, by the names of `Scene.keys`), who gets in by GET and who by POST. Everybody else meets 404,
403, 401 or the sign-in page, and another firm's things always 404.
"""

from dataclasses import dataclass

CLIENTS = frozenset({"client", "spouse"})
ADVISORS = frozenset({"advisor", "colleague"})
EVERY_ADVISOR = ADVISORS | {"unassigned"}
SUPERVISOR, MODEL_ADMIN, ADMIN = (frozenset({x}) for x in ("supervisor", "model_admin", "admin"))
GRANTED = frozenset({"granted_operator"})
OPERATORS = GRANTED | {"operator"}
EVERY_CLIENT = CLIENTS | {"other_client"}
EVERYBODY = EVERY_CLIENT | EVERY_ADVISOR | SUPERVISOR | MODEL_ADMIN | ADMIN | OPERATORS
# Whoever is signed in at another firm, where that firm is not asked about.
STRANGERS = frozenset(
    {"stranger_client", "stranger_advisor", "stranger_admin", "stranger_supervisor"}
)
OUTSIDERS = frozenset({"disabled", "nobody"})
RELATIONS = (*sorted(EVERYBODY), *sorted(STRANGERS), *sorted(OUTSIDERS))

READERS = CLIENTS | ADVISORS | SUPERVISOR | GRANTED
RULE_READERS = EVERY_ADVISOR | SUPERVISOR | MODEL_ADMIN | ADMIN
NOBODY: frozenset[str] = frozenset()
# With no row named, a stranger does at home what the same role may do here.
ROLE_OF_STRANGER = {
    "stranger_client": "client",
    "stranger_advisor": "unassigned",
    "stranger_admin": "admin",
    "stranger_supervisor": "supervisor",
}
STAFF = EVERYBODY - EVERY_CLIENT


@dataclass(frozen=True)
class Rule:
    """Who gets in by which method; None: the method does not exist there."""

    keys: tuple[str, ...] = ()
    get: frozenset[str] | None = None
    post: frozenset[str] | None = None
    is_open: bool = False  # to people who are not signed in: the door itself

    def allows(self, relation: str, method: str) -> bool:
        """Return whether somebody of this relation gets in."""
        allowed = {"get": self.get, "post": self.post}[method]
        if allowed is None:
            return False
        if relation in STRANGERS and not self.names_row:
            return ROLE_OF_STRANGER[relation] in allowed
        return relation in allowed

    @property
    def names_row(self) -> bool:
        """Return whether the address names something of a firm."""
        return bool(set(self.keys) - {"sha256", "answer"})


def rule(*keys: str, get: frozenset[str] | None = None, post: frozenset[str] | None = None) -> Rule:
    """Return a rule; shorter to read in a long table."""
    return Rule(keys, get, post)


PROVERS = SUPERVISOR | ADMIN | OPERATORS
# `missing` and `none` name nothing: such a row only says that nobody gets in that way.
PEOPLE_ROUTES = {
    "home": rule(get=EVERYBODY),
    "accounts:journal": rule(get=EVERYBODY - OPERATORS),
    "accounts:risk_profile": rule("household", get=READERS | ADMIN),
    "accounts:risk_questionnaire": rule("household", get=CLIENTS, post=CLIENTS),
    "accounts:profile_review": rule("household", post=ADVISORS | SUPERVISOR),
    "accounts:documents": rule("household", get=READERS | ADMIN, post=CLIENTS),
    "accounts:mandate_end": rule("household", "account", post=CLIENTS | ADMIN),
    "accounts:disclosures": rule(get=EVERY_ADVISOR | SUPERVISOR | ADMIN),
    "accounts:disclosure_new": rule(get=ADMIN, post=ADMIN),
    "accounts:disclosure": rule("disclosure", get=EVERY_ADVISOR | SUPERVISOR | ADMIN),
    "accounts:disclosure_publish": rule("disclosure", post=SUPERVISOR | ADMIN),
    "accounts:people": rule(get=SUPERVISOR | ADMIN),
    "accounts:person_invite": rule(get=ADMIN, post=ADMIN),
    "accounts:person_link": rule("person", post=ADMIN),
    "accounts:person_disable": rule("person", post=ADMIN),
    "accounts:person_enable": rule("person", post=ADMIN),
    "accounts:person_role": rule("person", post=ADMIN),
    "accounts:households": rule(get=SUPERVISOR | ADMIN),
    "accounts:household_new": rule(get=ADMIN, post=ADMIN),
    "accounts:household": rule("household", get=SUPERVISOR | ADMIN, post=ADMIN),
    "accounts:advisor_assign": rule("household", post=ADMIN),
    "accounts:advisor_release": rule("household", "advisor", post=ADMIN),
    "accounts:person_address": rule("person", get=ADMIN, post=ADMIN),
    "accounts:person_sessions": rule("person", post=ADMIN),
    "accounts:reset_ask": rule("person", get=ADMIN, post=ADMIN),
    "accounts:resets": rule(get=SUPERVISOR | ADMIN),
    "accounts:reset_confirm": rule("none", post=NOBODY),
    "accounts:reset_withdraw": rule("none", post=NOBODY),
    "accounts:export_journal": rule(get=EVERYBODY - OPERATORS),
    "accounts:journal_proof": rule(get=PROVERS),
    "accounts:release_ask": rule(post=PROVERS),
    "accounts:release_confirm": rule(post=PROVERS),
    "accounts:tokens": rule(get=ADMIN),
    "accounts:token_create": rule(post=ADMIN),
    "accounts:token_revoke": rule("missing", post=NOBODY),
    "accounts:webhooks": rule(get=ADMIN),
    "accounts:webhook_add": rule(post=ADMIN),
    "accounts:webhook_remove": rule("missing", post=NOBODY),
    "accounts:delivery_replay": rule("missing", post=NOBODY),
    "accounts:secrets": rule(get=SUPERVISOR | ADMIN),
    "accounts:secret_set": rule(post=ADMIN),
    "accounts:secret_confirm": rule("missing", post=NOBODY),
    "accounts:secret_refuse": rule("missing", post=NOBODY),
    "accounts:support": rule(get=SUPERVISOR | OPERATORS),
    "accounts:support_ask": rule(post=OPERATORS),
    "accounts:support_answer": rule("grant", "answer", post=SUPERVISOR | GRANTED),
}
FACT_ROUTES = {
    "portfolios:models": rule(get=RULE_READERS),
    "portfolios:model_create": rule(get=MODEL_ADMIN, post=MODEL_ADMIN),
    "portfolios:risk_mapping": rule(get=ADMIN, post=ADMIN),
    "portfolios:model": rule("model", get=RULE_READERS),
    "portfolios:model_draft": rule("model", get=MODEL_ADMIN, post=MODEL_ADMIN),
    "portfolios:model_version": rule("model", "number", get=RULE_READERS),
    "portfolios:model_submit": rule("model", "number", post=MODEL_ADMIN),
    "portfolios:model_return": rule("model", "number", post=MODEL_ADMIN | ADMIN),
    "portfolios:model_publish": rule("model", "number", post=ADMIN),
    "portfolios:securities": rule(get=RULE_READERS),
    "portfolios:security_create": rule(get=ADMIN, post=ADMIN),
    "portfolios:security": rule("security", get=RULE_READERS),
    "portfolios:security_edit": rule("security", get=ADMIN, post=ADMIN),
    "portfolios:actions": rule(get=RULE_READERS, post=ADMIN),
    "portfolios:action_withdraw": rule("action", post=ADMIN),
    "portfolios:action_confirm": rule("action", post=SUPERVISOR | ADMIN),
    "portfolios:breaks": rule(get=EVERY_ADVISOR | SUPERVISOR | OPERATORS),
    "portfolios:break": rule(
        "break", get=ADVISORS | SUPERVISOR | GRANTED, post=ADVISORS | SUPERVISOR
    ),
    "portfolios:break_assign": rule("break", post=ADVISORS | SUPERVISOR),
    "portfolios:adjustment_confirm": rule("break", post=SUPERVISOR),
    "portfolios:adjustment_drop": rule("break", post=ADVISORS | SUPERVISOR),
    "portfolios:reinvestment": rule("account", get=READERS, post=CLIENTS | ADVISORS),
    "portfolios:prices": rule(get=EVERY_ADVISOR | SUPERVISOR | ADMIN),
    "portfolios:refused_prices": rule(get=EVERY_ADVISOR | SUPERVISOR | ADMIN),
    "portfolios:release_price": rule("refused", post=SUPERVISOR),
    "portfolios:import_positions": rule(get=ADMIN, post=ADMIN),
    "portfolios:import_positions_preview": rule("sha256", get=ADMIN, post=ADMIN),
    "portfolios:import_prices": rule(get=ADMIN, post=ADMIN),
    "portfolios:import_prices_preview": rule("sha256", get=ADMIN, post=ADMIN),
    "portfolios:mandate_new": rule("household", get=ADMIN, post=ADMIN),
    "portfolios:wishes": rule("household", get=READERS, post=CLIENTS | ADVISORS),
    "portfolios:wish_end": rule("household", "wish", post=CLIENTS | ADVISORS),
}
BOOK = EVERY_ADVISOR | SUPERVISOR | OPERATORS
DECIDERS = ADVISORS | SUPERVISOR
MARKET = EVERY_ADVISOR | SUPERVISOR | ADMIN
STOPPERS = EVERY_ADVISOR | SUPERVISOR | ADMIN | OPERATORS
DECISION_ROUTES = {
    "rebalancer:work_list": rule(get=BOOK),
    "rebalancer:approve_many": rule(post=EVERY_ADVISOR | SUPERVISOR),
    "rebalancer:households": rule(get=BOOK),
    "rebalancer:household": rule("household", get=READERS),
    "rebalancer:account": rule("account", get=READERS),
    # A client's own word on money counts in a simulated market only.
    "rebalancer:deposit": rule("account", post=ADVISORS),
    "rebalancer:withdraw": rule("account", post=ADVISORS),
    "rebalancer:cash_preview": rule("account", get=CLIENTS | ADVISORS),
    "rebalancer:add_cash_need": rule("account", post=CLIENTS | ADVISORS),
    "rebalancer:settle_cash_need": rule("account", "need", post=CLIENTS | ADVISORS),
    "rebalancer:look_now": rule("account", post=ADVISORS),
    "rebalancer:proposal": rule("proposal", get=READERS),
    "rebalancer:proposal_life": rule("proposal", get=DECIDERS | GRANTED),
    "rebalancer:answer": rule("proposal", post=CLIENTS),
    "rebalancer:decide": rule("proposal", post=DECIDERS),
    "rebalancer:remove_trades": rule("proposal", post=ADVISORS),
    "rebalancer:alternatives": rule("proposal", get=DECIDERS),
    "rebalancer:what_if": rule("proposal", get=ADVISORS),
    "rebalancer:use_alternative": rule("proposal", post=ADVISORS),
    # A client follows the orders of what was decided; this one waits.
    "rebalancer:progress": rule("proposal", get=READERS - CLIENTS),
    "rebalancer:orders": rule(get=BOOK),
    "rebalancer:cancel_order": rule("missing", get=NOBODY, post=NOBODY),
    "rebalancer:export_orders": rule(get=BOOK | EVERY_CLIENT),
    "rebalancer:export_holdings": rule("account", get=READERS),
    "rebalancer:execution": rule(get=RULE_READERS),
    "rebalancer:export_execution": rule(get=RULE_READERS),
    "rebalancer:export_order_costs": rule(get=BOOK),
    "rebalancer:calibrate_costs": rule(post=ADMIN),
    "rebalancer:fairness": rule(get=RULE_READERS),
    "rebalancer:export_fairness": rule(get=RULE_READERS),
    "rebalancer:controls": rule(get=STOPPERS),
    "rebalancer:reconciliation": rule(get=PROVERS),
    "rebalancer:reconcile": rule(post=PROVERS),
    "rebalancer:slice_answer": rule("none", post=NOBODY),
    "rebalancer:slice_confirm": rule("none", post=NOBODY),
    "rebalancer:report_resolve": rule("report", post=SUPERVISOR | OPERATORS),
    "rebalancer:broker": rule(get=ADMIN | OPERATORS, post=ADMIN),
    "rebalancer:stop": rule(post=STOPPERS),
    "rebalancer:stop_account": rule("account", get=READERS, post=READERS),
    "rebalancer:ask_to_clear": rule("missing", post=NOBODY),
    "rebalancer:clear_switch": rule("missing", post=NOBODY),
    "rebalancer:halt": rule(post=STOPPERS),
    "rebalancer:lift_halt": rule("missing", post=NOBODY),
    "rebalancer:limits": rule(get=ADMIN),
    "rebalancer:propose_limits": rule(post=ADMIN),
    "rebalancer:decide_limits": rule("missing", post=NOBODY),
    "rebalancer:policies": rule(get=RULE_READERS),
    "rebalancer:add_policy": rule(get=ADMIN, post=ADMIN),
    "rebalancer:explain_policy": rule(post=ADMIN),
    "rebalancer:policy": rule("policy", get=RULE_READERS, post=ADMIN),
    "rebalancer:assign_policy": rule("policy", post=ADMIN),
    "rebalancer:market": rule(get=MARKET),
    "rebalancer:move_market": rule(post=MARKET),
    "rebalancer:cycle_run": rule("run", get=MARKET),
    "rebalancer:publish_preview": rule("version", get=RULE_READERS),
}
PRICE_READERS = EVERY_ADVISOR | SUPERVISOR | ADMIN
API_ROUTES = {
    "api:me": rule(get=EVERYBODY),
    "api:households": rule(get=EVERYBODY),
    "api:household": rule("household", get=READERS | ADMIN),
    "api:documents": rule("household", get=READERS | ADMIN, post=CLIENTS),
    "api:accounts": rule(get=EVERYBODY),
    "api:account": rule("account", get=READERS),
    "api:holdings": rule("account", get=READERS),
    "api:checks": rule("account", get=READERS, post=ADVISORS),
    "api:deposits": rule("account", post=ADVISORS),
    "api:withdrawals": rule("account", post=ADVISORS),
    "api:proposals": rule(get=EVERYBODY),
    "api:proposal": rule("proposal", get=READERS),
    "api:approve": rule("proposal", post=DECIDERS),
    "api:reject": rule("proposal", post=DECIDERS),
    "api:remove_trades": rule("proposal", post=ADVISORS),
    "api:answer": rule("proposal", post=CLIENTS),
    "api:orders": rule(get=EVERYBODY),
    "api:cancel_order": rule("missing", post=NOBODY),
    "api:solve": rule(post=EVERYBODY),
    "api:prices": rule(get=PRICE_READERS, post=ADMIN),
    "api:price_history": rule("symbol", get=PRICE_READERS),
    "api:models": rule(get=RULE_READERS),
    "api:model": rule("model", get=RULE_READERS),
    # A client too: what is theirs may be stopped by them.
    "api:switches": rule(get=STOPPERS | EVERY_CLIENT, post=STOPPERS | EVERY_CLIENT),
    "api:limits": rule(get=RULE_READERS),
    "api:execution_costs": rule(get=RULE_READERS),
    "api:schema": rule(get=EVERYBODY),
    "api:docs": rule(get=EVERYBODY),
}
# What needs no sign-in, or is about one's own sign-in and nothing else: its own tests are in
# tests/accounts. `api:nothing` answers every address that does not exist.
OWN_SIGN_IN = frozenset(
    {
        "health",
        "ready",
        "api:nothing",
        "account_login",
        "account_logout",
        "account_reauthenticate",
        "account_reset_password",
        "account_reset_password_done",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_authenticate",
        "mfa_deactivate_totp",
        "mfa_edit_webauthn",
        "mfa_generate_recovery_codes",
        "mfa_index",
        "mfa_list_webauthn",
        "mfa_login_webauthn",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "mfa_remove_webauthn",
        "mfa_view_recovery_codes",
        "usersessions_list",
        "accounts:session_end",
        "accounts:sessions_end",
        "accounts:sign_in",
        "accounts:sign_out",
        "accounts:welcome",
        "accounts:password",
    }
)
ROUTES = {**PEOPLE_ROUTES, **FACT_ROUTES, **DECISION_ROUTES, **API_ROUTES}
