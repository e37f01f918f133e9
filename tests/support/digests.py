"""Digests of every round's integers under each payload: the same before and after a change that moves no number.

    PYTHONPATH=tests python -m support.digests > before.txt
    (the change)
    PYTHONPATH=tests python -m support.digests | diff before.txt -

Updates are drawn from a seed, by the learner of ``support.federations``, so no model is needed. Frozen factors come
from the machine's linear algebra library: compare on one machine, with the same number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator

from securefl.aggregation.contribution import integers_digest
from securefl.simulation.federation import SimulatedFederation
from support.federations import learners_of, make_federation

ROUNDS = 4
CHOICES: tuple[dict[str, object], ...] = (
    {"payload": "dense"},
    {"payload": "sketch"},
    {"payload": "sketch", "sketch_rank": 4},
    {"payload": "basis"},
    {"payload": "state"},
    {"payload": "core"},
    {"payload": "sketch", "fraction": 0.3},
    {"payload": "basis", "fraction": 0.3},
)


def digests() -> Iterator[str]:
    """One line for each choice, scheme, round and member: SHA-256 of the integers that the member opened."""
    for choice in CHOICES:
        for scheme in ("none", "kahe", "bfv"):
            made = make_federation(rounds=ROUNDS, scheme=scheme, **choice)
            members = {member: made.aggregation(member) for member in made.federation.cohort}
            simulated = SimulatedFederation(
                members, learners_of(made.federation), signing_keys=made.signing_keys
            )
            simulated.run()
            for number, traffic in sorted(simulated.traffic.items()):
                for member, sums in traffic.sums.items():
                    said = " ".join(f"{key}={value}" for key, value in choice.items())
                    yield f"{said} {scheme} round {number} {member} {integers_digest(sums).hex()}"


if __name__ == "__main__":
    for line in digests():
        print(line)
