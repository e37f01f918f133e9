"""Functions of the public Python API that put rooms together; ``securefl`` itself names all of it.

``adapters``     base models and adapters, for whoever serves them
``federations``  the members' folders, the forecast, and the tensors of a model of one's own
``reading``      results and ledgers that a run left behind
``auditing``     whether what a run left behind holds together
``findings``     one thing that does not hold
``privacy_accounts``  what was promised, and what each client's charges cost
``privacy_audit``  whether the promise of differential privacy was kept, from the ledgers alone
``privacy_results``  what results say of privacy, against the ledgers
``noise_audit``    charges against what the file makes members run, and that against the promise
``empirical``    attacks on the mechanism that is installed, beside what was charged for it
``budget_records``  ledgers of privacy budgets, found and verified
``privacy_words``  what a run promised, what its audit verified, and what it cannot see, in sentences
``certified_sums`` certificates of the sums that a ledger names
``budget_anchors`` heads of privacy budgets' ledgers in an audit
``ledger_order`` what may follow what in a ledger
``event_logs``   events as figures in TensorBoard or MLflow
``trackers``     the two of them, imported when they are used
"""
