"""What the server refuses of a contribution, and that a refused one leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.servers import (
    WAIT_S,
    Contribution,
    Member,
    Roster,
    RunningServer,
    gather,
    make_roster,
    random_bytes,
    stopping,
    upload,
)

from securefl.crypto.addition import ResidueSum
from securefl.errors import AuthenticationError, ProtocolError, RunError, TransportError, WireError
from securefl.progress import Warned
from securefl.protocol import wire_parts
from securefl.protocol.messages import CHUNK_BYTES, AggregateReady, RoundOpened, SignedHeader
from securefl_server.summation import RoundSum

Attack = Callable[[Roster, Contribution], list[bytes]]


def with_body(roster: Roster, good: Contribution, body: bytes) -> list[bytes]:
    """Another body under a correct signature: what a broken or hostile member could send."""
    return roster.signed("client-1", good.seeds, body).messages()


def out_of_range(roster: Roster, good: Contribution) -> list[bytes]:
    form = roster.form
    sent = form.decode_upload(good.body, ciphertexts=roster.ciphertexts)
    sent.residues[-1, -1] = form.upload_limit
    return with_body(roster, good, form.encode_upload(sent))


def mac_out_of_range(roster: Roster, good: Contribution) -> list[bytes]:
    form = roster.form
    sent = form.decode_upload(good.body, ciphertexts=roster.ciphertexts)
    sent.macs[-1] = form.modulus
    return with_body(roster, good, form.encode_upload(sent))


def without_macs(roster: Roster, good: Contribution) -> list[bytes]:
    form, count = roster.form, roster.ciphertexts
    row = len(good.body) // count
    residues = [good.body[index * row : (index + 1) * row - form.mac_bytes] for index in range(count)]
    return with_body(roster, good, b"".join(residues))


def out_of_range_in_the_first_residue(roster: Roster, good: Contribution) -> list[bytes]:
    return with_body(roster, good, b"\xff" * roster.form.upload_residue_bytes + good.body[8:] + b"\0" * 3)


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def with_head(good: Contribution, signed: SignedHeader) -> list[bytes]:
    return Contribution(signed, good.seeds, good.body).messages()


def in_anothers_name(roster: Roster, good: Contribution) -> list[bytes]:
    return roster.contribution("client-2").messages()


def signed_by_another(roster: Roster, good: Contribution) -> list[bytes]:
    header = good.signed.header
    return with_head(good, SignedHeader(header, roster.keys["client-2"].sign(header.signed_bytes())))


ATTACKS: dict[str, tuple[Attack, type[RunError]]] = {
    "garbage": (lambda roster, good: [random_bytes(1000)], WireError),
    "nothing": (lambda roster, good: [], WireError),
    "an empty message": (lambda roster, good: [b""], WireError),
    "garbage after the head": (lambda roster, good: [good.messages()[0], random_bytes(1000)], WireError),
    "body first": (lambda roster, good: good.messages()[::-1], WireError),
    "no body": (lambda roster, good: [good.messages()[0], *good.messages()[-2:]], WireError),
    "no seeds": (lambda roster, good: [*good.messages()[:-2], good.messages()[-1]], WireError),
    "no signed header": (lambda roster, good: good.messages()[:-1], WireError),
    "two signed headers": (lambda roster, good: [*good.messages(), good.messages()[-1]], WireError),
    "only a head": (lambda roster, good: good.messages()[:1], WireError),
    "a short body": (lambda roster, good: with_body(roster, good, good.body[:-1]), WireError),
    "a long body": (lambda roster, good: with_body(roster, good, good.body + b"\0"), WireError),
    "a body cut off": (
        lambda roster, good: [
            good.messages()[0],
            wire_parts.encode_contribution_part(wire_parts.BodyChunk(good.body[:-1])),
            *good.messages()[-2:],
        ],
        WireError,
    ),
    "a byte after the body": (
        lambda roster, good: [
            *good.messages(),
            wire_parts.encode_contribution_part(wire_parts.BodyChunk(b"\0")),
        ],
        WireError,
    ),
    "an endless body": (
        lambda roster, good: [
            good.messages()[0],
            *[wire_parts.encode_contribution_part(wire_parts.BodyChunk(bytes(CHUNK_BYTES)))] * 5,
        ],
        WireError,
    ),
    "an oversized chunk": (
        lambda roster, good: [good.messages()[0], b"\x1a" + bytes(2 * CHUNK_BYTES)],
        RunError,
    ),
    "short seeds": (
        lambda roster, good: roster.signed("client-1", good.seeds[:-1], good.body).messages(),
        WireError,
    ),
    "other seeds": (
        lambda roster, good: Contribution(good.signed, flipped(good.seeds), good.body).messages(),
        AuthenticationError,
    ),
    "another body": (
        lambda roster, good: Contribution(good.signed, good.seeds, flipped(good.body)).messages(),
        AuthenticationError,
    ),
    "another's name": (in_anothers_name, AuthenticationError),
    "another's signature": (signed_by_another, AuthenticationError),
    "a broken signature": (
        lambda roster, good: with_head(
            good, SignedHeader(good.signed.header, flipped(good.signed.signature))
        ),
        AuthenticationError,
    ),
    "another round": (lambda roster, good: roster.contribution("client-1", 2).messages(), ProtocolError),
    "a residue out of range": (out_of_range, WireError),
    "the first residue out of range": (out_of_range_in_the_first_residue, WireError),
    "a MAC out of range": (mac_out_of_range, WireError),
    "residues without MACs": (without_macs, WireError),
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server in its first round, on which every attack is tried."""
    with RunningServer(make_roster(tmp_path_factory.mktemp("attacked"))) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        yield server


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_contribution_that_does_not_hold_is_refused(attacked: RunningServer, attack: str) -> None:
    make, error = ATTACKS[attack]
    roster = attacked.roster
    messages = make(roster, roster.contribution("client-1"))
    with pytest.raises(error):
        upload(roster.credentials["client-1"], attacked.address, messages)


def test_after_every_refusal_the_good_contribution_is_taken_and_the_sum_is_exact(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        for make, error in ATTACKS.values():
            with pytest.raises(error):
                upload(
                    roster.credentials["client-1"],
                    server.address,
                    make(roster, roster.contribution("client-1")),
                )
        for member in members.values():
            member.contribute()
        members["client-3"].hear(AggregateReady)
        assert (members["client-3"].residues() == roster.expected_sum()).all()
        refusals = [event for event in server.seen(Warned) if "refused" in event.message]
        assert len(refusals) >= len(ATTACKS) - 1


@pytest.mark.parametrize("attack", ["garbage", "a short body", "a long body", "short seeds", "another round"])
def test_what_a_head_gives_away_is_refused_before_the_body_has_come(
    attacked: RunningServer, attack: str
) -> None:
    make, error = ATTACKS[attack]
    roster, gate = attacked.roster, threading.Event()
    messages = make(roster, roster.contribution("client-1"))
    with pytest.raises(error):
        upload(roster.credentials["client-1"], attacked.address, stopping(messages, 1, gate))
    gate.set()


def test_before_a_round_is_open_nothing_is_taken(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        member = Member(server.roster, "client-1", server.address)
        with pytest.raises(ProtocolError, match="no round is open"):
            member.contribute()


def test_the_same_bytes_again_give_the_same_receipt_and_count_once(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        assert members["client-1"].contribute() == members["client-1"].contribute()
        members["client-2"].contribute()
        members["client-3"].contribute()
        members["client-3"].hear(AggregateReady)
        # Even when the round has moved on: the first receipt may have been lost on its way.
        assert members["client-3"].contribute().round_number == 1
        assert (members["client-1"].residues() == roster.expected_sum()).all()


def test_other_bytes_for_the_same_round_are_refused(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        members["client-1"].contribute()
        other = roster.contribution("client-1", body=bytes(roster.form.upload_bytes(roster.ciphertexts)))
        with pytest.raises(ProtocolError, match="already"):
            upload(roster.credentials["client-1"], server.address, other.messages())


def test_an_upload_broken_off_leaves_nothing_and_may_begin_again(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, ciphertexts=60)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        messages = roster.contribution("client-1").messages()
        assert len(messages) > 3
        with pytest.raises(TransportError):
            # The first chunk of the body arrives, the rest does not: the deadline cancels the call.
            upload(
                roster.credentials["client-1"],
                server.address,
                stopping(messages, 2, threading.Event()),
                timeout_s=0.3,
            )
        wait_for(lambda: not list((tmp_path / "spool").iterdir()))
        for member in members.values():
            member.contribute()
        members["client-1"].hear(AggregateReady)
        assert (members["client-1"].residues() == roster.expected_sum()).all()


def test_two_uploads_of_one_member_at_a_time_count_once(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, ciphertexts=60)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        messages = roster.contribution("client-1").messages()
        gate = threading.Event()
        receipts = []
        threads = [
            threading.Thread(
                target=lambda: receipts.append(
                    upload(roster.credentials["client-1"], server.address, stopping(messages, 2, gate))
                )
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(list((tmp_path / "spool").iterdir())) == 2)
        gate.set()
        for thread in threads:
            thread.join(WAIT_S)
        assert len(receipts) == 2
        members["client-2"].contribute()
        members["client-3"].contribute()
        members["client-1"].hear(AggregateReady)
        assert (members["client-1"].residues() == roster.expected_sum()).all()


def test_a_caller_that_vanishes_while_its_contribution_is_added_does_not_spoil_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding, gate = threading.Event(), threading.Event()
    add = RoundSum.add

    def slow_add(total: RoundSum, body: Path) -> None:
        adding.set()
        gate.wait(WAIT_S)
        add(total, body)

    monkeypatch.setattr(RoundSum, "add", slow_add)
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        contribution = roster.contribution("client-1")
        with pytest.raises(TransportError):
            upload(roster.credentials["client-1"], server.address, contribution.messages(), timeout_s=0.3)
        assert adding.is_set()
        gate.set()
        for member in members.values():
            member.contribute()
        members["client-1"].hear(AggregateReady)
        assert (members["client-1"].residues() == roster.expected_sum()).all()


def test_a_round_sum_that_refused_a_body_is_unchanged(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, ciphertexts=40)
    total, untouched = (RoundSum(roster.view.sections(1)) for _ in range(2))
    good, bad = tmp_path / "good", tmp_path / "bad"
    body = roster.contribution("client-1").body
    good.write_bytes(body)
    # Only the very last MAC is out of range, in the second window.
    bad.write_bytes(body[:-7] + b"\xff" * 7)
    with pytest.raises(WireError):
        total.add(bad)
    for sums in (total, untouched):
        sums.add(good)
    total.save(tmp_path / "total")
    untouched.save(tmp_path / "untouched")
    assert (tmp_path / "total").read_bytes() == (tmp_path / "untouched").read_bytes()


def test_a_round_sum_in_windows_is_the_sum_in_one_piece(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, ciphertexts=67)
    form, count = roster.form, roster.ciphertexts
    windows, whole = RoundSum(roster.view.sections(1)), ResidueSum(form, count)
    for member in roster.members:
        body = roster.contribution(member).body
        (tmp_path / member).write_bytes(body)
        windows.add(tmp_path / member)
        whole.add(0, form.decode_upload(body, ciphertexts=count))
    windows.save(tmp_path / "sum")
    assert len((tmp_path / "sum").read_bytes()) == windows.aggregate_bytes == form.aggregate_bytes(count)
    assert (tmp_path / "sum").read_bytes() == form.encode_aggregate(whole.total())
    assert np.array_equal(whole.total().residues, roster.expected_sum().astype(np.uint64))
    assert np.array_equal(whole.total().macs, roster.expected_macs().astype(np.uint64))


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(int(WAIT_S / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to pass")
