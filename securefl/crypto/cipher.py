"""Interface of every cipher, so that a round need not ask which one it has: encrypt slots, decrypt a sum.

``bfv.BfvCipher`` encrypts; ``integer_twin.IntegerTwin`` does not, and exists to show that both give the same
integers.

Pack, encrypt, add, decrypt, unpack:

    >>> import numpy as np
    >>> from securefl.crypto.addition import ResidueSum
    >>> from securefl.crypto.integer_twin import IntegerTwin
    >>> from securefl.crypto.packing import pack, unpack
    >>> from securefl.crypto.profiles import profile_for
    >>> from securefl.crypto.wireform import Ciphertexts
    >>> cipher = IntegerTwin(profile_for(3, 16))
    >>> values = [np.array([5, -7]), np.array([1, 1]), np.array([-2, 0])]
    >>> encrypted = [cipher.encrypt(pack(one, cipher.profile)) for one in values]
    >>> total = ResidueSum(cipher.form, 1)
    >>> for one in encrypted:  # authentication makes the MACs
    ...     total.add(0, Ciphertexts(one.residues, np.zeros(1, dtype=np.uint64)))
    >>> slots = cipher.decrypt(total.total().residues, [one.seeds for one in encrypted])
    >>> unpack(slots, 2, cipher.profile)
    array([ 4, -6])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from securefl.crypto.packing import Slots
from securefl.crypto.profiles import Profile
from securefl.crypto.wireform import WireForm
from securefl.crypto.words import Words
from securefl.errors import CapacityError, WireError


@dataclass(frozen=True, slots=True)
class Encrypted:
    """Ciphertexts as they travel.

    Attributes:
        residues: (C, N) uint64, rounded to the form: below ``WireForm.upload_limit``.
        seeds: C times ``WireForm.seed_bytes``, in the same order.
    """

    residues: Words
    seeds: bytes


class Decryption(Protocol):
    """One aggregate's decryption: it takes in the contributors' seeds as they come, then decrypts the total.

    Expanding seeds is the larger part of a decryption and needs no total, so it can run while the server is
    still collecting uploads.
    """

    def add(self, seeds: bytes) -> None:
        """Takes in one contributor's seeds.

        Raises:
            WireError: if the length is not that of the layout.
        """

    def decrypt(self, total: Words) -> Slots:
        """Decrypts the total with the seeds added so far.

        Args:
            total: (C, N) uint64, the sum over exactly the contributors whose seeds were added.

        Returns:
            (C, N) uint64 below t: the sum modulo t of the contributors' slots.

        Raises:
            WireError: if the shape is wrong or a residue is not below the modulus.
            CapacityError: if no seeds were added, or more than the profile adds exactly.
        """


class Cipher(Protocol):
    """A cipher under one profile; with a key where it needs one."""

    @property
    def profile(self) -> Profile:
        """The parameters."""

    @property
    def form(self) -> WireForm:
        """Form of its ciphertexts on the wire."""

    def encrypt(self, slots: Slots) -> Encrypted:
        """Encrypts (C, N) slots below t, each ciphertext with fresh randomness.

        Raises:
            CapacityError: if a slot is not below t.
        """

    def decryption(self, ciphertexts: int) -> Decryption:
        """Starts the decryption of an aggregate of so many ciphertexts."""

    def decrypt(self, total: Words, seeds: Iterable[bytes]) -> Slots:
        """Decrypts at one go: ``decryption``, every contributor's seeds, the total."""


def decrypt_at_once(decryption: Decryption, total: Words, seeds: Iterable[bytes]) -> Slots:
    """Adds every contributor's seeds to a fresh decryption, and decrypts the total with it."""
    for contributor in seeds:
        decryption.add(contributor)
    return decryption.decrypt(total)


def checked_slots(slots: Slots, profile: Profile) -> Slots:
    """The slots, if they are (C, N) and below t.

    Raises:
        CapacityError: if not.
    """
    if slots.ndim != 2 or slots.shape[1] != profile.poly_modulus_degree:
        raise CapacityError(f"ciphertexts have {profile.poly_modulus_degree} slots", where=profile.name)
    if slots.size and int(slots.max()) >= profile.plain_modulus:
        raise CapacityError("a slot is not below the plain modulus", where=profile.name)
    return slots


def checked_total(total: Words, *, form: WireForm, ciphertexts: int) -> Words:
    """The aggregate, if it is (ciphertexts, N) residues below the modulus.

    Raises:
        WireError: if it is not.
    """
    if total.shape != (ciphertexts, form.degree):
        raise WireError(f"an aggregate of {ciphertexts} ciphertexts was expected, not of {total.shape[0]}")
    if total.size and int(total.max()) >= form.modulus:
        raise WireError("a residue of the aggregate is not below its modulus")
    return total


def check_contributors(count: int, profile: Profile) -> None:
    """Refuses sums that might not decrypt exactly.

    Raises:
        CapacityError: if there are no contributors, or more than ``profile.max_cohort``.
    """
    if not 1 <= count <= profile.max_cohort:
        raise CapacityError(
            f"{count} contributions have no exact sum",
            where=profile.name,
            hint=f"this profile adds 1 to {profile.max_cohort}",
        )
