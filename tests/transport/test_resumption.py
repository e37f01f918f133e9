"""Bodies over lines that break: they go on where they broke off, arrive whole, and nothing is sent twice."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.ports import free_address
from support.round_service import HeldBody, HeldService, listening
from support.rounds import COHORT, HEAD, STAGE, STAGE_SIZES, STATEMENT
from support.servers import DIGEST, PROCESS, WAIT_S
from transport.shaping import shaped

from securefl.errors import ProtocolError, TransportError, WireError
from securefl.protocol.calls import StageContribution, Staged
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_aggregates import aggregate_preface
from securefl.protocol.wire_staging import PART_BYTES, StageSizes
from securefl.transport import aggregator_server
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.limits import Patience
from securefl.transport.refusals import Reason, Refusal
from securefl.transport.service_calls import Call
from securefl.transport.telemetry import Direction

PATIENT = Patience(connect_s=WAIT_S, reconnect_s=WAIT_S, attempts=3, unary_s=60)
PARTS = 4
BODY = random.Random(7).randbytes(PARTS * PART_BYTES + 1000)
SIZES: StageSizes = replace(STAGE_SIZES, body_bytes=len(BODY))
CONTRIBUTION: StageContribution = replace(STAGE, body_digest=hashlib.sha256(BODY).digest())
AGGREGATE = replace(HEAD, body_bytes=len(BODY))


def sizes_of(cohort: object) -> StreamSizes:
    assert cohort == COHORT
    return StreamSizes(64, len(BODY))


@pytest.fixture
def service() -> HeldService:
    return HeldService(sizes_=SIZES, head=AGGREGATE, total=BODY)


@pytest.fixture
def client_at(certificates) -> Callable[..., AggregatorClient]:
    def make(address: str, patience: Patience = PATIENT, **options: object) -> AggregatorClient:
        return AggregatorClient(
            address,
            certificates.client,
            federation_digest=DIGEST,
            patience=patience,
            process=PROCESS,
            jitter=random.Random(1),
            **options,
        )

    return make


@pytest.mark.parametrize("cut_at", range(PARTS + 1))
def test_an_upload_that_is_cut_before_any_chunk_goes_on(service, certificates, client_at, cut_at) -> None:
    body = HeldBody(BODY)
    with listening(service, certificates.server) as address, shaped(address) as proxy:
        service.before_chunk = lambda number: proxy.cut() if number == cut_at and not proxy.cuts else None
        with client_at(proxy.address) as client:
            assert client.stage(CONTRIBUTION, body) == Staged(len(BODY), complete=True)
        assert proxy.cuts == 1
    assert bytes(service.body) == BODY
    assert service.staged == CONTRIBUTION


@pytest.mark.parametrize("cut_at", range(PARTS + 1))
def test_a_download_that_is_cut_before_any_piece_goes_on(
    service, certificates, client_at, cut_at: int
) -> None:
    file = io.BytesIO(b"left over from another round")
    with listening(service, certificates.server) as address, shaped(address) as proxy:
        service.before_piece = lambda number: proxy.cut() if number == cut_at and not proxy.cuts else None
        with client_at(proxy.address) as client:
            assert client.fetch_aggregate(1, file, sizes_of=sizes_of) == AGGREGATE
        assert proxy.cuts == 1
    assert file.getvalue() == BODY
    assert service.offsets == sorted(service.offsets)


def test_an_upload_that_is_cut_at_every_chunk_sends_every_byte_once_to_the_body(
    service, certificates, client_at
) -> None:
    broken = threading.Semaphore(0)

    class OneAtATime(HeldBody):
        def read(self, offset: int):
            self.reads.append(offset)
            yield self.data[offset : offset + PART_BYTES]
            broken.acquire(timeout=WAIT_S)
            yield self.data[offset + PART_BYTES :]

    body = OneAtATime(BODY)
    with listening(service, certificates.server) as address, shaped(address) as proxy:

        def cut(number: int) -> None:
            proxy.cut()
            broken.release()

        service.before_chunk = cut
        with client_at(proxy.address) as client:
            assert client.stage(CONTRIBUTION, body).complete
        assert proxy.cuts == PARTS + 1
    assert [offset for offset, _ in service.chunks] == [PART_BYTES * part for part in range(PARTS + 1)]
    assert body.reads == [PART_BYTES * part for part in range(PARTS + 1)], (
        "nothing that is there is read again"
    )


def test_a_body_that_is_there_is_not_sent_again(service, certificates, client_at) -> None:
    service.staged, service.body = CONTRIBUTION, bytearray(BODY)
    sent: list[str] = []

    def observe(direction: Direction, call: str, message: bytes) -> None:
        sent.append(call)

    body = HeldBody(BODY)
    with (
        listening(service, certificates.server) as address,
        client_at(address, observer=observe) as client,
    ):
        assert client.stage(CONTRIBUTION, body).complete
    assert (body.reads, Call.STAGE.value in sent) == ([], False)


def test_an_upload_goes_on_in_another_process_where_the_first_one_ended(
    service, certificates, client_at
) -> None:
    service.staged, service.body = CONTRIBUTION, bytearray(BODY[: 2 * PART_BYTES])
    body = HeldBody(BODY)
    with listening(service, certificates.server) as address, client_at(address) as client:
        assert client.stage(CONTRIBUTION, body).complete
    assert body.reads == [2 * PART_BYTES]
    assert bytes(service.body) == BODY


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_line_of_a_megabit_that_breaks_again_and_again_carries_everything(
    certificates, client_at, direction: str
) -> None:
    """1 Mbit/s, a part a second: the first connection ends within the second part, the next one within the last."""
    body, file = BODY[: 2 * PART_BYTES + 1000], io.BytesIO()
    service = HeldService(
        sizes_=replace(SIZES, body_bytes=len(body)), head=replace(HEAD, body_bytes=len(body)), total=body
    )
    losses = iter([PART_BYTES + 40_000, PART_BYTES // 2])
    with (
        listening(service, certificates.server) as address,
        shaped(address, bits_per_s=1e6, losses=losses) as proxy,
        client_at(proxy.address) as client,
    ):
        if direction == "up":
            contribution = replace(STAGE, body_digest=hashlib.sha256(body).digest())
            assert client.stage(contribution, HeldBody(body)).complete
        else:
            sizes = StreamSizes(64, len(body))
            client.fetch_aggregate(1, file, sizes_of=lambda cohort: sizes)
        assert proxy.cuts >= 1
    assert (bytes(service.body) if direction == "up" else file.getvalue()) == body


def test_an_upload_survives_a_restart_of_the_server(service, certificates, client_at) -> None:
    paused, restarted = threading.Event(), threading.Event()

    class Pausing(HeldBody):
        def read(self, offset: int):
            self.reads.append(offset)
            yield self.data[offset : offset + PART_BYTES]
            paused.set()
            restarted.wait(WAIT_S)
            yield self.data[offset + PART_BYTES :]

    body, heard = Pausing(BODY), []
    with listening(service, certificates.server, free_address()) as address:
        client = client_at(address)
        thread = threading.Thread(target=lambda: heard.append(client.stage(CONTRIBUTION, body)))
        thread.start()
        assert paused.wait(WAIT_S)
    restarted.set()
    with listening(service, certificates.server, address), client:
        thread.join(WAIT_S)
    assert heard == [Staged(len(BODY), complete=True)]
    assert bytes(service.body) == BODY
    assert len(body.reads) >= 2


def test_a_newer_upload_of_a_member_ends_the_older_one(service, certificates, client_at) -> None:
    body, ended = HeldBody(BODY), threading.Event()

    class Stuck(HeldBody):
        def read(self, offset: int):
            yield self.data[offset : offset + PART_BYTES]
            ended.wait(WAIT_S)

    heard: list[object] = []
    refused: list[Refusal] = []

    def older() -> None:
        try:
            heard.append(client.stage(CONTRIBUTION, Stuck(BODY)))
        except TransportError as error:
            heard.append(error)

    with (
        listening(service, certificates.server, refused=refused.append) as address,
        client_at(address) as client,
    ):
        first_chunk = threading.Event()
        service.before_chunk = lambda number: first_chunk.set()
        thread = threading.Thread(target=older)
        thread.start()
        assert first_chunk.wait(WAIT_S)
        with client_at(address) as newer:
            assert newer.stage(CONTRIBUTION, body).complete
        assert [(refusal.reason, refusal.call) for refusal in refused] == [(Reason.BROKEN_OFF, "Stage")]
        ended.set()
        thread.join(WAIT_S)
    assert heard == [Staged(len(BODY), complete=True)]
    assert bytes(service.body) == BODY


def test_an_upload_that_stalls_is_ended_and_goes_on(service, certificates, client_at) -> None:
    released = threading.Event()

    class Pausing(HeldBody):
        def read(self, offset: int):
            yield self.data[offset : offset + PART_BYTES]
            if len(self.reads) == 0:
                self.reads.append(offset)
                released.wait(WAIT_S)
            yield self.data[offset + PART_BYTES :]

    refused: list[Refusal] = []

    def ended(refusal: Refusal) -> None:
        refused.append(refusal)
        released.set()

    with (
        listening(service, certificates.server, stall_s=0.2, refused=ended) as address,
        client_at(address) as client,
    ):
        assert client.stage(CONTRIBUTION, Pausing(BODY)).complete
    assert (refused[0].reason, refused[0].call) == (Reason.BROKEN_OFF, "Stage")
    assert bytes(service.body) == BODY


def test_a_total_that_became_another_one_is_fetched_from_its_beginning(
    service, certificates, client_at
) -> None:
    other = BODY[::-1]
    statement = replace(STATEMENT, total_digest=hashlib.sha256(other).digest())
    votes = tuple(
        replace(vote, body=replace(vote.body, statement_digest=statement.digest))
        for vote in HEAD.certificate.votes
    )
    newer = replace(AGGREGATE, certificate=replace(HEAD.certificate, statement=statement, votes=votes))
    file = io.BytesIO()
    with listening(service, certificates.server) as address, shaped(address) as proxy:

        def respoiled(number: int) -> None:
            if number == 2 and not proxy.cuts:
                service.head, service.total = newer, other
                proxy.cut()

        service.before_piece = respoiled
        with client_at(proxy.address) as client:
            assert client.fetch_aggregate(1, file, sizes_of=sizes_of) == newer
    assert file.getvalue() == other


def test_a_server_that_claims_more_than_the_body_is_refused(service, certificates, client_at) -> None:
    service.body = bytearray(len(BODY) + 1)
    with (
        listening(service, certificates.server) as address,
        client_at(address) as client,
        pytest.raises(ProtocolError, match="claims to hold more"),
    ):
        client.stage(CONTRIBUTION, HeldBody(BODY))


def test_a_server_that_never_takes_a_byte_is_given_up(service, certificates, client_at) -> None:
    service.errors = []
    with listening(service, certificates.server) as address, shaped(address) as proxy:
        service.before_chunk = lambda number: (_ for _ in ()).throw(TransportError("no"))
        with (
            client_at(proxy.address, Patience(reconnect_s=0.2, attempts=3)) as client,
            pytest.raises(TransportError),
        ):
            client.stage(CONTRIBUTION, HeldBody(BODY))
    assert service.body == b""


def test_an_aggregate_of_another_length_costs_no_disk(service, certificates, client_at) -> None:
    file = io.BytesIO()
    with (
        listening(service, certificates.server) as address,
        client_at(address) as client,
        pytest.raises(WireError, match="declares"),
    ):
        client.fetch_aggregate(1, file, sizes_of=lambda cohort: StreamSizes(64, 1))
    assert file.getvalue() == b""


class CountedBody(HeldBody):
    """A body in pieces of one part; counts the bytes that were asked of it."""

    given = 0

    def read(self, offset: int):
        for start in range(offset, len(self.data), PART_BYTES):
            self.given = start + PART_BYTES
            yield self.data[start : start + PART_BYTES]


def test_a_server_that_is_busy_holds_no_more_of_an_upload_than_a_few_parts(
    service, certificates, client_at
) -> None:
    """A thousand members upload at once: what the server has not read yet lies in its memory."""
    data = random.Random(8).randbytes(2 << 20)
    service.sizes_ = replace(STAGE_SIZES, body_bytes=len(data))
    contribution = replace(STAGE, body_digest=hashlib.sha256(data).digest())
    arrived, go_on, body = threading.Event(), threading.Event(), CountedBody(data)

    def wait(number: int) -> None:
        arrived.set()
        assert go_on.wait(WAIT_S)

    service.before_chunk = wait
    with listening(service, certificates.server) as address, client_at(address) as client:
        upload = threading.Thread(target=client.stage, args=(contribution, body), daemon=True)
        upload.start()
        assert arrived.wait(WAIT_S)
        # On a machine that is busy less has been sent by then, and the bound holds all the more.
        upload.join(0.5)
        held = body.given
        go_on.set()
        upload.join(WAIT_S)
    assert bytes(service.body) == data
    assert held <= 8 * PART_BYTES


def test_a_head_is_encoded_once_for_all_members(
    service, certificates, client_at, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []

    def counted(head):
        encoded.append(head)
        return aggregate_preface(head)

    monkeypatch.setattr(aggregator_server, "aggregate_preface", counted)
    newer = replace(AGGREGATE, aggregate_seconds=9.0)
    with listening(service, certificates.server) as address, client_at(address) as client:
        for head in (AGGREGATE, newer):
            service.head = head
            for _ in range(3):
                assert client.fetch_aggregate(1, io.BytesIO(), sizes_of=sizes_of) == head
    assert encoded == [AGGREGATE, newer]
