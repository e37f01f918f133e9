"""A member's use of the keys, round after round: one encryption and one verdict a round.

The rule kept here: a round's contribution is encrypted once, a round's aggregate is looked at once, whatever comes of
it, and after an aggregate was refused as forged the keys are not used again.

    encrypt   divide into sections, then ``encryption``: pack, tag, encrypt, MAC, sign
    decrypt   ``decryption``: verify, decrypt, tags, unpack; then join the sections

References: ``encryption``, ``decryption`` and ``selection`` for theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.clock import SILENT, StageClock
from securefl.aggregation.decryption import Body, decrypt_aggregate
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encryption import Encryption, Part
from securefl.aggregation.selection import Selection
from securefl.crypto.authentication import forgery
from securefl.crypto.cipher import Cipher
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.keys import SharedKeys
from securefl.errors import ForgeryError, ProtocolError
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation
from securefl.protocol.messages import AggregateHeader, Manifest


@dataclass(frozen=True, slots=True)
class PreparedContribution:
    """A round's contribution before its first window is made.

    Attributes:
        encoded: Its integers, and what was clipped of them once all windows are made.
        encryption: Its windows, seeds and signed header, each made once.
    """

    encoded: EncodedContribution
    encryption: Encryption


class EncryptedRounds:
    """A member's contributions under the shared keys, and its verdicts on their sums.

    Guarantee: an aggregate is judged once a round, and none is judged after a refusal, so the server learns one verdict
    a round at most. Assumption: one such object uses the keys; a refusal that must outlive the process is the caller's
    to keep. Source: ``tests/aggregation/test_verdicts.py``.

    Args:
        federation: The pinned federation.
        member: This member's id.
        cipher: With the federation's key.
        keys: The shared keys; its MAC and tag keys are used here.
        signing_key: This member's.
        selection: Divides integers into sections, and knows the masks.
        clock: Times windows and signatures.
    """

    def __init__(
        self,
        federation: Federation,
        *,
        member: str,
        selection: Selection,
        cipher: Cipher,
        keys: SharedKeys,
        signing_key: SigningKey,
        clock: StageClock = SILENT,
    ) -> None:
        self._federation = federation
        self._member = member
        self._cipher = cipher
        self._keys = keys
        self._signing_key = signing_key
        self._clock = clock
        self._selection = selection
        self._contributions: dict[int, Encryption] = {}
        self._judged: set[int] = set()
        self._refused = False

    def encrypt(self, encoded: EncodedContribution, *, manifest: Manifest) -> Encryption:
        """Encrypts and signs the round's contribution, once, as its windows are asked for.

        Args:
            encoded: What goes into it, sensitivity scores included.
            manifest: The open round.

        Raises:
            ProtocolError: if this round was encrypted already (a retry sends the same bytes again).
            ForgeryError: if an aggregate was refused: nothing is encrypted under its keys any more.
        """
        self._check_keys()
        number = manifest.round_number
        if number in self._contributions:
            raise ProtocolError(f"round {number} was encrypted already", hint="send the same bytes again")
        counts = self._federation.kind_of(number).section_values
        divided = self._selection.divided(encoded.runs, round_number=number)
        parts = [
            Part(cipher, values, runs)
            for cipher, values, runs in zip(self._ciphers(number), counts, divided, strict=True)
        ]
        encryption = Encryption(
            parts,
            manifest=manifest,
            member=self._member,
            keys=self._keys,
            signing_key=self._signing_key,
            clock=self._clock,
        )
        self._contributions[number] = encryption
        return encryption

    def decrypt(self, header: AggregateHeader, body: Body, *, manifest: Manifest) -> NDArray[np.int64]:
        """Verifies and decrypts an aggregate to the exact sums (D,), int64; one a round, and the verdict is final.

        Raises:
            ProtocolError: if this member has no contribution in the round, or was given an aggregate of it already.
            AuthenticationError, WireError: see ``decrypt_aggregate``.
            ForgeryError: if it is not the sum of what its contributors encrypted, or one before it was not: the keys
                must be renewed.
        """
        self._check_keys()
        number = manifest.round_number
        if number not in self._contributions:
            raise ProtocolError(f"{self._member} did not contribute to round {number}")
        if number in self._judged:
            raise ProtocolError(
                f"round {number} was decrypted already", hint="the verdict on an aggregate is final"
            )
        self._judged.add(number)
        try:
            sums = decrypt_aggregate(
                header,
                body,
                federation=self._federation,
                manifest=manifest,
                own=self._contributions[number].signed(),
                ciphers=self._ciphers(number),
                keys=self._keys,
            )
        except ForgeryError:
            self._refused = True
            raise
        return self._selection.together(sums, round_number=number)

    def _ciphers(self, round_number: int) -> tuple[Cipher, ...]:
        """The cipher of each section of a round."""
        return tuple(
            IntegerTwin(self._federation.profile) if scheme == "none" else self._cipher
            for scheme in self._federation.section_schemes(round_number)
        )

    def _check_keys(self) -> None:
        """Refuses to go on with keys under which an aggregate was refused."""
        if self._refused:
            raise forgery()
