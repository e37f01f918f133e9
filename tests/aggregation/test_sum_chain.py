"""The chain of applied sums, and the digests that members compare before an attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.federations import TestFederation, learners_of, make_federation
from support.heads import head_learners, make_by_class
from support.survivors import ChosenRounds, without

from securefl.aggregation.outcome import Outcome
from securefl.aggregation.sum_chain import chain_start, chained
from securefl.errors import ProtocolError

OUTCOME = Outcome(1, ("a", "b", "c"), ("a", "b", "c"), bytes(32))
SUMS = np.arange(7)

ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.outcome import Outcome
from securefl.errors import ProtocolError
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.keys import SharedKeys
from securefl.protocol.federation import Federation

folder = Path(sys.argv[1])
federation = Federation.from_json_text((folder / "federation.json").read_text(), where="here")
member = MemberAggregation(
    federation,
    member="client-2",
    rank=federation.member("client-2").rank,
    cipher=IntegerTwin(federation.profile),
    keys=SharedKeys.generate(None),
)
for number in range(federation.first_round, 4):
    sums = np.load(folder / f"{number}.npy")
    member.replay(sums, Outcome(number, federation.cohort, federation.cohort, bytes([number % 256]) * 32))
    member.start()
print(member.chain.hex(), member.state_digest.hex())
"""


def rounds_of(made: TestFederation) -> ChosenRounds:
    by_class = bool(made.federation.openings)
    learners = head_learners(made.federation) if by_class else learners_of(made.federation)
    rounds = ChosenRounds(made, learners)
    for number in range(made.federation.first_round, 4):
        rounds.run(number, survivors=rounds.roster)
    return rounds


@pytest.mark.parametrize("kernel", ["Prescott", "Haswell"])
@pytest.mark.parametrize("payload", ["state", "basis", "core", "sketch"])
def test_machines_with_other_linear_algebra_have_one_chain_and_one_state(
    payload: str, kernel: str, tmp_path: Path
) -> None:
    make = make_by_class if payload == "core" else make_federation
    made = make((4, 4, 8, 16), payload=payload, scheme="none", rounds=3)
    rounds = rounds_of(made)
    (tmp_path / "federation.json").write_text(made.federation.to_json_text())
    for outcome, sums in rounds.kept:
        np.save(tmp_path / f"{outcome.round_number}.npy", sums)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        check=True,
        env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
    )
    here = rounds.members["client-2"]
    assert done.stdout.split() == [here.chain.hex(), here.state_digest.hex()]


def test_a_chain_changes_with_everything_that_it_is_over() -> None:
    start = chain_start(bytes(32))
    changed = SUMS.copy()
    changed[3] += 1
    chains = [
        chained(start, OUTCOME, SUMS),
        chained(chain_start(b"\1" * 32), OUTCOME, SUMS),
        chained(start, replace(OUTCOME, round_number=-1), SUMS),
        chained(start, replace(OUTCOME, statement_digest=b"\1" * 32), SUMS),
        chained(start, OUTCOME, changed),
        chained(start, OUTCOME, SUMS[:-1]),
    ]
    assert len(set(chains)) == len(chains)


def test_a_member_that_applied_other_sums_is_in_another_state() -> None:
    made = make_federation((4, 4, 4, 4), payload="dense", scheme="none", rounds=2)
    rounds = ChosenRounds(made, learners_of(made.federation))
    before = {member.state_digest for member in rounds.members.values()}
    assert len(before) == 1
    rounds.run(1, survivors=rounds.roster)
    other = made.aggregation("client-1")
    survivors = without(rounds.roster, "client-4")
    sums = rounds.kept[0][1].copy()
    sums[0] += 1
    other.apply(sums, replace(rounds.kept[0][0], survivors=survivors))
    after = {member.state_digest for member in rounds.members.values()}
    assert len(after) == 1
    assert other.state_digest not in after
    assert not after & before


def test_a_round_that_is_refused_leaves_the_chain_as_it_was() -> None:
    made = make_federation((4, 4, 4, 4), payload="dense", scheme="none", rounds=2)
    member = made.aggregation("client-1")
    before = member.state_digest
    sums = np.zeros(made.federation.kind_of(1).total, dtype=np.int64)
    cohort = made.federation.cohort
    for outcome in (Outcome(2, cohort, cohort, bytes(32)), Outcome(1, cohort, cohort, bytes(32))):
        with pytest.raises(ProtocolError, match=r"cannot follow|none of 4"):
            member.apply(sums, outcome)
    assert member.state_digest == before
