"""The server as a process: over real connections to its end, and again from where it was stopped."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import pytest
from support.servers import WAIT_S, Roster, make_roster

from securefl.errors import RunError
from securefl.progress import Event, Listening, RoundFinished, RoundStepped
from securefl.protocol.agreement.cohort import Advert, Cohort
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader, packets_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import SurvivorsVote
from securefl.protocol.calls import (
    Acknowledge,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    FederationClosed,
    FederationFailed,
    FetchPackets,
    Leave,
    RoundOpened,
    SendAdvert,
    SendReveal,
    StageContribution,
    SurvivorsProposed,
)
from securefl.protocol.sections import StreamSizes
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.limits import Patience
from securefl_server.process import ServerOptions
from securefl_server.round_process import serve_rounds

PATIENCE = Patience(connect_s=5.0, reconnect_s=5.0, attempts=20, unary_s=20)


class Whole:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def read(self, offset: int):  # type: ignore[no-untyped-def]
        yield self._data[offset:]


class Running:
    """``serve_rounds`` on a thread."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self.address = ""
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()
        assert self._listening.wait(WAIT_S)

    def end(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server hangs"

    def _run(self, folder: Path) -> None:
        try:
            serve_rounds(folder, ServerOptions(address="127.0.0.1:0"), emit=self._report)
        except RunError as error:
            self.error = error
        finally:
            self._listening.set()

    def _report(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Listening):
            self.address = event.address
            self._listening.set()


class Member:
    """A member over the wire; it goes on in another connection where the first one was cut."""

    def __init__(self, roster: Roster, name: str) -> None:
        self.roster = roster
        self.name = name
        self.cohort: Cohort | None = None
        self.total = b""
        self.body = roster.contribution(name).body
        self.seeds = roster.contribution(name).seeds
        self.shares = any(entry.scheme == "kahe" for entry in roster.view.round_one)

    def sign(self, body):  # type: ignore[no-untyped-def]
        return sign(body, self.roster.keys[self.name])

    def client(self, address: str) -> AggregatorClient:
        return AggregatorClient(
            address,
            self.roster.credentials[self.name],
            federation_digest=self.roster.view.federation_digest,
            patience=PATIENCE,
            process=hashlib.sha256(self.name.encode()).digest()[:16],
        )

    def take_part(self, address: str, *, until: type | None = None) -> None:
        with self.client(address) as client:
            client.join()
            for announcement in client.follow(lambda: None):
                if until is not None and isinstance(announcement, until):
                    return
                self.answer(client, announcement)
                if isinstance(announcement, FederationClosed | FederationFailed):
                    return

    def answer(self, client: AggregatorClient, announcement: Announcement) -> None:
        match announcement:
            case RoundOpened(manifest):
                advert = Advert(manifest.attempt, self.name, manifest.digest, self.body[:32], bytes(32))
                client.ask(SendAdvert(self.sign(advert)))
            case CohortClosed(cohort):
                self.cohort = cohort
                digest = hashlib.sha256(self.body).digest()
                packets = self.packets(cohort)
                head = StageContribution(cohort.attempt, cohort.digest, digest, self.seeds, packets)
                assert client.stage(head, Whole(self.body)).complete
            case CommitAsked(_, staged) if self.cohort is not None:
                received = client.ask(FetchPackets(self.cohort.attempt)).packets
                assert len(received) == (len(staged) - 1 if self.shares else 0)
                client.ask(Acknowledge(self.cohort.attempt, staged, self.header(self.cohort)))
            case SurvivorsProposed(statement):
                client.ask(CastVote(self.sign(SurvivorsVote(statement.attempt, self.name, statement.digest))))
            case Certified(certificate) if self.cohort is not None:
                statement, size = certificate.statement, self.packet_bytes(self.cohort)
                client.ask(
                    SendReveal(self.sign(Reveal(statement.attempt, self.name, statement.digest, bytes(size))))
                )
            case AggregateReady(number):
                file = io.BytesIO()
                sizes = StreamSizes.of_aggregate(self.roster.view.sections(1))
                client.fetch_aggregate(number, file, sizes_of=lambda _cohort: sizes)
                self.total = file.getvalue()
                client.ask(Confirm(number))
            case FederationClosed():
                client.ask(Leave(finished=True))

    def packet_bytes(self, cohort: Cohort) -> int:
        return 2 * self.roster.view.constants.cohort(len(cohort.members)).words + 16

    def packets(self, cohort: Cohort) -> tuple[bytes, ...]:
        if not self.shares:
            return ()
        size = self.packet_bytes(cohort)
        return tuple(b"" if member == self.name else bytes(size) for member in cohort.members)

    def header(self, cohort: Cohort) -> Signed[ContributionHeader]:
        seeds, digest = hashlib.sha256(self.seeds).digest(), hashlib.sha256(self.body).digest()
        packets = packets_digest(self.packets(cohort)) if self.shares else NO_PACKETS
        return self.sign(
            ContributionHeader(cohort.attempt, self.name, cohort.digest, bytes(32), seeds, digest, packets)
        )


def together(members: list[Member], address: str, *, until: type | None = None) -> None:
    threads = [
        threading.Thread(target=member.take_part, args=(address,), kwargs={"until": until}, daemon=True)
        for member in members
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a member hangs"


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    return make_roster(tmp_path / "server", scheme="none", ciphertexts=40)


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_a_federation_runs_to_its_end_over_real_connections(tmp_path: Path, scheme: str) -> None:
    roster = make_roster(tmp_path / "server", scheme=scheme, ciphertexts=40)
    server = Running(roster.folder)
    members = [Member(roster, name) for name in roster.members]
    together(members, server.address)
    server.end()
    assert server.error is None
    whole = roster.form.decode_aggregate(members[0].total, ciphertexts=roster.ciphertexts)
    assert (whole.residues == roster.expected_sum()).all()
    assert (whole.macs == roster.expected_macs()).all()
    assert [event.round_number for event in server.events if isinstance(event, RoundFinished)] == [1]


def test_a_server_that_was_stopped_goes_on_in_the_same_folder(roster: Roster) -> None:
    first = Running(roster.folder)
    members = [Member(roster, name) for name in roster.members]
    together(members, first.address, until=CommitAsked)
    with members[0].client(first.address) as client:
        client.ask(Leave(finished=False, last_words="it was stopped by its operator"))
    first.end()
    assert "client-1 left the federation" in str(first.error)
    second = Running(roster.folder)
    together(members, second.address)
    second.end()
    assert second.error is None
    steps = [event.step for event in second.events if isinstance(event, RoundStepped)]
    assert steps[0] == "run-resumed"
    assert "contribution-staged" not in steps
    assert len({member.total for member in members}) == 1
