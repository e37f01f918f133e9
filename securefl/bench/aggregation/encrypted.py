"""securefl's own way, from a client's vector to the decrypted mean, in the functions that a round uses.

The rule kept here: a member's part is ``aggregation.encryption`` and ``aggregation.decryption`` themselves, on a
contribution of one section; the server's part is done in its order, digests and signatures included. Only what needs
a network, a disk or a training is left out.

    client   encode -> pack -> tag -> encrypt -> authenticate -> wire form -> sign
    server   signature, digests -> range, as a whole -> add, window by window
    reader   signatures, digests -> expand the seeds | decode -> MACs -> decrypt -> tags -> unpack -> mean
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from securefl.aggregation.contribution import Contribution
from securefl.aggregation.decryption import SummedSection, verify_contributor
from securefl.aggregation.encryption import Encryption, Part, encrypt_at_once
from securefl.aggregation.grid import Integers
from securefl.bench.aggregation.grid_encoding import GridEncoding
from securefl.bench.aggregation.measurement import Job
from securefl.bench.aggregation.ways import Float32, Reading, Sent
from securefl.crypto.addition import ResidueSum
from securefl.crypto.bfv import BfvCipher, generate_key
from securefl.crypto.cipher import Decryption
from securefl.crypto.keys import SharedKeys
from securefl.crypto.profiles import profile_for
from securefl.crypto.windows import windows
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import AuthenticationError
from securefl.identity.signing import SigningKey
from securefl.protocol.messages import AggregateHeader, Manifest, SignedHeader

FEDERATION_DIGEST = hashlib.sha256(b"securefl bench aggregation").digest()
Aggregate = tuple[AggregateHeader, bytes]


class SecureflPath:
    """Exact BFV sums of our integers, authenticated as contributions are."""

    versions = ("securefl", "tenseal", "numpy")

    def __init__(self, job: Job) -> None:
        self._encoding = GridEncoding(job)
        self._profile = profile_for(job.cohort, job.precision_bits)
        self._ciphertexts = self._profile.ciphertexts_for(self._encoding.length)
        cipher_key = generate_key()
        self._cipher = BfvCipher(self._profile, cipher_key)
        self._keys = SharedKeys.generate(cipher_key)
        self._form = self._cipher.form
        members = tuple(f"client-{number}" for number in range(1, job.cohort + 1))
        self._manifest = Manifest(FEDERATION_DIGEST, 1, members)
        self._signing_keys = tuple(SigningKey.generate() for _ in range(job.cohort))
        self._public_keys = tuple(key.public_key for key in self._signing_keys)
        self._sums = tuple(ResidueSum(self._form, window.count) for window in windows(self._ciphertexts))
        self._received: list[Contribution] = []
        self.settings: dict[str, str | int | float] = {
            "profile": self._profile.name,
            "poly_modulus_degree": self._profile.poly_modulus_degree,
            "authentication": "a MAC on every ciphertext, two tags in the plaintext, Ed25519 over SHA-256",
        }

    def contribute(self, client: int, vector: Float32) -> Sent[Contribution]:
        """Encodes, packs, tags, encrypts, authenticates, and signs what is sent."""
        part = Part(self._cipher, self._encoding.length, lambda: self._encoding.runs(client, vector))
        encryption = Encryption(
            [part],
            manifest=self._manifest,
            member=self._manifest.cohort[client],
            keys=self._keys,
            signing_key=self._signing_keys[client],
        )
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

    def summed(self, header: AggregateHeader) -> SummedSection:
        """The one section of an aggregate, once every contributor in it has been verified."""
        seeds = tuple(zip(self._manifest.cohort, header.seeds, strict=True))
        for client, (signed, own) in enumerate(zip(header.contributors, header.seeds, strict=True)):
            self._verify(client, signed, own)
        return SummedSection(0, self._encoding.length, self._cipher, 0, seeds)

    def reading(self, section: SummedSection, body: bytes, decryptions: Iterable[Decryption]) -> Reading:
        """Verifies the published ciphertexts, and decrypts them with decryptions that have all seeds."""
        section.verify(body, manifest=self._manifest, keys=self._keys)
        sums = section.decrypt(body, manifest=self._manifest, keys=self._keys, decryptions=decryptions)
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
        self._section = self._path.summed(self._header)
        self._decryptions = tuple(self._section.decryptions())

    def read(self) -> Reading:
        return self._path.reading(self._section, self._body, self._decryptions)


def _sent(contribution: Contribution) -> Sent[Contribution]:
    size = _header_size(contribution.signed) + len(contribution.seeds) + len(contribution.body)
    return Sent(contribution, size)


def _header_size(signed: SignedHeader) -> int:
    return len(signed.header.signed_bytes()) + len(signed.signature)
