"""The proof that blocks, orders, fills, decisions and books agree with each other."""

from portfolios.queries.books import Fault, run_fault_queries

_ORDER_FAULTS: dict[str, str] = {
    "an order's fills do not add up": """
        SELECT o.id, format('order %%s: filled %%s for %%s, fills %%s for %%s', o.client_order_id,
                      o.filled_quantity, o.filled_amount, coalesce(f.quantity, 0),
                      coalesce(f.amount, 0))
        FROM rebalancer_order o
        LEFT JOIN (SELECT order_id, sum(quantity) AS quantity, sum(amount) AS amount
                   FROM rebalancer_fill GROUP BY 1) f ON f.order_id = o.id
        WHERE o.firm_id = %(firm)s
          AND (o.filled_quantity <> coalesce(f.quantity, 0)
               OR o.filled_amount <> coalesce(f.amount, 0)
               OR o.filled_quantity > o.quantity
               OR (o.status = 'FILLED') <> (o.filled_quantity = o.quantity))""",
    "a fill is not booked as it was shared out": """
        SELECT f.id, format('fill %%s of order %%s: %%s for %%s', f.number, o.client_order_id,
                      f.quantity, f.amount)
        FROM rebalancer_fill f
        JOIN rebalancer_order o ON o.id = f.order_id
        LEFT JOIN rebalancer_fill r ON r.id = f.reverses_id
        LEFT JOIN portfolios_journalentry e ON e.id = f.entry_id
        LEFT JOIN portfolios_transfer t ON t.entry_id = e.id AND t.security_id = o.security_id
        LEFT JOIN portfolios_transfer c ON c.entry_id = e.id AND c.security_id IS NULL
        WHERE o.firm_id = %(firm)s
          -- What the books could not take is a break, which has its order's name.
          AND CASE WHEN e.id IS NULL
                   THEN NOT EXISTS (SELECT 1 FROM portfolios_break k
                                    WHERE k.account_id = o.account_id
                                      AND k.source LIKE 'order:' || o.client_order_id || ':%%')
                   WHEN f.reverses_id IS NULL
                   THEN e.account_id <> o.account_id OR e.kind <> o.side
                        OR t.quantity IS DISTINCT FROM f.quantity
                        OR coalesce(c.quantity, 0) <> f.amount
                   ELSE e.kind <> 'REVERSAL' OR e.reverses_id IS DISTINCT FROM r.entry_id
                        OR coalesce(c.quantity, 0) <> -f.amount END""",
    "a reversal is not of what it reverses": """
        SELECT f.id, format('fill %%s of order %%s', f.number, o.client_order_id)
        FROM rebalancer_fill f
        JOIN rebalancer_order o ON o.id = f.order_id
        JOIN rebalancer_fill r ON r.id = f.reverses_id
        WHERE o.firm_id = %(firm)s
          AND (r.order_id <> f.order_id OR r.reverses_id IS NOT NULL
               OR r.quantity <> -f.quantity OR r.amount <> -f.amount)""",
    "a booked fill was never reported": """
        SELECT e.id, format('entry %%s (%%s)', e.id, e.source)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND e.kind IN ('BUY', 'SELL')
          AND NOT EXISTS (SELECT 1 FROM rebalancer_fill f WHERE f.entry_id = e.id)""",
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
    # An order counts in the shares of its day: a split since then may be in the books already. A
    # reverse one has paid out less than a share step, which later splits may have multiplied.
    "more shares are on sale than are held": """
        SELECT account_id, format('account %%s, %%s: selling %%s of %%s', number, symbol,
                      sum(selling), held)
        FROM (SELECT o.account_id, a.number, s.symbol, coalesce(h.quantity, 0) AS held,
                     coalesce(s.share_step * x.fractions, 0) AS paid_out,
                     round((o.quantity - o.filled_quantity) * coalesce(x.factor, 1), 8) AS selling
              FROM rebalancer_order o
              JOIN rebalancer_proposal p ON p.id = o.proposal_id
              LEFT JOIN rebalancer_block b ON b.id = o.block_id
              JOIN accounts_account a ON a.id = o.account_id
              JOIN portfolios_security s ON s.id = o.security_id
              LEFT JOIN portfolios_holding h
                     ON h.account_id = o.account_id AND h.security_id = o.security_id
              LEFT JOIN LATERAL (
                  SELECT exp(sum(ln(c.new_shares::numeric / c.old_shares))) AS factor,
                         count(*) FILTER (WHERE c.new_shares < c.old_shares) * exp(sum(ln(
                             greatest(c.new_shares::numeric / c.old_shares, 1)))) AS fractions
                  FROM portfolios_corporateaction c
                  WHERE c.security_id = o.security_id AND c.status = 'APPLIED'
                    AND c.new_shares IS NOT NULL
                    AND c.effective_date > coalesce(b.session_date, p.price_date)) x ON TRUE
              WHERE o.firm_id = %(firm)s AND o.side = 'SELL'
                AND o.status IN ('NEW', 'SUBMITTING', 'SUBMITTED', 'PARTIALLY_FILLED')
                AND NOT EXISTS (SELECT 1 FROM portfolios_break k
                                WHERE k.account_id = o.account_id
                                  AND k.security_id = o.security_id
                                  AND k.closed_at IS NULL)) open_sales
        GROUP BY account_id, number, symbol, held
        HAVING sum(selling) > held + max(paid_out)""",
    "a closed proposal has open orders": """
        SELECT p.id, format('proposal %%s is %%s', p.public_id, p.status)
        FROM rebalancer_proposal p
        WHERE p.firm_id = %(firm)s AND p.status NOT IN ('APPROVED', 'EXECUTING')
          AND EXISTS (SELECT 1 FROM rebalancer_order o WHERE o.proposal_id = p.id
                      AND o.status IN ('NEW', 'SUBMITTING', 'SUBMITTED', 'PARTIALLY_FILLED'))""",
}

_BLOCK_FAULTS: dict[str, str] = {
    "an order is under way without a block": """
        SELECT o.id, format('order %%s is %%s', o.client_order_id, o.status)
        FROM rebalancer_order o
        WHERE o.firm_id = %(firm)s AND o.block_id IS NULL
          AND (o.status NOT IN ('NEW', 'CANCELLED') OR o.filled_quantity > 0)""",
    "a block is not what its statement says": """
        SELECT b.id, format('block %%s', b.public_id)
        FROM rebalancer_block b
        LEFT JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_array(o.client_order_id, o.quantity::text)
                             ORDER BY o.client_order_id COLLATE "C") AS members
            FROM rebalancer_order o WHERE o.block_id = b.id) m ON TRUE
        WHERE b.firm_id = %(firm)s
          AND (b.statement_hash <> encode(sha256(convert_to(
                   '["' || b.public_id || '", ' || b.security_id || ', "' || b.side || '", '
                   || b.statement::text || ']', 'UTF8')), 'hex')
               OR b.quantity <> (SELECT sum((row ->> 1)::numeric)
                                 FROM jsonb_array_elements(b.statement) row)
               OR (NOT b.is_dissolved AND m.members IS DISTINCT FROM b.statement)
               OR (b.is_dissolved AND m.members IS NOT NULL))""",
    "a block's orders are not of its security and side": """
        SELECT o.id, format('order %%s in block %%s', o.client_order_id, b.public_id)
        FROM rebalancer_order o JOIN rebalancer_block b ON b.id = o.block_id
        WHERE o.firm_id = %(firm)s
          AND (o.firm_id, o.security_id, o.side) <> (b.firm_id, b.security_id, b.side)""",
    "more was sent than a block is for": """
        SELECT b.id, format('block %%s of %%s: slices of %%s', b.public_id, b.quantity,
                      sum(s.quantity))
        FROM rebalancer_block b JOIN rebalancer_slice s ON s.block_id = b.id
        WHERE b.firm_id = %(firm)s
        GROUP BY b.id
        HAVING sum(s.quantity) > b.quantity
            OR (b.is_dissolved AND max(s.attempt_count) > 0)""",
    "what executions come to is not on record": """
        WITH
        -- What stands of each fill: as last corrected, less what was busted since.
        effects AS (
            SELECT f.slice_id, l.quantity - coalesce(b.quantity, 0) AS quantity,
                   (l.quantity - coalesce(b.quantity, 0)) * l.price AS value
            FROM rebalancer_execution f
            CROSS JOIN LATERAL (
                SELECT w.id, w.quantity, w.price FROM rebalancer_execution w
                WHERE (w.id = f.id OR w.refers_to_id = f.id) AND w.kind <> 'BUST'
                ORDER BY w.id DESC LIMIT 1) l
            LEFT JOIN LATERAL (
                SELECT sum(w.quantity) AS quantity FROM rebalancer_execution w
                WHERE w.refers_to_id = f.id AND w.kind = 'BUST' AND w.id > l.id) b ON TRUE
            WHERE f.kind = 'FILL' AND f.firm_id = %(firm)s),
        slices AS (
            SELECT s.id, s.block_id, s.client_order_id, s.filled_quantity,
                   s.broker_quantity, coalesce(sum(e.quantity), 0) AS quantity,
                   coalesce(sum(e.value), 0) AS value
            FROM rebalancer_slice s
            JOIN rebalancer_block b ON b.id = s.block_id AND b.firm_id = %(firm)s
            LEFT JOIN effects e ON e.slice_id = s.id
            GROUP BY s.id)
        SELECT id, format('slice %%s: filled %%s, executions %%s, the broker says %%s',
                          client_order_id, filled_quantity, quantity, broker_quantity)
        FROM slices
        WHERE filled_quantity <> quantity
        UNION ALL
        SELECT b.id, format('block %%s: filled %%s for %%s, executions %%s for %%s', b.public_id,
                            b.filled_quantity, b.filled_value, sum(s.quantity), sum(s.value))
        FROM rebalancer_block b JOIN slices s ON s.block_id = b.id
        GROUP BY b.id
        HAVING b.filled_quantity <> sum(s.quantity) OR b.filled_value <> sum(s.value)""",
    # As of the last sharing out: what came since is work that waits.
    "a block is not shared out as its statement says": """
        SELECT b.id, format('block %%s: %%s for %%s, shared out %%s for %%s', b.public_id,
                      b.shared_quantity, b.shared_value, sum(o.filled_quantity),
                      sum(o.filled_amount))
        FROM rebalancer_block b
        JOIN rebalancer_order o ON o.block_id = b.id
        JOIN portfolios_security s ON s.id = b.security_id
        WHERE b.firm_id = %(firm)s
        GROUP BY b.id, s.share_step
        HAVING sum(o.filled_quantity) <> least(b.shared_quantity, b.quantity)
            OR abs(sum(o.filled_amount) - b.shared_value * least(b.quantity, b.shared_quantity)
                   / nullif(b.shared_quantity, 0)) > 0.005
            OR max(abs(o.filled_quantity - o.quantity
                       * least(b.shared_quantity, b.quantity) / b.quantity)) > s.share_step
            OR max(abs(o.filled_amount - b.shared_value * o.filled_quantity
                       / nullif(b.shared_quantity, 0))) > 0.01""",
    "a block's statement is not in the journal": """
        SELECT b.id, format('block %%s', b.public_id)
        FROM rebalancer_block b
        WHERE b.firm_id = %(firm)s
          AND NOT EXISTS (SELECT 1 FROM accounts_auditentry e
                          WHERE e.firm_id = b.firm_id AND e.object_id = b.public_id::text
                            AND e.action = 'rebalancer.block.formed'
                            AND position(b.statement_hash IN e.detail::text) > 0)
          -- What was sent before there were blocks has slices with the orders' own ids.
          AND NOT EXISTS (SELECT 1 FROM rebalancer_slice s WHERE s.block_id = b.id
                          AND s.client_order_id = b.statement -> 0 ->> 0)""",
}


def check_orders(firm_id: int) -> list[Fault]:
    """Return every place where a firm's blocks, orders, fills, decisions and entries disagree."""
    return list(run_fault_queries(_ORDER_FAULTS | _BLOCK_FAULTS, firm_id))
