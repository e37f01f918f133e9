"""securefl's own ways, from a client's vector to the decrypted mean, in the functions that a round uses.

The rule kept here: a member's part is ``aggregation.encryption`` and ``aggregation.decryption`` themselves, on a
contribution of one section; the server's part is done in its order, digests and signatures included. Only what needs
a network, a disk or a training is left out, and the shares of the short keys, which are the same few kilobytes and
milliseconds for every vector.

    client   encode -> pack -> tag -> encrypt (and authenticate) -> wire form -> sign
    server   signature, digests -> range, as a whole -> add, window by window
    reader   signatures, digests -> expand seeds, where there are any | MACs -> decrypt -> tag -> unpack -> mean
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from securefl.aggregation.contribution import Binding, Contribution
from securefl.aggregation.decryption import SummedSection, summed_sections
from securefl.aggregation.encryption import Part
from securefl.aggregation.grid import Integers
from securefl.aggregation.roster_sum import verify_contributor
from securefl.aggregation.signed_encryption import NO_SALT, SignedEncryption, encrypt_at_once
from securefl.bench.aggregation.grid_encoding import GridEncoding
from securefl.bench.aggregation.measurement import Job
from securefl.bench.aggregation.ways import Float32, Reading, Sent
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import SectionDecryption
from securefl.crypto.contributor import Contributor
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SharedKeys
from securefl.crypto.schemes import Scheme, profile_for
from securefl.crypto.windows import windows
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError
from securefl.identity.signing import SigningKey
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader

FEDERATION_DIGEST = hashlib.sha256(b"securefl bench aggregation").digest()
Aggregate = tuple[AggregateHeader, bytes]


SCHEMES: Final[dict[str, Scheme]] = {"securefl": "kahe", "securefl_bfv": "bfv"}
"""The scheme of each of the paths."""


class SecureflPath:
    """Exact sums of our integers, authenticated as contributions are, under the scheme that the job's path names."""

    def __init__(self, job: Job) -> None:
        scheme = SCHEMES[job.path]
        self._encoding = GridEncoding(job)
        self._profile = profile_for(job.cohort, job.precision_bits, scheme=scheme)
        self._ciphertexts = self._profile.ciphertexts_for(self._encoding.length)
        self._keys = _shared_keys(scheme)
        self._cipher = cipher_with(self._keys, scheme=scheme, profile=self._profile)
        self._form = self._cipher.form
        members = tuple(f"client-{number}" for number in range(1, job.cohort + 1))
        self._manifest = Manifest(FEDERATION_DIGEST, 1, members)
        self._signing_keys = tuple(SigningKey.generate() for _ in range(job.cohort))
        self._public_keys = tuple(key.public_key for key in self._signing_keys)
        self._sums = tuple(ResidueSum(self._form, window.count) for window in windows(self._ciphertexts))
        self._received: list[Contribution] = []
        self._short_keys: list[ShortKey | None] = []
        macs = "a MAC on every ciphertext, " if scheme == "bfv" else ""
        self.versions = ("securefl", "tenseal", "numpy") if scheme == "bfv" else ("securefl", "numpy")
        self.settings: dict[str, str | int | float] = {
            "scheme": scheme,
            "profile": self._profile.name,
            "poly_modulus_degree": self._profile.poly_modulus_degree,
            "authentication": f"{macs}a tag in the plaintext, Ed25519 over SHA-256",
        }

    def contribute(self, client: int, vector: Float32) -> Sent[Contribution]:
        """Encodes, packs, tags, encrypts, authenticates, and signs what is sent."""
        part = Part(self._cipher, self._encoding.length, lambda: self._encoding.runs(client, vector))
        encryption = SignedEncryption(
            [part],
            manifest=self._manifest,
            member=self._manifest.cohort[client],
            keys=self._keys,
            signing_key=self._signing_keys[client],
        )
        self._short_keys.append(encryption.key)
        return _sent(encrypt_at_once(encryption))

    def add(self, client: int, contribution: Sent[Contribution]) -> None:
        """Checks the whole contribution, then adds it."""
        received = contribution.content
        self._check(client, received)
        # As the server does: decoding refuses what is out of range, so the first pass is the check.
        for _ in self._decoded(received.body):
            pass
        for total, window in zip(self._sums, self._decoded(received.body), strict=True):
            total.add(0, window)
        # The residues are in the sum; their bytes are no longer needed, nor does the server keep them in memory.
        self._received.append(Contribution(received.signed, received.seeds, b""))

    def publish(self) -> Sent[Aggregate]:
        """Reduces the sums; everybody's signed header and seeds go with them."""
        body = b"".join(self._form.encode_aggregate(total.total()) for total in self._sums)
        header = AggregateHeader(
            round_number=self._manifest.round_number,
            contributors=tuple(received.signed for received in self._received),
            seeds=tuple(received.seeds for received in self._received),
            body_bytes=len(body),
            aggregate_seconds=0.0,
        )
        headers = sum(_header_size(signed) for signed in header.contributors)
        return Sent((header, body), headers + sum(map(len, header.seeds)) + len(body))

    def reader(self, aggregate: Sent[Aggregate]) -> _SecureflReader:
        """Verifies and decrypts it."""
        return _SecureflReader(self, aggregate.content)

    def integers(self, client: int, vector: Float32) -> Integers:
        """Integers that ``contribute`` encrypts."""
        return self._encoding.encode(client, vector)

    def summed(self, header: AggregateHeader) -> tuple[SummedSection, SectionDecryption]:
        """The one section of an aggregate, once every contributor in it has been verified, and its decryption."""
        for client, (signed, own) in enumerate(zip(header.contributors, header.seeds, strict=True)):
            self._verify(client, signed, own)
        (section,) = summed_sections(
            Binding.of_manifest(self._manifest, key_epoch=self._keys.key_epoch),
            [
                (Contributor(member, NO_SALT), seeds)
                for member, seeds in zip(self._manifest.cohort, header.seeds, strict=True)
            ],
            counts=[self._encoding.length],
            ciphers=[self._cipher],
        )
        return section, section.decryption(KeySum.of(self._short_keys))

    def reading(self, section: SummedSection, decryption: SectionDecryption, body: bytes) -> Reading:
        """Verifies the published ciphertexts, and decrypts them."""
        decryption.verify(data for _, data in section.windows(body))
        sums = section.integers(decryption, body, tag_key=self._keys.tag)
        return Reading(self._encoding.decode(sums), sums)

    def _check(self, client: int, received: Contribution) -> None:
        self._verify(client, received.signed, received.seeds)
        if hashlib.sha256(received.body).digest() != received.signed.header.body_digest:
            raise AuthenticationError(f"{received.signed.header.member}'s residues are not those it signed")

    def _verify(self, client: int, signed: SignedHeader, seeds: bytes) -> None:
        verify_contributor(
            signed,
            seeds,
            seed_bytes=self._form.seeds_bytes(self._ciphertexts),
            public_key=self._public_keys[client],
            manifest=self._manifest,
        )

    def _decoded(self, body: bytes) -> Iterator[Ciphertexts]:
        """The ciphertexts of each window."""
        for window in windows(self._ciphertexts):
            start = self._form.upload_bytes(window.first)
            data = memoryview(body)[start : start + self._form.upload_bytes(window.count)]
            yield self._form.decode_upload(data, ciphertexts=window.count)


class _SecureflReader:
    def __init__(self, path: SecureflPath, published: Aggregate) -> None:
        self._path = path
        self._header, self._body = published

    def prepare(self) -> None:
        self._section, self._decryption = self._path.summed(self._header)
        self._decryption.prepare()

    def read(self) -> Reading:
        return self._path.reading(self._section, self._decryption, self._body)


def _shared_keys(scheme: Scheme) -> SharedKeys:
    if scheme != "bfv":
        return SharedKeys.generate(None)
    from securefl.crypto.bfv import generate_key

    return SharedKeys.generate(generate_key())


def _sent(contribution: Contribution) -> Sent[Contribution]:
    size = _header_size(contribution.signed) + len(contribution.seeds) + len(contribution.body)
    return Sent(contribution, size)


def _header_size(signed: SignedHeader) -> int:
    return len(signed.header.signed_bytes()) + len(signed.signature)
