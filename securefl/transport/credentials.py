"""A member's TLS files as grpc wants them: both ends show a certificate, and both check the other's.

The rule kept here: there is no channel and no port without mutual TLS, and the only authority that counts
is the federation's own, never the operating system's.
"""

from __future__ import annotations

from collections.abc import Callable

from securefl.identity.certificates import Credentials
from securefl.transport.grpc_tls import grpc


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Make what a client's channel shows and checks."""
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.authority,
        private_key=credentials.private_key,
        certificate_chain=credentials.certificate,
    )


def port_credentials(
    credentials: Credentials, *, begun: Callable[[], None] = lambda: None
) -> grpc.ServerCredentials:
    """Make what a server's port shows and checks: a peer without a certificate of the authority is refused.

    Args:
        credentials: The server's TLS files.
        begun: Told every handshake that begins, from a thread of grpc's.
    """
    files = grpc.ssl_server_certificate_configuration(
        [(credentials.private_key, credentials.certificate)], root_certificates=credentials.authority
    )

    def unchanged() -> None:
        """Asked at every handshake for new files; there are none."""
        begun()

    return grpc.dynamic_ssl_server_credentials(files, unchanged, require_client_authentication=True)
