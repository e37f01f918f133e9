"""A member's TLS files as grpc wants them: both ends show a certificate, and both check the other's.

The rule kept here: there is no channel and no port without mutual TLS, and the only authority that counts
is the federation's own, never the operating system's.
"""

from __future__ import annotations

from securefl.identity.certificates import Credentials
from securefl.transport.grpc_tls import grpc


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Make what a client's channel shows and checks."""
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.authority,
        private_key=credentials.private_key,
        certificate_chain=credentials.certificate,
    )


def port_credentials(credentials: Credentials) -> grpc.ServerCredentials:
    """Make what a server's port shows and checks: a peer without a certificate of the authority is refused."""
    return grpc.ssl_server_credentials(
        [(credentials.private_key, credentials.certificate)],
        root_certificates=credentials.authority,
        require_client_auth=True,
    )
