"""The one importer of grpc: TLS 1.3 or nothing.

The rule kept here: grpcio has no call that forbids TLS 1.2, but reads its 1.2 cipher suites from an
environment variable when it first needs them. The only suite offered here wants an RSA certificate, and
this project's certificates are P-256, so a 1.2 handshake finds no suite; TLS 1.3's suites are fixed and not
touched by it. The variable has to stand before grpc is imported, which is why every other module takes
``grpc`` and ``aio`` from this one. ``tests/transport/test_tls.py`` shows that a client of TLS 1.2 is
refused.

Reference: grpc, doc/environment_variables.md, GRPC_SSL_CIPHER_SUITES; RFC 8446, section 4.2.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from securefl.errors import IdentityError

SUITES_VARIABLE: Final = "GRPC_SSL_CIPHER_SUITES"
UNUSABLE_SUITE: Final = "ECDHE-RSA-AES128-GCM-SHA256"
"""A TLS 1.2 suite that a P-256 certificate cannot serve."""

if "grpc" in sys.modules and os.environ.get(SUITES_VARIABLE) != UNUSABLE_SUITE:
    raise IdentityError(
        "grpc was imported before securefl.transport, so TLS 1.2 can no longer be ruled out",
        hint=f"import securefl.transport first, or set {SUITES_VARIABLE}={UNUSABLE_SUITE}",
    )
os.environ[SUITES_VARIABLE] = UNUSABLE_SUITE
# grpc writes every failed handshake to stderr; what matters of it reaches people as our own sentences.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402 - the variable has to stand first
from grpc import aio  # noqa: E402 - the variable has to stand first

__all__ = ["SUITES_VARIABLE", "UNUSABLE_SUITE", "aio", "grpc"]
