"""From integers to a signed, encrypted contribution, window by window.

The rule kept here: what a client signs is what it sends. The header, with the digests of seeds and body, is
signed after the last window, so it comes last in the stream, and no window is made twice: a retry sends the
bytes that were made.

    integers -> pack -> tag -> encrypt -> authenticate -> wire form, for each window; then sign

References: Ed25519 (RFC 8032), SHA-256 (FIPS 180-4), ``crypto.authentication`` and ``crypto.tags`` for theirs;
the messages and what authenticates them are described in ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.contribution import Contribution, section_mac, section_tags
from securefl.crypto.cipher import Cipher
from securefl.crypto.keys import SharedKeys
from securefl.crypto.packing import Integers, pack
from securefl.crypto.windows import by_window
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import ProtocolError
from securefl.identity.signing import SigningKey
from securefl.protocol.messages import ContributionHeader, Manifest, SignedHeader
from securefl.protocol.sections import Section, StreamSizes


@dataclass(frozen=True, slots=True)
class Part:
    """Content of one section of a contribution.

    Attributes:
        cipher: The section's, with the federation's key.
        values: How many integers it holds.
        integers: Gives them in order, int64, in runs of any length, each within the plan's limit.
    """

    cipher: Cipher
    values: int
    integers: Callable[[], Iterable[Integers]] = field(repr=False)

    @property
    def section(self) -> Section:
        """The section that it fills."""
        return Section(self.cipher.form, self.cipher.profile.ciphertexts_for(self.values))


class Encryption:
    """One contribution in the making: its windows, once; then its seeds and its signed header.

    Guarantee: every ciphertext is encrypted under fresh randomness of the operating system, so two
    contributions of the same integers are independent; MACs and signature bind body and seeds to this
    federation, round, cohort and member. Sections of the integer twin are not encrypted.

    Args:
        parts: What is sent, section by section.
        manifest: The open round.
        member: Who sends it.
        keys: The shared keys; its MAC and tag keys are used here.
        signing_key: The member's.
        clock: Times the windows and the signature.

    Attributes:
        sizes: What its stream will measure.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        manifest: Manifest,
        member: str,
        keys: SharedKeys,
        signing_key: SigningKey,
        clock: StageClock = SILENT,
    ) -> None:
        self.sizes = StreamSizes.of_contribution(part.section for part in parts)
        self._parts: tuple[Part, ...] = tuple(parts)
        self._manifest = manifest
        self._member = member
        self._keys = keys
        self._signing_key = signing_key
        self._clock = clock
        self._body_digest = hashlib.sha256()
        self._seeds = bytearray()
        self._begun = False
        self._signed: SignedHeader | None = None

    def windows(self) -> Iterator[bytes]:
        """The body, in order, each window's ciphertexts in their wire form; after the last one the header is signed.

        Raises:
            ProtocolError: if it was asked for already, or a part has more or fewer integers than it says.
            CapacityError: if an integer does not fit its lane.
            TrainingError: what the integers' source raises.
        """
        return self._clock.through(Stage.ENCRYPT, self._manifest.round_number, self._windows())

    @property
    def seeds(self) -> bytes:
        """The seeds of all ciphertexts so far, 64 bytes each; empty without a cipher."""
        return bytes(self._seeds)

    def signed(self) -> SignedHeader:
        """The signed header of the complete contribution.

        Raises:
            ProtocolError: if there are windows left.
        """
        if self._signed is None:
            raise ProtocolError("a contribution is signed when its last window is encrypted")
        return self._signed

    def _windows(self) -> Iterator[bytes]:
        if self._begun:
            raise ProtocolError("a contribution was encrypted already", hint="send the same bytes again")
        self._begun = True
        for number, part in enumerate(self._parts):
            for window in self._section(number, part):
                self._body_digest.update(window)
                yield window
        self._signed = self._sign()
        # A member keeps its contributions for their headers; what they were made of would stay with them.
        self._parts = ()

    def _sign(self) -> SignedHeader:
        header = ContributionHeader(
            member=self._member,
            round_number=self._manifest.round_number,
            manifest_digest=self._manifest.digest,
            seeds_digest=hashlib.sha256(self._seeds).digest(),
            body_digest=self._body_digest.digest(),
        )
        return SignedHeader(header, self._signing_key.sign(header.signed_bytes()))

    def _section(self, number: int, part: Part) -> Iterator[bytes]:
        cipher, manifest, keys = part.cipher, self._manifest, self._keys
        mac = section_mac(cipher.form, manifest=manifest, keys=keys, section=number)
        tags = section_tags(
            cipher.profile,
            ciphertexts=part.section.ciphertexts,
            manifest=manifest,
            keys=keys,
            section=number,
        ).start()
        for window, values in by_window(part.integers(), values=part.values, profile=cipher.profile):
            slots = pack(values, cipher.profile, tags=window.last)
            if window.last:
                slots = tags.attach(slots, member=self._member)
            else:
                tags.add(slots)
            encrypted = cipher.encrypt(slots)
            macs = mac.macs(encrypted, member=self._member, first_ciphertext=window.first)
            self._seeds += encrypted.seeds
            yield cipher.form.encode_upload(Ciphertexts(encrypted.residues, macs))


def encrypt_at_once(encryption: Encryption) -> Contribution:
    """The whole contribution in memory."""
    body = b"".join(encryption.windows())
    return Contribution(encryption.signed(), encryption.seeds, body)
