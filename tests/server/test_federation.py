"""The server over real connections: whole federations to their end, and again from where one was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.servers import Member, Roster, RunningServer, make_roster, together

from securefl.errors import RunError
from securefl.progress import RoundFinished, RoundStepped
from securefl.protocol.calls import CommitAsked, Leave


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    return make_roster(tmp_path / "server", scheme="none", ciphertexts=40)


@pytest.mark.parametrize("scheme", ["kahe", "bfv", "none"])
def test_a_federation_runs_to_its_end_over_real_connections(tmp_path: Path, scheme: str) -> None:
    roster = make_roster(tmp_path / "server", scheme=scheme, ciphertexts=40)
    members = [Member(roster, name) for name in roster.members]
    with RunningServer(roster) as server:
        together(members, server.address)
        assert server.end() == 0
    whole = roster.form.decode_aggregate(members[0].total, ciphertexts=roster.ciphertexts)
    assert (whole.residues == roster.expected_sum()).all()
    assert (whole.macs == roster.expected_macs()).all()
    assert [event.round_number for event in server.events if isinstance(event, RoundFinished)] == [1]


def test_a_server_that_was_stopped_goes_on_in_the_same_folder(roster: Roster) -> None:
    members = [Member(roster, name) for name in roster.members]
    with RunningServer(roster) as first:
        together(members, first.address, until=CommitAsked)
        with members[0].client(first.address) as client:
            client.ask(Leave(finished=False, last_words="it was stopped by its operator"))
        with pytest.raises(RunError, match="client-1 left the federation"):
            first.end()
    with RunningServer(roster) as second:
        together(members, second.address)
        assert second.end() == 0
    steps = [event.step for event in second.events if isinstance(event, RoundStepped)]
    assert steps[0] == "run-resumed"
    assert "contribution-staged" not in steps
    assert len({member.total for member in members}) == 1
