"""Ledgers of a member: signed events in a chain, of a run and of a privacy budget.

``events``   what is recorded, and its one JSON form
``chain``    signed lines, each with the digest of the line before it
``charges``  the attempts that stay charged
``ledger``   the file: written before a member acts, and verified by whoever reads it
``budget_events``  charges of a privacy budget, and what leaves for them
``budget_state``   what was charged, as the events say it
``budget_ledger``  the ledger of a budget, outside every run
``budget_files``   where it lies
``anchors``        heads that others keep, against rollback and fork
``receipts``       the same as a file of the owner's, apart from the ledger
``row_marks``      marks of a data set's rows, by which a budget follows them
``fingerprint``    the name of a data set
"""
