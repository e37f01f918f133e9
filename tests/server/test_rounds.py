"""Whole runs of the server over TLS: what it adds, serves, reports and leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.servers import Member, RunningServer, gather, make_roster

from securefl.errors import ProtocolError
from securefl.progress import Finished, MembersAwaited, RoundFinished, RoundStarted
from securefl.protocol.messages import AggregateReady, FederationClosed, RoundOpened, Waiting


def play(members: dict[str, Member], rounds: int) -> dict[int, list[np.ndarray]]:
    """All members through all rounds, one after the other; gives everybody's sums."""
    sums: dict[int, list[np.ndarray]] = {}
    for number in range(1, rounds + 1):
        for member in members.values():
            assert member.hear(RoundOpened).manifest == member.roster.manifest(number)
            member.contribute(number)
        for member in members.values():
            assert member.hear(AggregateReady) == AggregateReady(number)
            sums.setdefault(number, []).append(member.residues(number))
            member.client.confirm(number)
    for member in members.values():
        member.hear(FederationClosed)
        member.client.finish()
        member.hears_nothing_more()
        member.close()
    return sums


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_every_member_gets_the_exact_sum_of_every_round(tmp_path: Path, scheme: str) -> None:
    roster = make_roster(tmp_path, rounds=2, scheme=scheme, ciphertexts=40)
    with RunningServer(roster) as server:
        sums = play(gather(server), 2)
        assert server.end() == 0
    for number in (1, 2):
        expected = roster.expected_sum(number)
        assert len(sums[number]) == 3
        assert all((total == expected).all() for total in sums[number])


def test_the_aggregate_carries_every_contributors_header_and_seeds_in_the_rosters_order(
    tmp_path: Path,
) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        for member in reversed(members.values()):
            member.hear(RoundOpened)
            member.contribute()
        members["client-2"].hear(AggregateReady)
        header = members["client-2"].fetch().header
        assert (members["client-2"].total().macs == roster.expected_macs()).all()
    sent = [roster.contribution(member) for member in roster.members]
    assert header.contributors == tuple(contribution.signed for contribution in sent)
    assert header.seeds == tuple(contribution.seeds for contribution in sent)
    assert header.aggregate_seconds > 0


def test_a_finished_run_reports_its_rounds_and_leaves_no_contribution_behind(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, rounds=2)
    before = {path.name for path in tmp_path.iterdir()}
    with RunningServer(roster) as server:
        play(gather(server), 2)
        assert server.end() == 0
    assert {path.name for path in tmp_path.iterdir()} - before == {".lock", "result.json"}
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["rounds"] == 2
    body = roster.form.upload_bytes(roster.ciphertexts)
    for number, entry in enumerate(result["rounds_log"], start=1):
        assert entry["round_number"] == number
        assert entry["bytes"]["received"] > 3 * body
        assert 0 < entry["aggregate_seconds"] < entry["seconds"]
    assert result["peak_memory_bytes"] > 1e6
    assert server.seen(RoundStarted) == [
        RoundStarted(member="server", round_number=number, rounds=2) for number in (1, 2)
    ]
    assert [event.round_number for event in server.seen(RoundFinished)] == [1, 2]
    assert server.seen(Finished) == [Finished(member="server", path=str(tmp_path / "result.json"))]


def test_no_contributions_file_outlives_its_addition(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    with RunningServer(roster) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        members["client-1"].hear(AggregateReady)
        assert [path.name for path in (tmp_path / "spool").iterdir()] == ["round-1.sum"]


def test_what_an_earlier_run_left_in_the_spool_is_removed(tmp_path: Path) -> None:
    roster = make_roster(tmp_path)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "round-1.sum").write_bytes(b"old")
    with RunningServer(roster):
        assert list((tmp_path / "spool").iterdir()) == []
    assert not (tmp_path / "spool").exists()


def test_members_hear_who_is_still_missing(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        first = Member(server.roster, "client-2", server.address)
        assert first.hear(Waiting) == Waiting(("client-1", "client-3"))
        assert server.seen(MembersAwaited)[-1].missing == ("client-1", "client-3")


def test_an_aggregate_can_be_fetched_only_while_its_round_is_open(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        member = members["client-1"]
        member.hear(RoundOpened)
        with pytest.raises(ProtocolError, match="no aggregate"):
            member.fetch()
        for other in members.values():
            other.contribute()
        member.hear(AggregateReady)
        with pytest.raises(ProtocolError, match="round 2"):
            member.fetch(2)


def test_a_confirmation_said_twice_counts_once(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, rounds=2)) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        for member in members.values():
            member.hear(AggregateReady)
            member.client.confirm(1)
            member.client.confirm(1)
        assert members["client-1"].hear(RoundOpened).manifest.round_number == 2
        with pytest.raises(ProtocolError):
            members["client-1"].client.confirm(2)


def test_a_member_cannot_finish_while_rounds_remain(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path)) as server:
        members = gather(server)
        members["client-1"].hear(RoundOpened)
        with pytest.raises(ProtocolError):
            members["client-1"].client.finish()


def test_a_member_that_has_finished_may_go_while_others_still_work(tmp_path: Path) -> None:
    with RunningServer(make_roster(tmp_path, grace_s=0.1)) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        for member in members.values():
            member.hear(AggregateReady)
            member.client.confirm(1)
        *early, last = members.values()
        for member in early:
            member.hear(FederationClosed)
            member.client.finish()
            member.client.finish()
            member.close()
        last.hear(FederationClosed)
        last.client.finish()
        assert server.end() == 0


@pytest.mark.slow
def test_a_hundred_members_that_all_follow_do_not_keep_each_other_from_contributing(tmp_path: Path) -> None:
    roster = make_roster(tmp_path, members=100, ciphertexts=1)
    with RunningServer(roster) as server:
        members = gather(server)
        for member in members.values():
            member.hear(RoundOpened)
            member.contribute()
        for member in members.values():
            member.hear(AggregateReady)
        aggregate = members["client-100"].fetch()
        assert len(aggregate.header.contributors) == 100
        total = roster.form.decode_aggregate(aggregate.body, ciphertexts=1)
        assert (total.residues == roster.expected_sum()).all()
        for member in members.values():
            member.client.confirm(1)
        for member in members.values():
            member.hear(FederationClosed)
            member.client.finish()
        assert server.end() == 0
