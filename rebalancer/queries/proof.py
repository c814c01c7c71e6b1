"""The proof that orders, fills, decisions and books agree with each other."""

from portfolios.queries.books import Fault, run_fault_queries

_FAULTS: dict[str, str] = {
    "an order's fills do not add up": """
        SELECT o.id, format('order %%s: filled %%s for %%s, fills %%s for %%s', o.client_order_id,
                      o.filled_quantity, o.filled_amount, coalesce(f.quantity, 0),
                      coalesce(f.amount, 0))
        FROM rebalancer_order o
        LEFT JOIN (SELECT order_id, sum(quantity) AS quantity, sum(quantity * price) AS amount
                   FROM rebalancer_fill GROUP BY 1) f ON f.order_id = o.id
        WHERE o.firm_id = %(firm)s
          AND (o.filled_quantity <> coalesce(f.quantity, 0)
               OR abs(o.filled_amount - coalesce(f.amount, 0)) > 0.005
               OR o.filled_quantity > o.quantity
               OR (o.status = 'FILLED') <> (o.filled_quantity = o.quantity))""",
    "a fill is not booked as it was reported": """
        SELECT f.id, format('fill %%s of order %%s', f.broker_fill_id, o.client_order_id)
        FROM rebalancer_fill f
        JOIN rebalancer_order o ON o.id = f.order_id
        LEFT JOIN portfolios_journalentry e
               ON e.source = 'fill:' || f.broker || ':' || f.broker_fill_id
        LEFT JOIN portfolios_transfer t ON t.entry_id = e.id AND t.security_id = o.security_id
        WHERE o.firm_id = %(firm)s
          AND (e.id IS NULL OR e.account_id <> o.account_id OR e.kind <> o.side
               OR t.quantity IS DISTINCT FROM f.quantity)""",
    "an order's cash is not what was booked": """
        SELECT o.id, format('order %%s: filled for %%s, booked %%s', o.client_order_id,
                      o.filled_amount, coalesce(c.amount, 0))
        FROM rebalancer_order o
        LEFT JOIN (SELECT f.order_id, sum(t.quantity) AS amount
                   FROM rebalancer_fill f
                   JOIN portfolios_journalentry e
                     ON e.source = 'fill:' || f.broker || ':' || f.broker_fill_id
                   JOIN portfolios_transfer t ON t.entry_id = e.id AND t.security_id IS NULL
                   GROUP BY 1) c ON c.order_id = o.id
        WHERE o.firm_id = %(firm)s AND o.filled_amount <> coalesce(c.amount, 0)""",
    "a booked fill was never reported": """
        SELECT e.id, format('entry %%s (%%s)', e.id, e.source)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND e.kind IN ('BUY', 'SELL')
          AND NOT EXISTS (SELECT 1 FROM rebalancer_fill f
                          WHERE e.source = 'fill:' || f.broker || ':' || f.broker_fill_id)""",
    "an order without another person's approval": """
        SELECT o.id, format('order %%s', o.client_order_id)
        FROM rebalancer_order o
        JOIN rebalancer_proposal p ON p.id = o.proposal_id
        JOIN rebalancer_trade t ON t.id = o.trade_id
        LEFT JOIN rebalancer_decision d ON d.proposal_id = o.proposal_id
        WHERE o.firm_id = %(firm)s
          AND (d.id IS NULL OR NOT d.is_approved OR d.decided_by_id = p.proposed_by_id
               OR d.content_hash <> p.content_hash OR t.proposal_id <> p.id
               OR t.side <> o.side OR t.security_id <> o.security_id OR o.quantity > t.quantity)""",
    "more shares are on sale than are held": """
        SELECT o.account_id, format('account %%s, %%s: selling %%s of %%s', a.number, s.symbol,
                      sum(o.quantity - o.filled_quantity), coalesce(h.quantity, 0))
        FROM rebalancer_order o
        JOIN accounts_account a ON a.id = o.account_id
        JOIN portfolios_security s ON s.id = o.security_id
        LEFT JOIN portfolios_holding h
               ON h.account_id = o.account_id AND h.security_id = o.security_id
        WHERE o.firm_id = %(firm)s AND o.side = 'SELL'
          AND o.status IN ('NEW', 'SUBMITTING', 'SUBMITTED', 'PARTIALLY_FILLED')
        GROUP BY o.account_id, a.number, s.symbol, h.quantity
        HAVING sum(o.quantity - o.filled_quantity) > coalesce(h.quantity, 0)""",
    "a closed proposal has open orders": """
        SELECT p.id, format('proposal %%s is %%s', p.public_id, p.status)
        FROM rebalancer_proposal p
        WHERE p.firm_id = %(firm)s AND p.status NOT IN ('APPROVED', 'EXECUTING')
          AND EXISTS (SELECT 1 FROM rebalancer_order o WHERE o.proposal_id = p.id
                      AND o.status IN ('NEW', 'SUBMITTING', 'SUBMITTED', 'PARTIALLY_FILLED'))""",
}


def check_orders(firm_id: int) -> list[Fault]:
    """Return every place where a firm's orders, fills, decisions and entries disagree."""
    return list(run_fault_queries(_FAULTS, firm_id))
