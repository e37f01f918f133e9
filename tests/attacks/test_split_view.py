"""Attack 3: a lying server shows some honest members one set of survivors, and others another one without a victim.

Two certified sums of one attempt would give the victim's update by subtraction. Honest members vote once an attempt,
so the server needs more colluders than c_max; with more, it succeeds, which is the control.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.agreements import Members
from support.fake_server import FakeServer

from securefl.crypto.thresholds import threshold
from securefl.errors import AuthenticationError
from securefl.protocol.agreement.signed import sign
from securefl.protocol.agreement.statement import Survivors, SurvivorsVote
from securefl.protocol.agreement.verification import verify_certificate
from securefl.protocol.calls import Certified, SendReveal, SurvivorsProposed


def _voted(server: FakeServer, statement: Survivors, colluders: tuple[str, ...]) -> Certified:
    """The certificate that the server can make: honest votes on the statement, and all that colluders sign."""
    honest = server.certificate(SurvivorsProposed(statement, ())).votes
    forged = tuple(
        sign(SurvivorsVote(statement.attempt, member, statement.digest), server.members.keys[member])
        for member in colluders
    )
    certificate = server.certificate(SurvivorsProposed(statement, ()))
    votes = (*(vote for vote in honest if vote.body.signer not in colluders), *forged)
    return Certified(type(certificate)(statement, votes))


def _split(server: FakeServer, colluders: int) -> list[Certified]:
    """The best split of the honest members between two statements, one without the victim."""
    server.to_commit()
    roster = server.members.roster
    allies, honest = roster[:colluders], roster[colluders:]
    victim = honest[-1]
    whole = server.proposal()
    without = server.proposal(member for member in roster if member != victim)
    half = (len(honest) + 1) // 2
    server.tell(whole, *honest[:half])
    server.tell(without, *honest[half:])
    # The same members are asked once more for the other statement: they only repeat themselves.
    server.tell(without, *honest[:half])
    server.tell(whole, *honest[half:])
    return [_voted(server, proposal.statement, allies) for proposal in (whole, without)]


def _certified(server: FakeServer, found: list[Certified]) -> int:
    """How many of the statements are certified in the eyes of an honest member."""
    count = 0
    for each in found:
        try:
            verify_certificate(each.certificate, server.cohort, server.members.rules)
        except AuthenticationError:
            continue
        count += 1
    return count


@pytest.mark.parametrize("size", [4, 5, 6, 7, 8])
def test_no_coalition_within_the_bound_has_two_certified_sums(tmp_path: Path, size: int) -> None:
    members = Members(size, size, packets=False)
    for colluders in range(members.rules.constants.max_colluders + 1):
        server = FakeServer(members, tmp_path / str(colluders))
        assert _certified(server, _split(server, colluders)) <= 1


@pytest.mark.parametrize("size", [4, 5, 7, 8])
def test_control_a_larger_coalition_has_both(tmp_path: Path, size: int) -> None:
    """Enough members that sign both: ceil((n - c) / 2) + c >= t, that is 2t <= n + c."""
    members = Members(size, size, packets=False)
    colluders = 2 * threshold(size) - size
    server = FakeServer(members, tmp_path)
    assert _certified(server, _split(server, colluders)) == 2


def test_a_member_reveals_for_one_of_two_certified_sums_only(tmp_path: Path) -> None:
    members = Members(6, 6)
    server = FakeServer(members, tmp_path)
    first, second = _split(server, 2 * threshold(6) - 6)
    helper = members.roster[-1]
    assert [type(sent) for sent in server.tell_one(first, helper)] == [SendReveal]
    server.stations[helper].start()
    with pytest.raises(Exception, match="two certified statements"):
        server.tell_one(second, helper)
