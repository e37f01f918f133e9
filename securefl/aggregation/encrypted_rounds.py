"""A member's use of the keys, attempt after attempt: one encryption and one verdict for each.

The rule kept here: an attempt's contribution is encrypted once; of an attempt one total is looked at, the certified
one; and after a ciphertext was refused as forged the keys are not used again.

    encrypt   divide into sections, then ``encryption``: pack, tag, encrypt
    decrypt   ``decryption``: verify, decrypt, tags, unpack; then join the sections

References: ``encryption``, ``decryption`` and ``selection`` for theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.clock import SILENT, StageClock
from securefl.aggregation.contribution import Binding
from securefl.aggregation.decryption import (
    Body,
    check_total,
    decrypt_sections,
    summed_sections,
    survivors_of,
)
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encryption import Encryption, Part
from securefl.aggregation.selection import Selection
from securefl.crypto.authentication import forgery
from securefl.crypto.cipher import Cipher
from securefl.crypto.contributor import Contributor
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.kahe.keys import KeySum
from securefl.crypto.keys import SharedKeys
from securefl.errors import ForgeryError, ProtocolError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import AggregateHead
from securefl.protocol.federation import Federation


class EncryptedRounds:
    """A member's contributions under the shared keys, and its verdicts on their sums.

    Guarantee: of an attempt one total is judged, and none after the MAC of a ciphertext was refused, so the server
    learns one verdict an attempt at most. Under one-time keys the same total may be tried with several sums of keys,
    since reveals may be wrong: the total is the certified one, so this teaches nothing. Assumption: one such object
    uses the keys; a refusal that must outlive the process is the caller's to keep. Source:
    ``tests/aggregation/test_verdicts.py``.

    Args:
        federation: The pinned federation.
        member: This member's id.
        cipher: With the federation's keys.
        keys: The shared keys; the tag key is used here.
        selection: Divides integers into sections, and knows the masks.
        clock: Times windows.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        member: str,
        selection: Selection,
        cipher: Cipher,
        keys: SharedKeys,
        clock: StageClock = SILENT,
    ) -> None:
        self._federation = federation
        self._member = member
        self._cipher = cipher
        self._keys = keys
        self._clock = clock
        self._selection = selection
        self._encrypted: set[Attempt] = set()
        self._totals: dict[Attempt, bytes] = {}
        self._refused = False

    def encrypt_attempt(
        self,
        encoded: EncodedContribution,
        *,
        cohort: Cohort,
        salt: bytes,
    ) -> Encryption:
        """Encrypt the contribution to an attempt, once, as its windows are asked for.

        Args:
            encoded: What goes into it, sensitivity scores included.
            cohort: The attempt's.
            salt: Fresh randomness (32 bytes), for its header too.

        Raises:
            ProtocolError: if this attempt was encrypted already (a retry sends the same bytes again).
            ForgeryError: if a ciphertext was refused: nothing is encrypted under these keys any more.
        """
        self._check_keys()
        if cohort.attempt in self._encrypted:
            raise ProtocolError(
                f"an attempt of round {cohort.attempt.round_number} was encrypted already",
                hint="send the same bytes again",
            )
        self._encrypted.add(cohort.attempt)
        return Encryption(
            self._parts(encoded, round_number=cohort.attempt.round_number),
            binding=Binding.of(cohort),
            contributor=Contributor(self._member, salt),
            tag_key=self._keys.tag,
            clock=self._clock,
        )

    def decrypt_attempt(
        self, head: AggregateHead, body: Body, *, key_sum: KeySum | None
    ) -> NDArray[np.int64]:
        """Decrypt a certified total to the exact sums (D,), int64, of its survivors' integers.

        Args:
            head: Verified: cohort, certificate, headers.
            body: The total.
            key_sum: The sum of the survivors' keys, under a scheme that has them. Where a sum of keys leads to no
                sum of contributions, the same total may be tried with another.

        Raises:
            ProtocolError: if another total of this attempt was judged before, or this one, by a lasting key.
            AuthenticationError, WireError, ForgeryError: see ``survivors_of``, ``check_total``, ``decrypt_sections``.
        """
        self._check_keys()
        check_total(head, body)
        number = head.cohort.attempt.round_number
        sections = summed_sections(
            Binding.of(head.cohort),
            survivors_of(head),
            counts=self._federation.kind_of(number).section_values,
            ciphers=self._ciphers(number),
        )
        self._judge(head, retried=key_sum is not None)
        try:
            sums = decrypt_sections(sections, body, tag_key=self._keys.tag, key_sum=key_sum)
        except ForgeryError as error:
            self._refused = self._refused or error.refuses_keys
            raise
        return self._selection.together(sums, round_number=number)

    def _parts(self, encoded: EncodedContribution, *, round_number: int) -> list[Part]:
        counts = self._federation.kind_of(round_number).section_values
        divided = self._selection.divided(encoded.runs, round_number=round_number)
        return [
            Part(cipher, values, runs)
            for cipher, values, runs in zip(self._ciphers(round_number), counts, divided, strict=True)
        ]

    def _ciphers(self, round_number: int) -> tuple[Cipher, ...]:
        """The cipher of each section of a round."""
        return tuple(
            IntegerTwin(self._federation.profile) if scheme == "none" else self._cipher
            for scheme in self._federation.section_schemes(round_number)
        )

    def _judge(self, head: AggregateHead, *, retried: bool) -> None:
        """Note the one total of an attempt that is looked at."""
        statement = head.certificate.statement
        known = self._totals.get(statement.attempt)
        if known is not None and (known != statement.digest or not retried):
            raise ProtocolError(
                f"a total of round {statement.attempt.round_number} was decrypted already",
                hint="the verdict on an aggregate is final",
            )
        self._totals[statement.attempt] = statement.digest

    def _check_keys(self) -> None:
        """Refuse to go on with keys under which a ciphertext was refused."""
        if self._refused:
            raise forgery(refuses_keys=True)
