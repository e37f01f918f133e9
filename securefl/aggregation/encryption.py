"""From integers to an encrypted contribution, window by window.

The rule kept here: a contribution is encrypted once, under one fresh salt and, where the scheme has them, one fresh
key; no window is made twice: a retry sends the bytes that were made.

    integers -> pack -> tag -> encrypt (and authenticate) -> wire form, for each window

References: SHA-256 (FIPS 180-4), ``crypto.cipher`` and ``crypto.tags`` for theirs; the header that is signed over the
digests, and the messages, are described in ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from securefl.aggregation.clock import SILENT, Stage, StageClock
from securefl.aggregation.contribution import Binding, section_of, section_tag
from securefl.crypto.cipher import Cipher
from securefl.crypto.contributor import Contributor
from securefl.crypto.kahe.keys import ShortKey
from securefl.crypto.packing import Integers, pack
from securefl.crypto.windows import by_window
from securefl.errors import ProtocolError
from securefl.protocol.sections import Section, StreamSizes


@dataclass(frozen=True, slots=True)
class Part:
    """Content of one section of a contribution.

    Attributes:
        cipher: The section's.
        values: How many integers it holds.
        integers: Gives them in order, int64, in runs of any length, each within the plan's limit.
    """

    cipher: Cipher
    values: int
    integers: Callable[[], Iterable[Integers]] = field(repr=False)

    @property
    def section(self) -> Section:
        """The section that it fills."""
        return section_of(self.cipher, values=self.values)


class Encryption:
    """One contribution in the making: its windows, once; then its seeds and the digests that a header is signed over.

    Guarantee: every ciphertext is encrypted under fresh randomness of the operating system, so two contributions of
    the same integers are independent; the tag of every section, and the MACs where the scheme has them, bind it to
    this federation, key epoch, round, attempt, cohort and member, under pads of a salt that no other contribution has.
    Sections of the integer twin are not encrypted.

    Args:
        parts: What is sent, section by section.
        binding: The attempt.
        contributor: Who sends it, and the fresh salt of its header.
        tag_key: Of the shared keys, 32 bytes.
        clock: Times the windows.

    Attributes:
        sizes: What its stream will measure.
        key: The short key of this contribution, of all of its encrypted sections; None under a scheme without.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        binding: Binding,
        contributor: Contributor,
        tag_key: bytes,
        clock: StageClock = SILENT,
    ) -> None:
        self.sizes = StreamSizes.of_contribution(part.section for part in parts)
        drawn = (part.cipher.draw_key() for part in parts)
        self.key: ShortKey | None = next((key for key in drawn if key is not None), None)
        self._parts: tuple[Part, ...] = tuple(parts)
        self._binding = binding
        self._contributor = contributor
        self._tag_key = tag_key
        self._clock = clock
        self._body_digest = hashlib.sha256()
        self._seeds = bytearray()
        self._begun = False
        self._complete = False

    def windows(self) -> Iterator[bytes]:
        """The body, in order, each window's ciphertexts in their wire form.

        Raises:
            ProtocolError: if it was asked for already, or a part has more or fewer integers than it says.
            CapacityError: if an integer does not fit its lane.
            TrainingError: what the integers' source raises.
        """
        return self._clock.through(Stage.ENCRYPT, self._binding.round_number, self._windows())

    @property
    def salt(self) -> bytes:
        """The salt that its header must carry (32 bytes)."""
        return self._contributor.salt

    @property
    def seeds(self) -> bytes:
        """The seeds of all ciphertexts so far; empty under a scheme without."""
        return bytes(self._seeds)

    @property
    def seeds_digest(self) -> bytes:
        """SHA-256 of all seeds (32 bytes).

        Raises:
            ProtocolError: if there are windows left.
        """
        self._check_complete()
        return hashlib.sha256(self._seeds).digest()

    @property
    def body_digest(self) -> bytes:
        """SHA-256 of the whole body (32 bytes).

        Raises:
            ProtocolError: if there are windows left.
        """
        self._check_complete()
        return self._body_digest.digest()

    def _check_complete(self) -> None:
        if not self._complete:
            raise ProtocolError("a contribution is signed when its last window is encrypted")

    def _windows(self) -> Iterator[bytes]:
        if self._begun:
            raise ProtocolError("a contribution was encrypted already", hint="send the same bytes again")
        self._begun = True
        for number, part in enumerate(self._parts):
            for window in self._section(number, part):
                self._body_digest.update(window)
                yield window
        # A member keeps its contributions for their headers; what they were made of would stay with them.
        self._parts = ()
        self._complete = True

    def _section(self, number: int, part: Part) -> Iterator[bytes]:
        cipher = part.cipher
        place = self._binding.place(number, ciphertexts=part.section.ciphertexts)
        tag = section_tag(cipher, place, self._tag_key).start()
        encryption = cipher.encryption(place, contributor=self._contributor, key=self.key)
        for window, values in by_window(part.integers(), values=part.values, profile=cipher.profile):
            slots = pack(values, cipher.profile, tags=window.last)
            if window.last:
                slots = tag.attach(slots, contributor=self._contributor)
            else:
                tag.add(slots)
            encrypted = encryption.encrypt(slots, first=window.first)
            self._seeds += encrypted.seeds
            yield encrypted.body
