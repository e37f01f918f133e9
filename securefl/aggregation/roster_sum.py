"""The sum of a whole roster's contributions, without attempts: who is in it, checked against the federation file.

The rule kept here: nothing that came from the server reaches the cipher before every header, seed and length in it has
been checked. Sums of attempts are checked by their certificates (``protocol.agreement``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from securefl.aggregation.contribution import Binding
from securefl.aggregation.decryption import Body, decrypt_sections, summed_sections
from securefl.aggregation.signed_encryption import NO_SALT
from securefl.crypto.cipher import Cipher
from securefl.crypto.contributor import Contributor
from securefl.crypto.kahe.keys import KeySum
from securefl.crypto.keys import SharedKeys
from securefl.crypto.packing import Integers
from securefl.errors import AuthenticationError
from securefl.identity.signing import verify
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader
from securefl.protocol.sections import StreamSizes


def decrypt_aggregate(
    header: AggregateHeader,
    body: Body,
    *,
    federation: Federation,
    manifest: Manifest,
    own: SignedHeader,
    ciphers: Sequence[Cipher],
    keys: SharedKeys,
    key_sum: KeySum | None = None,
) -> Integers:
    """Verifies an aggregate and decrypts it to the exact sums (D,), int64, of the roster's integers.

    Guarantee: the seeds that reach the cipher are, one for one, those that each member of the manifest's cohort
    signed for this round (EUF-CMA of Ed25519, collision resistance of SHA-256); for the sums see
    ``decrypt_sections``.

    Args:
        header: Who is in it, and their seeds.
        body: Its ciphertexts.
        federation: This client's own federation file.
        manifest: The round's.
        own: What this client signed in this round.
        ciphers: One for each section of the round.
        keys: The shared keys.
        key_sum: The sum of the contributors' keys, under a scheme that has them.

    Returns:
        The sections' integers, one section behind the other.

    Raises:
        AuthenticationError: if a contributor, a seed or a signature does not hold, or this client's own is not in it.
        WireError, ForgeryError, ProtocolError: see ``decrypt_sections``.
    """
    verify_contributors(header, federation=federation, manifest=manifest, own=own)
    sections = summed_sections(
        Binding.of_manifest(manifest, key_epoch=keys.key_epoch),
        [
            (Contributor(member, NO_SALT), seeds)
            for member, seeds in zip(manifest.cohort, header.seeds, strict=True)
        ],
        counts=federation.kind_of(manifest.round_number).section_values,
        ciphers=ciphers,
    )
    return decrypt_sections(sections, body, tag_key=keys.tag, key_sum=key_sum)


def verify_contributors(
    header: AggregateHeader, *, federation: Federation, manifest: Manifest, own: SignedHeader
) -> None:
    """Checks that an aggregate claims exactly the manifest's cohort, each by its own signature.

    Raises:
        AuthenticationError: at the first thing that does not hold.
    """
    claimed = tuple(signed.header.member for signed in header.contributors)
    if (
        header.round_number != manifest.round_number
        or claimed != manifest.cohort
        or len(header.seeds) != len(claimed)
    ):
        raise AuthenticationError(
            f"the aggregate of round {manifest.round_number} is not the sum of the whole cohort"
        )
    if own not in header.contributors:
        raise AuthenticationError(
            f"the aggregate of round {manifest.round_number} leaves this client's contribution out"
        )
    seed_bytes = StreamSizes.of_aggregate(federation.sections(manifest.round_number)).seeds_bytes
    for signed, seeds in zip(header.contributors, header.seeds, strict=True):
        public_key = federation.member(signed.header.member).signing_key
        verify_contributor(signed, seeds, seed_bytes=seed_bytes, public_key=public_key, manifest=manifest)


def verify_contributor(
    signed: SignedHeader, seeds: bytes, *, seed_bytes: int, public_key: bytes, manifest: Manifest
) -> None:
    """Checks one contributor's header and seeds.

    Args:
        signed: What it signed.
        seeds: What the aggregate says are its seeds.
        seed_bytes: How long they must be.
        public_key: The contributor's, 32 bytes.
        manifest: The round's.

    Raises:
        AuthenticationError: if they are not what it signed for this round.
    """
    header = signed.header
    if header.round_number != manifest.round_number or header.manifest_digest != manifest.digest:
        raise AuthenticationError(f"{header.member}'s contribution is for another round or manifest")
    if len(seeds) != seed_bytes or hashlib.sha256(seeds).digest() != header.seeds_digest:
        raise AuthenticationError(f"{header.member}'s seeds are not those it signed")
    verify(public_key, signed.signature, header.signed_bytes())
