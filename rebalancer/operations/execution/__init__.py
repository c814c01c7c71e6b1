"""From approval to books: begin, form blocks, send slices, record what comes back, share out.

Every step leaves rows whose status is the next step's work list, and may run twice. A call to a
broker stands between two transactions, never inside one. Locks are taken in this order: proposal,
block, slice, order, books, switch, counters of limits; within a kind by id.
"""
