"""Ledger of a member: signed events in a chain.

``events``   what is recorded, and its one JSON form
``chain``    signed lines, each with the digest of the line before it
``charges``  the attempts that stay charged
``ledger``   the file: written before a member acts, and verified by whoever reads it
"""
