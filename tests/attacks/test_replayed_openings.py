"""What was said in an opening counts in no round, and the other way round: numbers have signs, and so have digests."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.attempts import Played, cohort_of, encoded
from support.federations import TestFederation
from support.heads import head_learners, make_by_class

from securefl.aggregation.contribution import Binding
from securefl.errors import AuthenticationError, ForgeryError, ProtocolError
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed, signed_bytes
from securefl.protocol.calls import Acknowledge, CohortClosed, CommitAsked, SendAdvert, StageContribution
from securefl.simulation.federation import SimulatedFederation
from securefl_server.round_server import RoundServer

from .conftest import server_of

NUMBERS = (-2, -1, 0, 1, 2)
PAYLOAD = "core"


def by_class(scheme: str) -> TestFederation:
    return make_by_class(scheme=scheme, payload=PAYLOAD)


def zeros(made: TestFederation, number: int) -> Played:
    """Everybody's contribution of zeros, made by the code that makes them all."""
    nothing = np.zeros(made.federation.kind_of(number).total, dtype=np.int64)
    return Played(
        made, round_number=number, integers=dict.fromkeys(made.federation.cohort, nothing), seed=number + 5
    )


def test_no_two_rounds_have_one_digest_signature_or_context() -> None:
    """Two's complement in 8 bytes: -1 is not 1, and not 2^64 - 1 either, which is no round."""
    made = make_by_class(scheme="none")
    cohorts = [cohort_of(made, number) for number in NUMBERS]
    digests = (bytes(32),) * 4
    headers = [ContributionHeader(cohort.attempt, "client-1", *digests, NO_PACKETS) for cohort in cohorts]
    assert len({cohort.manifest.digest for cohort in cohorts}) == len(NUMBERS)
    assert len({signed_bytes(header) for header in headers}) == len(NUMBERS)
    contexts = {Binding.of(cohort).place(0, ciphertexts=1).context for cohort in cohorts}
    assert len(contexts) == len(NUMBERS)


def opened_server(made: TestFederation, folder: Path) -> tuple[RoundServer, Attempt]:
    """A server at its first opening, with the adverts of everybody."""
    server, first = server_of(made.federation, folder), cohort_of(made, made.federation.first_round)
    for member in made.federation.cohort:
        server.presence(member, True)
    for advert in first.adverts:
        server.hear(advert.body.signer, SendAdvert(advert))
    assert isinstance(server.announcement, CohortClosed)
    return server, first.attempt


def staged(played: Played, member: str) -> StageContribution:
    encryption = played.encryptions[member]
    return StageContribution(
        played.cohort.attempt, played.cohort.digest, encryption.body_digest, encryption.seeds, ()
    )


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_the_server_takes_no_contribution_of_an_opening_in_another(scheme: str, tmp_path: Path) -> None:
    made = by_class(scheme)
    server, _ = opened_server(made, tmp_path)
    sent = {number: zeros(made, number) for number in NUMBERS}
    for number in NUMBERS[1:]:
        with pytest.raises(ProtocolError):
            server.hear("client-1", staged(sent[number], "client-1"))
    first = sent[-2]
    for member in made.federation.cohort:
        server.hear(member, staged(first, member))
        assert server.receive(member, first.cohort.attempt, 0, first.bodies[member]).complete
    assert isinstance(server.announcement, CommitAsked)
    everybody = tuple(range(len(made.federation.cohort)))
    for number in NUMBERS[1:]:
        header = sent[number].header("client-1")
        with pytest.raises((ProtocolError, AuthenticationError)):
            server.hear("client-1", Acknowledge(first.cohort.attempt, everybody, header))


def test_a_number_changed_afterwards_breaks_the_signature(tmp_path: Path) -> None:
    made = by_class("none")
    server, attempt = opened_server(made, tmp_path)
    advert = cohort_of(made, 0).adverts[0]
    moved = Signed(dataclasses.replace(advert.body, attempt=attempt), advert.signature)
    other = server_of(made.federation, tmp_path / "other")
    for member in made.federation.cohort:
        other.presence(member, True)
    with pytest.raises(AuthenticationError):
        other.hear("client-1", SendAdvert(moved))
    assert isinstance(server.announcement, CohortClosed)


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_members_refuse_the_sum_of_an_opening_in_the_place_of_another(scheme: str) -> None:
    """Trials and holder bits fill one ciphertext each, so only the authentication tells them apart."""
    made = by_class(scheme)
    everybody = made.federation.cohort
    holders, trials = zeros(made, -2), zeros(made, 0)
    old = holders.total(everybody)
    assert len(old) == len(trials.total(everybody))
    # Behind its certificate, it is another total; certified, it is none of what these members contributed.
    honest = trials.head(everybody, trials.total(everybody))
    with pytest.raises(AuthenticationError, match="not the one that its certificate names"):
        trials.members["client-1"].decrypt_attempt(honest, old, key_sum=trials.key_sum(everybody))
    with pytest.raises(ForgeryError):
        trials.opened(everybody, reader="client-2", body=old)


def test_a_sum_of_another_round_than_the_one_asked_for_ends_a_members_part() -> None:
    made = by_class("none")
    members = {member: made.aggregation(member) for member in made.federation.cohort}

    class Repeating:
        """A network that brings the first sum again and again."""

        def __init__(self) -> None:
            self.first: tuple | None = None

        def upload(self, contribution, *, member: str):
            return contribution

        def download(self, head, body: bytes, *, member: str):
            self.first = self.first or (head, body)
            return self.first

    simulated = SimulatedFederation(
        members, head_learners(made.federation), signing_keys=made.signing_keys, transport=Repeating()
    )
    with pytest.raises(ProtocolError, match="another sum than that of round -1"):
        simulated.run()


def test_a_member_makes_one_contribution_to_an_attempt_of_an_opening() -> None:
    made = by_class("none")
    played = zeros(made, -2)
    nothing = encoded(played.integers["client-1"])
    with pytest.raises(ProtocolError, match="encrypted already"):
        played.members["client-1"].encrypt_attempt(nothing, cohort=played.cohort, salt=bytes(32))
