"""securefl's own ways, from a client's vector to the decrypted mean, in the functions that a round uses.

The rule kept here: a member's part is ``aggregation.encryption`` and ``aggregation.decryption`` themselves, on a
contribution of one section; the server's part is done in its order, digests and signatures included. Only what needs
a network, a disk or a training is left out, and the shares of the short keys, which do not grow with the vector:
``key_round`` measures them.

    client   encode -> pack -> tag -> encrypt (and authenticate) -> wire form -> sign
    server   signature, digests -> range, as a whole -> add, window by window
    reader   signatures, votes -> expand seeds, where there are any | digest -> MACs -> decrypt -> tag -> unpack -> mean
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from securefl.aggregation.contribution import Binding
from securefl.aggregation.decryption import SummedSection, check_total, summed_sections, survivors_of
from securefl.aggregation.encryption import Encryption, Part
from securefl.aggregation.grid import Integers
from securefl.bench.aggregation.grid_encoding import GridEncoding
from securefl.bench.aggregation.key_round import measure_key_round
from securefl.bench.aggregation.measurement import Job, KeyRound
from securefl.bench.aggregation.ways import Float32, Reading, Sent
from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import SectionDecryption
from securefl.crypto.contributor import SALT_BYTES, Contributor
from securefl.crypto.entropy import SYSTEM
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SharedKeys
from securefl.crypto.schemes import Scheme, profile_for
from securefl.crypto.windows import Window, windows
from securefl.identity.signing import SigningKey
from securefl.planning.sample_cohort import SampleCohort, SampleContribution
from securefl.protocol.agreement.signed import Body, Signed, signed_bytes
from securefl.protocol.calls import AggregateHead

FEDERATION_DIGEST = hashlib.sha256(b"securefl bench aggregation").digest()
Aggregate = tuple[AggregateHead, bytes]


SCHEMES: Final[dict[str, Scheme]] = {"securefl": "kahe", "securefl_bfv": "bfv"}
"""The scheme of each of the paths."""


class SecureflPath:
    """Exact sums of our integers, authenticated as contributions are, under the scheme that the job's path names."""

    def __init__(self, job: Job) -> None:
        scheme = self._scheme = SCHEMES[job.path]
        self._encoding = GridEncoding(job)
        self._profile = profile_for(job.cohort, job.precision_bits, scheme=scheme)
        self._ciphertexts = self._profile.ciphertexts_for(self._encoding.length)
        self._keys = _shared_keys(scheme)
        self._cipher = cipher_with(self._keys, scheme=scheme, profile=self._profile)
        self._form = self._cipher.form
        members = tuple(f"client-{number}" for number in range(1, job.cohort + 1))
        self._sample = SampleCohort(
            FEDERATION_DIGEST,
            members,
            signing_keys=[SigningKey.generate() for _ in range(job.cohort)],
            round_number=1,
            key_epoch=self._keys.key_epoch,
        )
        self._cohort = self._sample.cohort
        self._sums = tuple(ResidueSum(self._form, window.count) for window in windows(self._ciphertexts))
        self._received: list[SampleContribution] = []
        self._short_keys: list[ShortKey | None] = []
        macs = "a MAC on every ciphertext, " if scheme == "bfv" else ""
        self.versions = ("securefl", "tenseal", "numpy") if scheme == "bfv" else ("securefl", "numpy")
        self.settings: dict[str, str | int | float] = {
            "scheme": scheme,
            "profile": self._profile.name,
            "poly_modulus_degree": self._profile.poly_modulus_degree,
            "authentication": f"{macs}a tag in the plaintext, Ed25519 over SHA-256",
        }

    def key_round(self) -> KeyRound | None:
        """Costs of sharing the keys, under the scheme that has them."""
        if self._scheme != "kahe":
            return None
        return measure_key_round(len(self._cohort.members), federation_digest=FEDERATION_DIGEST)

    def contribute(self, client: int, vector: Float32) -> Sent[SampleContribution]:
        """Encode, pack, tag, encrypt, authenticate, and sign what is sent."""
        part = Part(self._cipher, self._encoding.length, lambda: self._encoding.runs(client, vector))
        member = self._cohort.members[client]
        encryption = Encryption(
            [part],
            binding=Binding.of(self._cohort),
            contributor=Contributor(member, SYSTEM(SALT_BYTES)),
            tag_key=self._keys.tag,
        )
        self._short_keys.append(encryption.key)
        return _sent(self._sample.complete(encryption, member=member))

    def add(self, client: int, contribution: Sent[SampleContribution]) -> None:
        """Check the whole contribution, then add it."""
        received = contribution.content
        public_key = self._sample.public_key(self._cohort.members[client])
        received.verify(self._cohort, public_key)
        # As the server does: nothing is added before all of a contribution has been found in range.
        for window, data in self._windows(received.body):
            self._form.check_upload(data, ciphertexts=window.count)
        for total, (window, data) in zip(self._sums, self._windows(received.body), strict=True):
            total.add_upload(0, data, ciphertexts=window.count)
        # The residues are in the sum; their bytes are no longer needed, nor does the server keep them in memory.
        self._received.append(received.without_body())

    def publish(self) -> Sent[Aggregate]:
        """Reduces the sums; adverts, everybody's signed header and seeds, and the votes go with them."""
        body = b"".join(self._form.encode_aggregate(total.total()) for total in self._sums)
        head = self._sample.head(self._received, body)
        return Sent((head, body), _head_size(head) + len(body))

    def reader(self, aggregate: Sent[Aggregate]) -> _SecureflReader:
        """Verify and decrypt it."""
        return _SecureflReader(self, aggregate.content)

    def integers(self, client: int, vector: Float32) -> Integers:
        """Integers that ``contribute`` encrypts."""
        return self._encoding.encode(client, vector)

    def summed(self, head: AggregateHead) -> tuple[SummedSection, SectionDecryption]:
        """The one section of a sum, once every signature around it has been verified, and its decryption."""
        self._sample.verify(head)
        (section,) = summed_sections(
            Binding.of(self._cohort),
            survivors_of(head),
            counts=[self._encoding.length],
            ciphers=[self._cipher],
        )
        return section, section.decryption(KeySum.of(self._short_keys))

    def reading(self, section: SummedSection, decryption: SectionDecryption, body: bytes) -> Reading:
        """Verify the published ciphertexts, and decrypt them."""
        decryption.verify(data for _, data in section.windows(body))
        sums = section.integers(decryption, body, tag_key=self._keys.tag)
        return Reading(self._encoding.decode(sums), sums)

    def _windows(self, body: bytes) -> Iterator[tuple[Window, memoryview]]:
        """The bytes of each window."""
        for window in windows(self._ciphertexts):
            start = self._form.upload_bytes(window.first)
            yield window, memoryview(body)[start : start + self._form.upload_bytes(window.count)]


class _SecureflReader:
    def __init__(self, path: SecureflPath, published: Aggregate) -> None:
        self._path = path
        self._head, self._body = published

    def prepare(self) -> None:
        self._section, self._decryption = self._path.summed(self._head)
        self._decryption.prepare()

    def read(self) -> Reading:
        check_total(self._head, self._body)
        return self._path.reading(self._section, self._decryption, self._body)


def _shared_keys(scheme: Scheme) -> SharedKeys:
    if scheme != "bfv":
        return SharedKeys.generate(None)
    from securefl.crypto.bfv import generate_key

    return SharedKeys.generate(generate_key())


def _sent(contribution: SampleContribution) -> Sent[SampleContribution]:
    size = _signed_size(contribution.header) + len(contribution.seeds) + len(contribution.body)
    return Sent(contribution, size)


def _head_size(head: AggregateHead) -> int:
    adverts, votes = (
        sum(map(_signed_size, head.cohort.adverts)),
        sum(map(_signed_size, head.certificate.votes)),
    )
    return adverts + votes + sum(map(_signed_size, head.headers)) + sum(map(len, head.seeds))


def _signed_size(signed: Signed[Body]) -> int:
    return len(signed_bytes(signed.body)) + len(signed.signature)
