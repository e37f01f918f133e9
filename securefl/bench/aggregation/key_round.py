"""One-time keys of a round: the costs of their shares at one member, beside encryption.

The rule kept here: the steps are those of ``securefl_client.key_shares``, with the packets and reveals of a whole
cohort of honest members; nothing of it grows with the vector. What others do is done outside of the laps.

    deal     share the own key, and seal a packet to every other member
    open     open the packets of all others, and read their shares
    reveal   add the shares of all survivors, and seal their sum
    combine  open t reveals, and the sum of all keys from them
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from securefl.bench.aggregation.measurement import KeyRound
from securefl.bench.stopwatch import Stopwatch
from securefl.config.cohort import MIN_COHORT
from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.dealt_keys import KeyKind
from securefl.crypto.entropy import SYSTEM
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.thresholds import RosterConstants, default_min_clients
from securefl.errors import RunError
from securefl.identity.signing import SigningKey
from securefl.planning.sample_cohort import SampleCohort, SampleContribution
from securefl.protocol import wire_calls
from securefl.protocol.agreement.commitment import SALT_BYTES, packets_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.signed import DIGEST_BYTES, Signed
from securefl.protocol.calls import Acknowledge, AggregateHead, Certified, SendReveal
from securefl.protocol.wire_announcements import encode_announcement
from securefl_client.key_shares import DealtShares, KeyShares

KEY_EPOCH, ROUND = 1, 1
MEASURED = 0
"""Index of the member whose steps are timed."""


def measure_key_round(members: int, *, federation_digest: bytes) -> KeyRound | None:
    """Play the shares of one round among so many members; None where they are too few for any.

    Args:
        members: Size of the cohort, all of the roster.
        federation_digest: What everything is bound to (32 bytes).

    Raises:
        RunError: if the reveals do not lead to the sum of the keys.
    """
    if members < MIN_COHORT:
        return None
    # A small round first, so that no lap pays for a first call.
    _KeyRound(MIN_COHORT, federation_digest).play()
    return _KeyRound(members, federation_digest).play()


class _KeyRound:
    """Everybody's keys and shares."""

    def __init__(self, members: int, federation_digest: bytes) -> None:
        ids = tuple(f"client-{number}" for number in range(1, members + 1))
        signing_keys = [SigningKey.generate() for _ in ids]
        self._sample = SampleCohort(
            federation_digest, ids, signing_keys=signing_keys, round_number=ROUND, key_epoch=KEY_EPOCH
        )
        self._cohort = self._sample.cohort
        self._rules = Rules(
            federation_digest=federation_digest,
            key_epoch=KEY_EPOCH,
            members=ids,
            public_key_of=self._sample.public_key,
            constants=RosterConstants.of(members, min_clients=default_min_clients(members)),
            packets=True,
        )
        secret = SYSTEM(DIGEST_BYTES)
        self._shares = [
            KeyShares(self._rules, member=member, channels=_Channels(member, secret)) for member in ids
        ]
        self._keys = [ShortKey.fresh() for _ in ids]
        self._bodies = [SYSTEM(DIGEST_BYTES) for _ in ids]
        self._watch = Stopwatch()

    def play(self) -> KeyRound:
        """Every step of every member, those of one timed."""
        dealt = [self._deal(place) for place in range(len(self._keys))]
        held = [self._opened(place, dealt) for place in range(len(self._keys))]
        head = self._head(dealt)
        helpers = self._cohort.members[: self._rules.sizes(self._cohort).threshold]
        reveals = tuple(self._reveal(place, head, held[place]) for place, member in enumerate(helpers))
        self._combine(replace(head, reveals=reveals))
        return self._figures(dealt[MEASURED], head, reveals)

    def _deal(self, place: int) -> DealtShares:
        with self._watch.lap(_name("deal", place)):
            return self._shares[place].deal(self._keys[place], self._cohort, body_digest=self._bodies[place])

    def _opened(self, place: int, dealt: Sequence[DealtShares]) -> list[bytes]:
        with self._watch.lap(_name("open", place)):
            return [
                each.own if sender == place else self._open(each.packets[place], place, sender)
                for sender, each in enumerate(dealt)
            ]

    def _open(self, packet: bytes, place: int, sender: int) -> bytes:
        share = self._shares[place].opened(
            packet, self._cohort, sender=sender, body_digest=self._bodies[sender]
        )
        if share is None:
            raise RunError("a packet of the measured cohort did not open")
        return share

    def _head(self, dealt: Sequence[DealtShares]) -> AggregateHead:
        nothing = hashlib.sha256(b"").digest()
        contributions = [
            SampleContribution(
                self._sample.header(
                    member,
                    salt=SYSTEM(SALT_BYTES),
                    seeds_digest=nothing,
                    body_digest=body,
                    packets=packets_digest(each.packets),
                ),
                b"",
                b"",
            )
            for member, body, each in zip(self._cohort.members, self._bodies, dealt, strict=True)
        ]
        return self._sample.head(contributions, b"")

    def _reveal(self, place: int, head: AggregateHead, held: Sequence[bytes]) -> Signed[Reveal]:
        statement, sizes = head.certificate.statement, self._rules.sizes(self._cohort)
        member = self._cohort.members[place]
        with self._watch.lap(_name("reveal", place)):
            sealed = self._shares[place].revealed(held, statement, sizes)
            return self._sample.signed(Reveal(statement.attempt, member, statement.digest, sealed))

    def _combine(self, head: AggregateHead) -> None:
        with self._watch.lap(_name("combine", MEASURED)):
            found = next(self._shares[MEASURED].sums_of_keys(head), None)
        true = KeySum.of(self._keys)
        if found is None or true is None or not _are_equal(found, true):
            raise RunError("the reveals of the measured cohort do not lead to the sum of its keys")

    def _figures(
        self, dealt: DealtShares, head: AggregateHead, reveals: Sequence[Signed[Reveal]]
    ) -> KeyRound:
        everybody = tuple(range(len(self._keys)))
        acknowledgement = Acknowledge(self._cohort.attempt, everybody, head.headers[MEASURED])
        steps = {step: self._watch.laps(step)[0] for step in ("deal", "open", "reveal", "combine")}
        return KeyRound(
            **steps,
            packets_bytes=sum(map(len, dealt.packets)),
            acknowledgement_bytes=len(wire_calls.encode_acknowledge(acknowledgement)),
            certificate_bytes=len(encode_announcement(Certified(head.certificate))),
            reveal_bytes=len(wire_calls.encode_reveal(SendReveal(reveals[MEASURED]))),
            reveals=len(reveals),
        )


class _Channels:
    """Keys that all members derive from one secret, where a federation deals them."""

    def __init__(self, member: str, secret: bytes) -> None:
        self._member = member
        self._secret = secret

    def pair(self, member: str, round_number: int) -> ChannelKey:
        """The key between this member and another."""
        low, high = sorted((member, self._member))
        key = hashlib.sha256(self._secret + f"{low} {high}".encode()).digest()
        return ChannelKey(KeyKind.PAIR, round_number, key)

    def group(self, round_number: int) -> ChannelKey:
        """The key that all members have."""
        return ChannelKey(KeyKind.GROUP, round_number, self._secret)

    def forget_before(self, round_number: int) -> None:
        """Keep everything: there is one round."""


def _are_equal(one: KeySum, other: KeySum) -> bool:
    parts = zip(one.spectrum.parts, other.spectrum.parts, strict=True)
    return all(mine[0] == theirs[0] and np.array_equal(mine[1], theirs[1]) for mine, theirs in parts)


def _name(step: str, place: int) -> str:
    """Name of a lap: the step's at the measured member, another one at the others."""
    return step if place == MEASURED else f"{step} of others"
