"""Attack 24: reveals for U that are shown to nobody, and then another attempt, round or key epoch for U less one.

The server with one member would open both sums and subtract. A member contributes again only after its contribution is
settled, so the second sum never exists; without that rule the update is recovered exactly, which is the control.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.agreements import Members
from support.fake_members import integers
from support.fake_server import FakeServer

from securefl.errors import ProtocolError, RunError
from securefl.protocol import member_session
from securefl.protocol.agreement import verification
from securefl.protocol.calls import Certified, RoundOpened
from securefl_client import contributing

VICTIM = "client-6"


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(Members(6, 5), tmp_path)


def _opened_sum(server: FakeServer, survivors: tuple[str, ...]) -> np.ndarray:
    """What the server opens with one member's help, of a certified sum whose reveals it shows to nobody else."""
    proposal = server.proposal(survivors)
    server.tell(proposal, *server.cohort.members)
    certificate = server.certificate(proposal)
    server.tell(Certified(certificate), *server.cohort.members)
    server.publish(proposal, certificate)
    station = server.stations["client-1"]
    head, body = server.heads[1], server.totals[1]
    shares = station.session._own.shares
    assert shares is not None
    key_sum = next(iter(shares.sums_of_keys(head)))
    return station.work.decrypt(head, body, key_sum=key_sum)


def test_after_hidden_reveals_nobody_contributes_to_another_attempt(server: FakeServer) -> None:
    server.to_commit()
    _opened_sum(server, server.members.roster)
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        server.open()


@pytest.mark.parametrize("forged", ["certificate", "void-by-two"])
def test_a_settlement_that_does_not_hold_helps_the_server_nothing(server: FakeServer, forged: str) -> None:
    server.to_commit()
    _opened_sum(server, server.members.roster)
    cohort = server.cohort
    proof = (
        server.heads[1].certificate
        if forged == "certificate"
        else server.members.void(cohort, server.members.roster[:2])
    )
    server.settled = (verification.SettledAttempt(cohort, proof),)
    with pytest.raises(RunError):
        server.open()


def test_nobody_votes_void_for_what_it_has_voted_for(server: FakeServer) -> None:
    server.to_commit()
    _opened_sum(server, server.members.roster)
    assert server.void().votes == ()


def test_another_round_does_not_open_before_this_one_is_applied(server: FakeServer) -> None:
    server.to_commit()
    _opened_sum(server, server.members.roster)
    server.round_number, server.number = 2, 0
    hidden = dict(server.heads)
    server.heads.clear()
    with pytest.raises(KeyError):
        # The member asks for the sum of round 1 first.
        server.open("client-2")
    assert hidden
    assert server.stations["client-2"].state.applied == 0


def test_another_key_epoch_is_refused(server: FakeServer) -> None:
    server.to_commit()
    attempt = replace(server.manifest.attempt, key_epoch=2, number=2)
    with pytest.raises(ProtocolError, match="works under rotation 2 of the keys"):
        server.tell_one(RoundOpened(replace(server.manifest, attempt=attempt)), VICTIM)


def test_a_restart_does_not_forget_what_is_not_settled(server: FakeServer) -> None:
    server.to_commit()
    for station in server.stations.values():
        station.start()
    with pytest.raises(ProtocolError, match="attempt 1 is not settled"):
        server.open()


def test_control_without_the_rule_one_update_is_recovered_by_subtraction(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributing, "verify_settled", lambda *_, **__: None)
    monkeypatch.setattr(member_session, "unsettled", lambda state: {})
    server.to_commit()
    whole = _opened_sum(server, server.members.roster)
    server.open()
    server.close_cohort()
    server.tell(server.asking)
    without = _opened_sum(server, tuple(m for m in server.members.roster if m != VICTIM))
    np.testing.assert_array_equal(whole - without, integers(VICTIM, 1))
