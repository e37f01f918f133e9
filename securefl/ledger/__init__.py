"""A member's ledger: signed events in a chain."""
