"""From integers to a signed, encrypted contribution, and from a verified aggregate back to integers.

The rule kept here: nothing that came from the server reaches the cipher before every header, seed and length in it
has been checked against this client's own federation file, and every ciphertext against its MAC; and what a client
signs is what it sends.

    seal  integers -> pack -> tag -> encrypt -> authenticate -> sign
    open  lengths, headers, signatures -> MAC of every ciphertext -> decrypt -> tags -> unpack

References: Ed25519 (RFC 8032), SHA-256 (FIPS 180-4), ``crypto.authentication`` and ``crypto.tags`` for theirs; the
messages and what authenticates them are described in ``protos/SPEC.md``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.cipher import Cipher
from securefl.crypto.framing import framed
from securefl.crypto.identity import SigningKey, verify
from securefl.crypto.keys import EpochKeys
from securefl.crypto.packing import pack, unpack
from securefl.crypto.tags import SlotTags
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError, WireError
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, ContributionHeader, Manifest, SignedHeader

CONTEXT_DOMAIN = b"securefl/v1/authentication\x00"


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one member sends in a round.

    Attributes:
        signed: Its signed header.
        seeds: Seeds of all ciphertexts, concatenated; empty without a cipher.
        body: All residues and MACs, in the wire form.
    """

    signed: SignedHeader
    seeds: bytes
    body: bytes


def seal_contribution(
    integers: NDArray[np.int64],
    *,
    federation: Federation,
    manifest: Manifest,
    member: str,
    cipher: Cipher,
    keys: EpochKeys,
    signing_key: SigningKey,
) -> Contribution:
    """Packs, tags, encrypts, authenticates and signs one member's integers (D,), int64, each within the plan's limit.

    Guarantee: every call encrypts under fresh randomness of the operating system, so two contributions of the same
    integers are independent; MACs and signature bind body and seeds to this federation, round, cohort and member.

    Raises:
        WireError: if the integers are not as many as the federation's plan says for this round.
    """
    expected = federation.plan.length(manifest.round)
    if integers.shape != (expected,):
        raise WireError(
            f"{member}'s update has {integers.shape} integers, the plan of round {manifest.round} {expected}"
        )
    tags = _tags(federation, manifest, keys)
    sealed = cipher.seal(tags.attach(pack(integers, federation.profile), member=member))
    macs = _mac(federation, manifest, keys).macs(sealed, member=member)
    body = federation.form.encode_upload(Ciphertexts(sealed.residues, macs))
    header = ContributionHeader(
        member=member,
        round=manifest.round,
        manifest_digest=manifest.digest,
        seeds_digest=hashlib.sha256(sealed.seeds).digest(),
        body_digest=hashlib.sha256(body).digest(),
    )
    return Contribution(SignedHeader(header, signing_key.sign(header.signed_bytes())), sealed.seeds, body)


def open_aggregate(
    header: AggregateHeader,
    body: bytes,
    *,
    federation: Federation,
    manifest: Manifest,
    own: SignedHeader,
    cipher: Cipher,
    keys: EpochKeys,
) -> NDArray[np.int64]:
    """Verifies an aggregate and decrypts it to the exact sums (D,), int64, of the cohort's integers.

    Guarantee: the seeds that reach the cipher are, one for one, those that each member of the manifest's cohort
    signed for this round (EUF-CMA of Ed25519, collision resistance of SHA-256), and the residues are the sum of
    those that each of them sealed, or a forgery succeeded (``CiphertextMac``: at most 2^-54 an attempt, against who
    lacks the keys). So no verdict on anything the server altered depends on the secret key. Whatever fails of MACs
    and tags, the error is the same one; a failure of the MACs comes before the decryption and one of the tags after
    it, which tells the server no more than which of the two it altered itself.

    Raises:
        AuthenticationError: if a contributor, a seed or a signature does not hold, or this client's own is not in it.
        WireError: if a length, a residue or a MAC is out of its range.
        ForgeryError: if it is not the sum of what its contributors sealed.
    """
    verify_contributors(header, federation=federation, manifest=manifest, own=own)
    count = federation.ciphertexts(manifest.round)
    total = federation.form.decode_aggregate(body, ciphertexts=count)
    contributors = zip(manifest.cohort, header.seeds, strict=True)
    _mac(federation, manifest, keys).verify(total, contributors)
    slots = cipher.open(total.residues, header.seeds)
    _tags(federation, manifest, keys).check(slots, manifest.cohort)
    return unpack(slots, federation.plan.length(manifest.round), federation.profile)


def authentication_context(manifest: Manifest, *, epoch: int) -> bytes:
    """What MACs and tags of a round are bound to, beside the member: epoch, federation, round and cohort."""
    return CONTEXT_DOMAIN + framed(
        epoch.to_bytes(4, "big"),
        manifest.federation_digest,
        manifest.round.to_bytes(8, "big"),
        manifest.digest,
    )


def _mac(federation: Federation, manifest: Manifest, keys: EpochKeys) -> CiphertextMac:
    context = authentication_context(manifest, epoch=keys.epoch)
    return CiphertextMac(keys.mac, federation.form, context=context)


def _tags(federation: Federation, manifest: Manifest, keys: EpochKeys) -> SlotTags:
    return SlotTags(
        keys.tag,
        federation.profile,
        context=authentication_context(manifest, epoch=keys.epoch),
        ciphertexts=federation.ciphertexts(manifest.round),
    )


def verify_contributors(
    header: AggregateHeader, *, federation: Federation, manifest: Manifest, own: SignedHeader
) -> None:
    """Checks that an aggregate claims exactly the manifest's cohort, each by its own signature.

    Raises:
        AuthenticationError: at the first thing that does not hold.
    """
    claimed = tuple(signed.header.member for signed in header.contributors)
    if header.round != manifest.round or claimed != manifest.cohort or len(header.seeds) != len(claimed):
        raise AuthenticationError(
            f"the aggregate of round {manifest.round} is not the sum of the whole cohort"
        )
    if own not in header.contributors:
        raise AuthenticationError(
            f"the aggregate of round {manifest.round} leaves this client's contribution out"
        )
    seed_bytes = federation.form.seeds_bytes(federation.ciphertexts(manifest.round))
    for signed, seeds in zip(header.contributors, header.seeds, strict=True):
        _verify_contributor(signed, seeds, seed_bytes=seed_bytes, federation=federation, manifest=manifest)


def _verify_contributor(
    signed: SignedHeader, seeds: bytes, *, seed_bytes: int, federation: Federation, manifest: Manifest
) -> None:
    header = signed.header
    if header.round != manifest.round or header.manifest_digest != manifest.digest:
        raise AuthenticationError(f"{header.member}'s contribution is for another round or manifest")
    if len(seeds) != seed_bytes or hashlib.sha256(seeds).digest() != header.seeds_digest:
        raise AuthenticationError(f"{header.member}'s seeds are not those it signed")
    verify(federation.member(header.member).signing_key, signed.signature, header.signed_bytes())


def integers_digest(sums: NDArray[np.int64]) -> bytes:
    """SHA-256 (32 bytes) over the sums as little-endian int64: equal at every client, and with or without a cipher."""
    return hashlib.sha256(np.ascontiguousarray(sums, dtype="<i8").tobytes()).digest()
