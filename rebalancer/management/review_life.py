"""Lets a firm for outside checks live: proposals, orders and blocks in every state, and the rest.

Each state has an account of its own; what others wait for comes last.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from accounts.domain.scopes import Scope
from accounts.operations import secrets, support, tokens
from portfolios.domain.kinds import ActionKind, BreakKind
from portfolios.domain.pricing import Quote
from portfolios.operations import breaks, corporate_actions, halts, models, prices
from rebalancer.domain.limits import SwitchScope
from rebalancer.management.review_firm import ReviewFirm
from rebalancer.operations import approvals, checks, controls, limits, orders, proposals
from rebalancer.operations.execution import deciding
from rebalancer.operations.execution.begin import begin_executions
from rebalancer.operations.execution.blocks import form_blocks
from rebalancer.operations.rehearsal import silent_broker, turned_dial
from rebalancer.queries import review

D = Decimal
LONG_BEFORE = timedelta(days=10)
# Accounts whose orders a broker is to see.
TRADING = ("filled", "rejected orders", "cancelled", "partly filled", "waiting", "sent")


class ReviewLife:
    """What happened in a firm before an outside check begins."""

    def __init__(self, firm: ReviewFirm) -> None:
        self.firm = firm
        self.named: dict[str, Any] = {}

    def live(self) -> None:
        """Go through two market days, and leave what is named in `named`.

        What a sender of any firm would move on (`leave_...`) comes when all firms have lived.
        """
        self.let_expire()
        self.let_orders_expire()
        for name in (*TRADING, "pending", "edited", "rejected", "approved", "open break"):
            self.firm.open_account(name)
        self.firm.open_account("filled for another", "second")
        self.firm.open_account("of another client", "second")
        self.look()
        self.trade()
        self.decide()
        self.put_on_record()
        self.set_controls()
        self.hand_out()

    # --- Proposals and orders ------------------------------------------------------------------

    def look(self, *, day: int = 1, before: timedelta = timedelta()) -> None:
        """Look at whatever is due, and propose."""
        firm_id, price_date = self.firm.firm_id, self.firm.days[day]
        now = self.firm.now - before
        checks.find_due_checks(firm_id=firm_id, price_date=price_date, now=now)
        proposals.propose(firm_id=firm_id, price_date=price_date, now=now)

    def approve(self, name: str, who: str = "supervisor") -> None:
        """Approve what an account's proposal says."""
        pending = review.get_pending(self.firm.accounts[name])
        approvals.approve_proposal(
            proposal_id=pending.proposal_id,
            user_id=self.firm.actor(who),
            content_hash=pending.content_hash,
            note=f"{self.firm.mark} approval",
            now=self.firm.now,
        )

    def let_expire(self) -> None:
        """Make a proposal that nobody decided in time."""
        self.firm.open_account("expired")
        self.look(day=0, before=LONG_BEFORE)
        approvals.expire_proposals(now=self.firm.now)

    def let_orders_expire(self) -> None:
        """Let a trading day pass with orders that a stop of the firm kept from being sent."""
        self.firm.open_account("expired orders")
        self.look(day=0)
        self.approve("expired orders")
        begin_executions(now=self.firm.now)
        form_blocks(now=self.firm.now)
        switch = controls.set_switch(
            scope=SwitchScope.FIRM,
            user_id=self.firm.actor("supervisor"),
            reason=f"{self.firm.mark} a doubt",
        )
        self.firm.set_prices(self.firm.days[1])
        orders.end_sessions(now=self.firm.now)
        controls.ask_to_clear(
            switch_id=switch.pk,
            user_id=self.firm.actor("admin"),
            reason=f"{self.firm.mark} the doubt is gone",
        )
        controls.clear_switch(switch_id=switch.pk, user_id=self.firm.actor("supervisor"))

    def trade(self) -> None:
        """Bring accounts' orders into every state that the paper broker can be asked for."""
        now = self.firm.now
        with turned_dial():
            self.approve("filled")
            self.approve("filled for another")
            for _round in range(6):
                orders.submit_orders(now=now)
                orders.poll_broker(now=now)
        with turned_dial(reject_share=1.0):
            self.approve("rejected orders")
            orders.submit_orders(now=now)
        with turned_dial(part_quantity=1):
            self.approve("cancelled")
            orders.submit_orders(now=now)
            for order_id in review.list_waiting_orders(self.firm.accounts["cancelled"]):
                deciding.cancel_order(
                    order_id=order_id,
                    user_id=self.firm.actor("advisor"),
                    reason=f"{self.firm.mark} the client called",
                    now=now,
                )
        self.stop_account("waiting")
        self.approve("waiting")
        orders.submit_orders(now=now)

    def leave_unknown(self) -> None:
        """Send one account's orders to a broker that does not answer; takes ten seconds."""
        self.firm.open_account("unknown")
        self.look()
        self.approve("unknown")
        with silent_broker() as was_told:
            if was_told:
                orders.submit_orders(now=self.firm.now)

    def decide(self) -> None:
        """Reject one proposal, and take a trade out of another."""
        now, mark = self.firm.now, self.firm.mark
        pending = review.get_pending(self.firm.accounts["rejected"])
        approvals.reject_proposal(
            proposal_id=pending.proposal_id,
            user_id=self.firm.actor("advisor"),
            content_hash=pending.content_hash,
            note=f"{mark} not now",
            now=now,
        )
        pending = review.get_pending(self.firm.accounts["edited"])
        proposals.remove_trades(
            proposal_id=pending.proposal_id,
            user_id=self.firm.actor("colleague"),
            trade_ids=pending.trade_ids[-1:],
            now=now,
        )

    def leave_part(self) -> None:
        """Send one account's orders, and hear of the first share."""
        self.approve("partly filled")
        with turned_dial(part_quantity=1):
            orders.submit_orders(now=self.firm.now)
            orders.poll_broker(now=self.firm.now)

    def leave_sent(self) -> None:
        """Send one account's orders without asking what became of them."""
        self.approve("sent")
        with turned_dial(part_quantity=1):
            orders.submit_orders(now=self.firm.now)

    def leave_approved(self) -> None:
        """Approve what the next sender will begin, of whichever firm it is."""
        self.approve("approved")

    # --- Facts ---------------------------------------------------------------------------------

    def put_on_record(self) -> None:
        """Leave needs, breaks, an action, a halt, a refused price and a draft that waits."""
        firm, mark = self.firm, self.firm.mark
        self.named["cash_needs"] = [
            firm.add_need("pending"),
            firm.add_need("of another client", "second"),
        ]
        security_id = firm.security_ids["RVIN"]
        self.named["breaks"] = {"OPEN": self.open_break(is_closed=False)}
        self.named["breaks"]["CLOSED"] = self.open_break(is_closed=True)
        action = corporate_actions.record_action(
            firm_id=firm.firm_id,
            details=corporate_actions.ActionDetails(
                security_id,
                ActionKind.CASH_DIVIDEND,
                firm.days[1] + timedelta(days=90),
                cash_per_share=D("0.1"),
                source=f"{mark} note of the issuer",
            ),
            market_date=firm.days[1],
            actor_id=firm.actor("admin"),
        )
        self.named["corporate_actions"] = [str(action.public_id)]
        halts.set_halt(
            security_id=security_id,
            user_id=firm.actor("supervisor"),
            reason=f"{mark} news is due",
            now=firm.now,
        )
        prices.record_prices(
            firm_id=firm.firm_id,
            quotes=[Quote("RVIN", firm.days[1], "4000000")],
            source=f"{mark} another feed",
            now=firm.now,
            actor_id=firm.actor("admin"),
        )
        version_id = firm.draft(D("0.01"))
        models.submit_for_review(version_id=version_id, actor_id=firm.actor("model_admin"))

    def open_break(self, *, is_closed: bool) -> str:
        """Find a difference with the broker, closed again where that is asked for."""
        firm = self.firm
        name = "pending" if is_closed else "open break"
        row = breaks.open_break(
            account_id=firm.accounts[name],
            security_id=firm.security_ids["RVBD"],
            kind=BreakKind.POSITION,
            source=f"review:{firm.accounts[name]}",
            ours=D(10),
            theirs=D(11),
            note=f"{firm.mark} nightly look",
        )
        if is_closed:
            breaks.close_break(
                break_id=row.pk,
                user_id=firm.actor("supervisor"),
                note=f"{firm.mark} a slip of theirs",
                now=firm.now,
                theirs=D(10),
            )
        return str(row.public_id)

    # --- Controls and keys ---------------------------------------------------------------------

    def stop_account(self, name: str) -> int:
        """Stop an account, as its client does; return the switch's id."""
        return controls.set_switch(
            scope=SwitchScope.ACCOUNT,
            user_id=self.firm.actor("client"),
            account_id=self.firm.accounts[name],
            reason=f"{self.firm.mark} please wait",
        ).pk

    def set_controls(self) -> None:
        """Stop a fund, and ask to let it go on; put limits in force, and propose others."""
        firm, mark = self.firm, self.firm.mark
        switch = controls.set_switch(
            scope=SwitchScope.SECURITY,
            user_id=firm.actor("supervisor"),
            security_id=firm.security_ids["RVIN"],
            reason=f"{mark} odd prices",
        )
        controls.ask_to_clear(
            switch_id=switch.pk, user_id=firm.actor("admin"), reason=f"{mark} explained"
        )
        for orders_max in (400, 300):
            row = limits.propose_limits(
                firm_id=firm.firm_id,
                user_id=firm.actor("admin"),
                values={"account_orders_max": orders_max},
                reason=f"{mark} fewer orders",
            )
            if orders_max == 400:
                limits.approve_limits(limit_set_id=row.pk, user_id=firm.actor("supervisor"))

    def hand_out(self) -> None:
        """Make a token of each scope and one of all, looks of operators, and kept secrets."""
        firm, mark = self.firm, self.firm.mark
        self.named["tokens"] = {
            name: tokens.create_token(
                firm_id=firm.firm_id,
                name=f"{mark} {name}",
                scopes=scopes,
                networks=[],
                expires_at=firm.now + timedelta(days=30),
                now=firm.now,
                actor_id=firm.actor("admin"),
            )[1]
            for name, scopes in {**{str(s): [s] for s in Scope}, "all": list(Scope)}.items()
        }
        household_id = firm.households["first"].pk
        grants = {
            who: support.request_support(
                operator_id=firm.actor(who),
                household_id=household_id,
                reason=f"{mark} a wrong figure",
                hours=24,
            ).pk
            for who in ("granted_operator", "operator")
        }
        support.allow_support(
            grant_id=grants["granted_operator"], user_id=firm.actor("supervisor"), now=firm.now
        )
        self.named["support_grants"] = {
            "ALLOWED": grants["granted_operator"],
            "ASKED": grants["operator"],
        }

    def keep_secrets(self) -> None:
        """Keep one secret that is in use and one that waits; for this a key must be set."""
        firm = self.firm
        for name in ("review.in_use", "review.waiting"):
            row = secrets.set_secret(
                firm_id=firm.firm_id,
                name=name,
                value=f"{firm.mark} secret",
                actor_id=firm.actor("admin"),
            )
            if name == "review.in_use":
                secrets.confirm_secret(secret_id=row.pk, actor_id=firm.actor("supervisor"))
            self.named.setdefault("secrets", {})[name] = str(row.public_id)
