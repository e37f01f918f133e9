"""Interface of every cipher, so that a round need not ask which one it has: slots to bytes, and a sum's bytes to slots.

    ``kahe.cipher.KaheCipher``                 key-additive encryption with one-time keys
    ``authenticated_bfv.AuthenticatedBfv``     BFV with a MAC on every ciphertext
    ``integer_twin.IntegerTwin``               no cipher: the same slots, readable by everybody

Pack, encrypt, add, decrypt, unpack; under the twin, so that nothing is drawn:

    >>> import numpy as np
    >>> from securefl.crypto.addition import ResidueSum
    >>> from securefl.crypto.contributor import Contributor
    >>> from securefl.crypto.integer_twin import IntegerTwin
    >>> from securefl.crypto.packing import pack, unpack
    >>> from securefl.crypto.schemes import profile_for
    >>> cipher = IntegerTwin(profile_for(3, 16, scheme="none"))
    >>> place = Place(attempt=bytes(32), context=b"", section=0, ciphertexts=1)
    >>> members = [Contributor(name, bytes(32)) for name in "abc"]
    >>> total = ResidueSum(cipher.form, 1)
    >>> for member, values in zip(members, ([5, -7], [1, 1], [-2, 0])):
    ...     slots = pack(np.array(values), cipher.profile)
    ...     sent = cipher.encryption(place, contributor=member, key=cipher.draw_key()).encrypt(slots, first=0)
    ...     total.add_upload(0, sent.body, ciphertexts=1)
    >>> body = cipher.form.encode_aggregate(total.total())
    >>> opened = cipher.decryption(place, contributions=[(member, b"") for member in members], key_sum=None)
    >>> opened.verify([body])
    >>> unpack(opened.decrypt(body, first=0), 2, cipher.profile)
    array([ 4, -6])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from securefl.crypto.contributor import Contributor
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.packing import Slots
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import Buffer, WireForm
from securefl.errors import CapacityError

Contributions = Sequence[tuple[Contributor, bytes]]
"""Every contributor of a sum, with its seeds for the section; empty bytes where the scheme has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A section of one attempt: what its ciphertexts, MACs and tag are bound to.

    Attributes:
        attempt: A, 32 bytes.
        context: Version, federation, key epoch, round, attempt, A and section, as one byte string.
        section: Its number, from 0.
        ciphertexts: How many it has.
    """

    attempt: bytes
    context: bytes
    section: int
    ciphertexts: int


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A window of ciphertexts as it travels.

    Attributes:
        body: ``WireForm.upload_bytes`` of its ciphertexts.
        seeds: ``WireForm.seeds_bytes`` of them; empty where the form has none.
    """

    body: bytes
    seeds: bytes


class SectionEncryption(Protocol):
    """The encryption of one section of one contribution."""

    def encrypt(self, slots: Slots, *, first: int) -> Encrypted:
        """Encrypt a window with fresh randomness.

        Args:
            slots: (k, N) int64, each at most ``Profile.slot_bound`` in magnitude.
            first: Number of its first ciphertext in the section; each number is encrypted once.

        Raises:
            CapacityError: if a slot is larger.
        """
        ...


class SectionDecryption(Protocol):
    """The decryption of one section of an aggregate."""

    def prepare(self) -> None:
        """Do what needs no sum, and so could be done while the server still collects; nothing asks for it."""
        ...

    def verify(self, section: Iterable[Buffer]) -> None:
        """Raise if the section must not be decrypted; a scheme without MACs reads nothing.

        Args:
            section: Its bytes, window by window, all of them in order.

        Raises:
            WireError: if a length is wrong, or a residue is not below the modulus.
            ForgeryError: if they are not the sums of what the contributors encrypted.
        """
        ...

    def decrypt(self, window: Buffer, *, first: int) -> Slots:
        """Decrypt a window of what ``verify`` let pass; windows come in order.

        Args:
            window: Bytes of whole ciphertexts.
            first: Number of the first of them in the section.

        Returns:
            (k, N) int64: the sums of the contributors' slots.

        Raises:
            WireError: if the length is wrong, or a residue is not below the modulus.
        """
        ...


class Cipher(Protocol):
    """A scheme under one profile, with the keys that all members share where it has some."""

    @property
    def profile(self) -> Profile:
        """The parameters."""
        ...

    @property
    def form(self) -> WireForm:
        """Form of its ciphertexts on the wire."""
        ...

    def draw_key(self, entropy: Entropy = SYSTEM) -> ShortKey | None:
        """A fresh key for one contribution, of all of its sections; None where the scheme has none of its own."""
        ...

    def encryption(
        self, place: Place, *, contributor: Contributor, key: ShortKey | None
    ) -> SectionEncryption:
        """Start the encryption of one section.

        Args:
            place: The section.
            contributor: Who contributes.
            key: Drawn by ``draw_key`` for this contribution.

        Raises:
            ProtocolError: if the scheme asks for a key and none is given.
        """
        ...

    def decryption(
        self, place: Place, *, contributions: Contributions, key_sum: KeySum | None
    ) -> SectionDecryption:
        """Start the decryption of one section of a sum.

        Args:
            place: The section.
            contributions: Exactly the contributors of the sum.
            key_sum: The sum of their keys, where the scheme asks for it.

        Raises:
            ProtocolError: if the scheme asks for a sum of keys of so many contributors and another one is given.
            CapacityError: if there are more contributors than the profile adds exactly, or none.
            WireError: if seeds have the wrong length.
        """
        ...


def check_contributors(count: int, profile: Profile) -> None:
    """Refuse sums that might not decrypt exactly.

    Raises:
        CapacityError: if there are no contributors, or more than ``profile.max_cohort``.
    """
    if not 1 <= count <= profile.max_cohort:
        raise CapacityError(
            f"{count} contributions have no exact sum",
            where=profile.name,
            hint=f"this profile adds 1 to {profile.max_cohort}",
        )


def checked_slots(slots: Slots, profile: Profile) -> Slots:
    """The slots, if they are (C, N) and within the profile's bound.

    Raises:
        CapacityError: if not.
    """
    if slots.ndim != 2 or slots.shape[1] != profile.poly_modulus_degree:
        raise CapacityError(f"ciphertexts have {profile.poly_modulus_degree} slots", where=profile.name)
    bound = profile.slot_bound
    if slots.size and (int(slots.max()) > bound or int(slots.min()) < -bound):
        raise CapacityError(
            "a slot does not fit", where=profile.name, hint=f"at most {bound} in magnitude fits"
        )
    return slots
