"""Certificates and signing keys: who a message is from.

``authority``     the federation's own certificate authority, which issues TLS certificates
``certificates``  a member's TLS files, checked before they are used
``signing``       Ed25519 signing keys, which decide who a message is from
"""
