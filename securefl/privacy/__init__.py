"""What a member can prove about its run; differential privacy's plans and accounting will stand beside it.

``events``   what happened, as values: never an epsilon computed by the program that is audited
``chain``    signed, hash-chained lines: every change to a ledger shows
``storage``  a file that only grows, durable when ``append`` returns
``ledger``   the ledger itself, for writing and for reading
"""
