"""Audit of what a run left behind: ledgers, certified sums, and the promise of differential privacy.

``run_audit``         the audit of a run's folder: whether what its members recorded holds together
``findings``          one thing that does not hold
``privacy_accounts``  what was promised, and what each client's charges cost
``privacy_audit``     whether the promise of differential privacy was kept, from the ledgers alone
``skellam_tails``     least epsilon of Skellam noise, by a test on two neighbouring sums
``privacy_results``   what results say of privacy, against the ledgers
``noise_audit``       charges against what the file makes members run, and that against the promise
``empirical``         attacks on the mechanism that is installed, beside what was charged for it
``fresh_processes``   first noise of new processes, which a fixed seed repeats
``budget_records``    ledgers of privacy budgets, found and verified
``live_budgets``      key, receipts and marks of rows beside a ledger that goes on
``privacy_words``     what a run promised, what its audit verified, and what it cannot see, in sentences
``certified_sums``    certificates of the sums that a ledger names
``budget_anchors``    heads of privacy budgets' ledgers in an audit
``ledger_order``      what may follow what in a ledger
"""
