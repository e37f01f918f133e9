"""The server's knowledge of a federation: its own file, and no more.

The rule kept here: the server gets only what it needs to route and to add: no rank, no label, no bound and no secret.

Terms: the *roster* is the list of members in a fixed order.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from securefl.config.names import Name
from securefl.config.section import Section as ConfigSection
from securefl.config.server import ServerSection
from securefl.config.trained_sides import in_odd_turn
from securefl.crypto.schemes import Scheme, profile_named
from securefl.crypto.thresholds import RosterConstants
from securefl.crypto.wireform import wire_form
from securefl.errors import AuthenticationError, IdentityError, SecureFLError
from securefl.protocol.file_format import file_text, parsed
from securefl.protocol.openings import MAX_OPENINGS
from securefl.protocol.sections import Section


def from_hex(value: object) -> object:
    """Bytes of hexadecimal digits, for files; whatever is no text is left as it is."""
    return bytes.fromhex(value) if isinstance(value, str) else value


Digest = Annotated[
    bytes,
    BeforeValidator(from_hex),
    Field(min_length=32, max_length=32),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""32 bytes, written as hexadecimal digits."""


class RosterEntry(ConfigSection):
    """A member as the server knows it.

    Attributes:
        id: Name within the federation.
        signing_key: Ed25519 public key (32 bytes).
        certificate: SHA-256 of its TLS certificate in DER (32 bytes); it routes, it does not authenticate content.
    """

    id: Name
    signing_key: Digest
    certificate: Digest


class SectionEntry(ConfigSection):
    """A section of every contribution to some rounds: ``bfv`` or, not encrypted, ``none``; and its ciphertexts."""

    scheme: Scheme
    ciphertexts: int = Field(ge=1)


Sections = Annotated[tuple[SectionEntry, ...], Field(min_length=1)]
"""Sections of one contribution."""


class ServerView(ConfigSection):
    """A federation as the server knows it.

    Attributes:
        federation_digest: Digest of the members' federation file (32 bytes).
        name: The federation's name.
        min_clients: m, the smallest cohort.
        max_colluders: c_max, the number of members that may collude with the server.
        rounds: Number of rounds.
        profile: Name of the encryption's profile.
        openings: Sections of a contribution in each of the rounds that come before training; what they sum, the
            server does not know.
        round_one: The same in round 1.
        every: Rounds in a row that train one side of an adapter, which are a turn; 1 where sides have no turns.
        odd_turns: Sections in later rounds of odd turns.
        even_turns: The same in rounds of even ones.
        roster: All members, in order.
        server: Address and limits.
    """

    federation_digest: Digest
    name: Name
    min_clients: int = Field(ge=3)
    max_colluders: int = Field(ge=1)
    rounds: int = Field(ge=1)
    profile: str
    openings: Annotated[tuple[Sections, ...], Field(max_length=MAX_OPENINGS)]
    round_one: Sections
    every: int = Field(ge=1)
    odd_turns: Sections
    even_turns: Sections
    roster: tuple[RosterEntry, ...]
    server: ServerSection

    @property
    def constants(self) -> RosterConstants:
        """Constants of the roster.

        Raises:
            ConfigError: if the numbers do not fit each other.
        """
        return RosterConstants(len(self.roster), self.min_clients, self.max_colluders)

    @property
    def cohort(self) -> tuple[str, ...]:
        """Every member's id, in the roster's order."""
        return tuple(entry.id for entry in self.roster)

    @property
    def first_round(self) -> int:
        """Number of the first round: 1 without openings, 0 or less with them."""
        return 1 - len(self.openings)

    def sections(self, round_number: int) -> tuple[Section, ...]:
        """Sections of a contribution to this round."""
        profile = profile_named(self.profile)
        return tuple(
            Section(wire_form(entry.scheme, profile), entry.ciphertexts)
            for entry in self._entries(round_number)
        )

    def _entries(self, round_number: int) -> tuple[SectionEntry, ...]:
        if round_number < 1:
            return self.openings[round_number - self.first_round]
        if round_number == 1:
            return self.round_one
        return self.odd_turns if in_odd_turn(round_number, every=self.every) else self.even_turns

    def entry(self, name: str) -> RosterEntry:
        """One entry of the roster.

        Raises:
            AuthenticationError: if there is no such member.
        """
        for entry in self.roster:
            if entry.id == name:
                return entry
        raise AuthenticationError(f"{name} is not in the roster")

    def by_certificate(self, fingerprint: bytes) -> RosterEntry:
        """The member that a TLS certificate (SHA-256 of its DER, 32 bytes) belongs to.

        Raises:
            AuthenticationError: if no member has this certificate.
        """
        for entry in self.roster:
            if entry.certificate == fingerprint:
                return entry
        raise AuthenticationError(
            "the certificate belongs to no member of this federation",
            hint="use the member folder that 'securefl init' wrote for this federation",
        )

    def to_json_text(self) -> str:
        """The text of the server's file."""
        return file_text(self)

    @classmethod
    def from_json_text(cls, text: str, *, where: str) -> ServerView:
        """Read the server's file.

        Raises:
            IdentityError: if it is malformed, of another version, or names what this version does not know.
        """
        view = parsed(cls, text, where=where)
        try:
            profile_named(view.profile)
            view.constants.cohort(len(view.roster))
        except SecureFLError as error:
            raise IdentityError(
                "the server's file does not hold together", where=where, hint=str(error)
            ) from None
        return view
