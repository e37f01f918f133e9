"""``[server]``: the address of the aggregator, and its limits of time."""

from __future__ import annotations

from pydantic import Field, field_validator

from securefl.config.names import Address, is_everywhere, join_host_port, split_host_port
from securefl.config.section import Section


class ServerSection(Section):
    """``[server]``: where the aggregator listens, where clients find it, and its limits."""

    address: Address = "127.0.0.1:7443"
    """Address that the server listens at; the host 0.0.0.0 or [::] is every address of its machine."""
    client_address: Address | None = None
    """Address that clients find the server at, if not ``address``; its host is in the server's certificate."""
    join_timeout_s: float = Field(default=600, gt=0)
    """Longest wait of the server for the whole roster."""
    round_timeout_s: float = Field(default=7200, gt=0)
    """Longest wait for contributions, training included; the round goes on without those that are later."""
    step_timeout_s: float = Field(default=60, gt=0)
    """Longest wait for each short step after that: commitments, votes, reveals, confirmations."""
    reconnect_grace_s: float = Field(default=15, ge=0)
    """Longest absence of a member that does not count as a loss."""

    @property
    def can_be_reached(self) -> bool:
        """Say if clients on other machines could know from this section where to connect."""
        host, port = split_host_port(self.client_address or self.address)
        return port > 0 and not is_everywhere(host)

    @property
    def reached_at(self) -> str:
        """Address that clients connect to; loopback for a server that listens everywhere and says no more."""
        host, port = split_host_port(self.client_address or self.address)
        return join_host_port("127.0.0.1" if is_everywhere(host) else host, port)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Hosts that the server's certificate is for: where clients find it, where it listens, and loopback."""
        hosts = (split_host_port(self.reached_at)[0], split_host_port(self.address)[0])
        loopback = ("localhost", "127.0.0.1", "::1")
        return tuple(dict.fromkeys(host for host in (*hosts, *loopback) if not is_everywhere(host)))

    @field_validator("client_address")
    @classmethod
    def _clients_can_connect_there(cls, address: str | None) -> str | None:
        if address is None:
            return None
        host, port = split_host_port(address)
        if not port or is_everywhere(host):
            raise ValueError(
                f"no client can connect to '{address}'; write the name or address of the server's machine, and a port"
            )
        return address
