"""BFV through TenSEAL's SEAL: slots encrypted into seeded ciphertexts, and the sum of them decrypted.

No other module imports tenseal.

The rule kept here: SEAL does all that touches the secret key (sampling, encryption, decryption), and it is
fed nothing but objects laid out by ``seal_format``. SEAL's bindings read and write paths only; the path is
always that of a memory file, so neither keys nor ciphertexts touch a disk.

Slots are the plaintext's coefficients, not the CRT slots of SEAL's ``BatchEncoder``: sums need no products
slot by slot, and without that transform a ciphertext costs about a fifth less to encrypt.

Terms: a ciphertext is (c0, c1); c1 is uniform and expanded from a seed of 64 bytes, so only c0 and the seed
travel. The sum of contributions decrypts under the sum of the c0s and the sum of the c1s.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tenseal import sealapi

from securefl.crypto.bfv_profiles import BFV_PROFILES, BfvProfile
from securefl.crypto.cipher import check_contributors
from securefl.crypto.keys import SecretKey
from securefl.crypto.seal_format import SealFormat, minor_version
from securefl.crypto.wireform import SEED_BYTES, WireForm, round_residues, wire_form
from securefl.crypto.words import Words
from securefl.errors import CapacityError, UsageError, WireError


@dataclass(frozen=True, slots=True)
class BfvCiphertexts:
    """Ciphertexts before their MACs.

    Attributes:
        residues: (C, N) uint64, rounded to the form: below ``WireForm.upload_limit``.
        seeds: C times 64 bytes, in the same order.
    """

    residues: Words
    seeds: bytes


class BfvCipher:
    """BFV under one profile and key; ``authenticated_bfv`` puts MACs around it.

    Slots are (C, N) uint64 below t here.

    Safe to use from several threads, which take turns: SEAL's bindings hold the interpreter's lock. A forked
    child shares the parent's memory files, so it must make a cipher of its own.

    Args:
        profile: The parameters.
        key: The federation's secret key.

    Raises:
        UsageError: if this platform has no memory files, or this TenSEAL is not one we know.
    """

    def __init__(self, profile: BfvProfile, key: SecretKey) -> None:
        self.profile = profile
        self.form = wire_form("bfv", profile)
        self._lock = threading.Lock()
        self._file = _MemoryFile()
        self._context = _context(profile)
        self._format = _format(self._context, self._file)
        secret = sealapi.SecretKey()
        secret.load(self._context, self._file.holding(self._format.secret_key_object(key.rows)))
        self._file.clear()
        self._encryptor = sealapi.Encryptor(self._context, secret)
        self._decryptor = sealapi.Decryptor(self._context, secret)
        self._evaluator = sealapi.Evaluator(self._context)
        self._plaintext_head = self._format.plaintext_object()
        self._pair_head = self._format.pair_object()
        self._seeded_head = self._format.seeded_object()
        self._check_round_trip()

    def __repr__(self) -> str:
        return f"BfvCipher({self.profile.name}, <redacted>)"

    def encrypt(self, slots: Words) -> BfvCiphertexts:
        """Encrypt symmetrically; SEAL draws the randomness (Blake2xb, seeded by the operating system).

        Guarantee: who has no key learns nothing of the slots (IND-CPA), assuming ring learning with errors
        at N = 4096, log2(qp) = 109 with a ternary secret is hard at the 128-bit level (Fan, Vercauteren,
        2012/144; homomorphic encryption standard, 2018), and Blake2xb is a pseudorandom generator. Rounding
        c0 discards information, and so gives none. Whoever holds the key, or sees decryptions of ciphertexts
        that were altered, is outside this guarantee.

        Args:
            slots: (C, N) uint64 below t.

        Returns:
            Residues (C, N), rounded; seeds of C * 64 bytes.

        Raises:
            CapacityError: if a slot is not below t.
        """
        checked = np.ascontiguousarray(_checked_slots(slots, self.profile), dtype="<u8")
        residues = np.empty_like(checked)
        seeds = []
        for index, coefficients in enumerate(checked):
            residues[index], seed = self._encrypt_one(coefficients)
            seeds.append(seed)
        return BfvCiphertexts(round_residues(residues, self.form), b"".join(seeds))

    def decryption(self, ciphertexts: int) -> BfvDecryption:
        """Start the decryption of an aggregate; see ``BfvDecryption``."""
        return BfvDecryption(self, ciphertexts)

    def decrypt(self, total: Words, seeds: Iterable[bytes]) -> Words:
        """Decrypt an aggregate at one go.

        Args:
            total: (C, N) uint64 below q: the scaled sum of the contributors' residues.
            seeds: Each contributor's C * 64 bytes.

        Returns:
            (C, N) uint64 below t.

        Raises:
            WireError: if a length or shape is wrong, or a residue is not below q.
            CapacityError: if there are no contributors, or more than the profile adds exactly.
        """
        decryption = self.decryption(total.shape[0])
        for contributor in seeds:
            decryption.add(contributor)
        return decryption.decrypt(total)

    def _encrypt_one(self, coefficients: Words) -> tuple[Words, bytes]:
        """(N,) slots to (N,) full residues and their seed."""
        with self._lock:
            plaintext = sealapi.Plaintext()
            plaintext.load(self._context, self._file.holding(self._plaintext_head + coefficients.tobytes()))
            self._encryptor.encrypt_symmetric(plaintext).save(self._file.path)
            saved = self._file.content()
        return self._format.split_seeded(self._format.body(saved, largest=self._format.seeded_bytes))

    def _expand(self, seed: bytes) -> sealapi.Ciphertext:
        """The ciphertext (0, c1) that SEAL expands from 64 bytes."""
        with self._lock:
            ciphertext = sealapi.Ciphertext(self._context)
            ciphertext.load(self._context, self._file.holding(self._seeded_head + seed))
        return ciphertext

    def _add(self, left: sealapi.Ciphertext, right: sealapi.Ciphertext) -> None:
        self._evaluator.add_inplace(left, right)

    def _decrypt_one(self, residues: Words, masks: sealapi.Ciphertext) -> Words:
        """Decrypt (residues, c1), for (N,) residues and ``masks`` = (0, c1)."""
        zeros = bytes(8 * self.form.degree)
        with self._lock:
            ciphertext = sealapi.Ciphertext(self._context)
            ciphertext.load(self._context, self._file.holding(self._pair_head + residues.tobytes() + zeros))
            self._evaluator.add_inplace(ciphertext, masks)
            plaintext = sealapi.Plaintext()
            self._decryptor.decrypt(ciphertext, plaintext)
            plaintext.save(self._file.path)
            saved = self._file.content()
        return self._format.split_plaintext(self._format.body(saved, largest=self._format.plaintext_bytes))

    def _check_round_trip(self) -> None:
        """One ciphertext there and back, so that a SEAL that reads our objects otherwise is noticed."""
        slots = np.arange(self.form.degree, dtype=np.uint64)
        residues, seed = self._encrypt_one(slots)
        if not np.array_equal(self._decrypt_one(residues, self._expand(seed)), slots):
            raise UsageError("this TenSEAL does not decrypt what it encrypted", hint="install tenseal 0.3.18")


class BfvDecryption:
    """One aggregate's decryption: seeds first, each expanded and added by SEAL, then the total.

    It keeps 64 KiB a ciphertext, however many contributors there are, and belongs to one thread at a time.
    """

    def __init__(self, cipher: BfvCipher, ciphertexts: int) -> None:
        self._cipher = cipher
        self._ciphertexts = ciphertexts
        self._masks: list[sealapi.Ciphertext] = []
        self._contributors = 0

    def add(self, seeds: bytes) -> None:
        """Expands one contributor's seeds to its c1s, and adds them.

        Args:
            seeds: C * 64 bytes; any bytes are seeds, wrong ones make the decrypted slots meaningless.

        Raises:
            WireError: if the length is another.
        """
        self._cipher.form.check_seeds(seeds, ciphertexts=self._ciphertexts)
        for index in range(self._ciphertexts):
            expanded = self._cipher._expand(seeds[index * SEED_BYTES : (index + 1) * SEED_BYTES])
            if self._contributors:
                self._cipher._add(self._masks[index], expanded)
            else:
                self._masks.append(expanded)
        self._contributors += 1

    def decrypt(self, total: Words) -> Words:
        """Decrypt the total with the seeds added so far.

        Guarantee: within ``profile.max_cohort`` contributors the slots are the exact sum modulo t
        (``BfvProfile``). Nothing is checked about who made the total; that is authentication's
        work, and must come before: accepting or refusing what an altered total decrypts to would leak the
        key.

        Args:
            total: (C, N) uint64 below q.

        Returns:
            (C, N) uint64 below t.

        Raises:
            WireError: if the shape is wrong or a residue is not below q.
            CapacityError: if no seeds were added, or more than the profile adds exactly.
        """
        check_contributors(self._contributors, self._cipher.profile)
        checked = _checked_total(total, form=self._cipher.form, ciphertexts=self._ciphertexts)
        slots = np.empty_like(checked)
        for index, masks in enumerate(self._masks):
            slots[index] = self._cipher._decrypt_one(checked[index], masks)
        return slots


def _checked_slots(slots: Words, profile: BfvProfile) -> Words:
    """The slots, if they are (C, N) and below t.

    Raises:
        CapacityError: if not.
    """
    if slots.ndim != 2 or slots.shape[1] != profile.poly_modulus_degree:
        raise CapacityError(f"ciphertexts have {profile.poly_modulus_degree} slots", where=profile.name)
    if slots.size and int(slots.max()) >= profile.plain_modulus:
        raise CapacityError("a slot is not below the plain modulus", where=profile.name)
    return slots


def _checked_total(total: Words, *, form: WireForm, ciphertexts: int) -> Words:
    """The aggregate, if it is (ciphertexts, N) residues below the modulus.

    Raises:
        WireError: if it is not.
    """
    if total.shape != (ciphertexts, form.degree):
        raise WireError(f"an aggregate of {ciphertexts} ciphertexts was expected, not of {total.shape[0]}")
    if total.size and int(total.max()) >= form.modulus:
        raise WireError("a residue of the aggregate is not below its modulus")
    return total


def generate_key() -> SecretKey:
    """A fresh secret key, drawn by SEAL from the operating system's generator; it serves every profile.

    Raises:
        UsageError: if this platform has no memory files, or this TenSEAL is not one we know.
    """
    file = _MemoryFile()
    context = _context(BFV_PROFILES[0])
    layout = _format(context, file)
    sealapi.KeyGenerator(context).secret_key().save(file.path)
    saved = file.content()
    file.clear()
    return SecretKey(layout.split_secret_key(layout.body(saved, largest=layout.secret_key_bytes)))


def _context(profile: BfvProfile) -> sealapi.SEALContext:
    primes = sealapi.CoeffModulus.Create(profile.poly_modulus_degree, [54, 55])
    if [prime.value() for prime in primes] != [profile.data_prime, profile.special_prime]:
        raise UsageError("this TenSEAL chooses other primes", hint="install tenseal 0.3.18")
    parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(profile.poly_modulus_degree)
    parameters.set_coeff_modulus(primes)
    parameters.set_plain_modulus(profile.plain_modulus)
    context = sealapi.SEALContext(parameters, True, sealapi.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise UsageError(f"this TenSEAL refuses the profile {profile.name}", hint="install tenseal 0.3.18")
    return context


def _format(context: sealapi.SEALContext, file: _MemoryFile) -> SealFormat:
    sealapi.Plaintext().save(file.path)
    return SealFormat(
        minor_version=minor_version(file.content()),
        degree=context.first_context_data().parms().poly_modulus_degree(),
        data_parms_id=np.array(context.first_parms_id(), dtype="<u8").tobytes(),
        key_parms_id=np.array(context.key_parms_id(), dtype="<u8").tobytes(),
    )


class _MemoryFile:
    """A file that exists in memory only, with a path that SEAL can open."""

    def __init__(self) -> None:
        if not hasattr(os, "memfd_create"):
            raise UsageError(
                "this platform has no memory files, and securefl writes no secret key to a disk through SEAL",
                hint="run securefl's clients on Linux",
            )
        self._descriptor = os.memfd_create("securefl")
        self.path = f"/proc/self/fd/{self._descriptor}"
        weakref.finalize(self, os.close, self._descriptor)

    def holding(self, data: bytes) -> str:
        """The path, after the file's beginning was overwritten; SEAL reads an object by its own size."""
        os.pwrite(self._descriptor, data, 0)
        return self.path

    def content(self) -> bytes:
        """The whole file, which SEAL truncates when it saves."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def clear(self) -> None:
        """Give the memory back."""
        os.ftruncate(self._descriptor, 0)
