"""Certificates and signing keys: who a message is from."""
