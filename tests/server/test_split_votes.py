"""Votes for the survivors and for VOID: a member votes once, so the server asks for one thing at a time."""

from __future__ import annotations

from pathlib import Path

from support.served_rounds import Federation

from securefl.protocol.agreement.statement import SurvivorsVote
from securefl.protocol.calls import CastVote, Certified, SurvivorsProposed, VoidAsked


def at(folder: Path, announced: type) -> Federation:
    """A federation of four that has come as far as this announcement."""
    federation = Federation(folder, 4, least=3)
    federation.connect()
    federation.settle(until=announced)
    assert isinstance(federation.server.announcement, announced)
    return federation


def vote_of(federation: Federation, name: str) -> CastVote:
    statement = federation.server.state.statement
    assert statement is not None
    vote = SurvivorsVote(statement.attempt, name, statement.digest)
    return CastVote(federation.members[name].sign(vote))


def test_votes_for_the_survivors_still_count_after_void_was_asked(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    federation.pass_time()
    assert isinstance(federation.server.announcement, VoidAsked)
    for name in ("client-1", "client-2", "client-3"):
        federation.server.hear(name, vote_of(federation, name))
    assert isinstance(federation.server.announcement, Certified)


def test_void_is_not_asked_while_a_vote_for_the_survivors_may_be_on_its_way(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    federation.server.hear("client-1", vote_of(federation, "client-1"))
    federation.pass_time()
    assert isinstance(federation.server.announcement, SurvivorsProposed)
    away = at(tmp_path / "away", SurvivorsProposed)
    away.lose("client-4")
    away.pass_time()
    assert isinstance(away.server.announcement, SurvivorsProposed)


def test_votes_that_leave_void_without_hope_bring_the_proposal_back(tmp_path: Path) -> None:
    federation = at(tmp_path, SurvivorsProposed)
    federation.pass_time()
    assert isinstance(federation.server.announcement, VoidAsked)
    for name in ("client-1", "client-2"):
        federation.server.hear(name, vote_of(federation, name))
    assert isinstance(federation.server.announcement, SurvivorsProposed)
