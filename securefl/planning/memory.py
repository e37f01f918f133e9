"""The buffers that a round of the encrypted sum holds, on top of the model and its training.

The rule kept here: a model of what the code keeps at its fullest moment, an upper bound in bytes a value or a
ciphertext; tests compare it with what is allocated. A process also has an interpreter, its libraries and, at a
client, the model, its gradients and its batches.

W is the ciphertexts of a window, C those of a contribution, N the slots of one, k its lanes, D the values, n the
cohort.

    contribute  a window, whatever C: k integers and 4 words for each of N W slots; of the run of coordinates that
                is being encoded, 2 words each, and 4 each of what goes onto the grid at a time; all seeds
    read        the sums twice, or once and a window: the same words, and SEAL's 2 for each of its N W slots; the
                seeds of all n
    apply       the sums twice, as integers and as floats, the mean update, the next global state with what the outer
                step carries along, and the factorisation of one weight; the adapter of the own rank, and a copy
    serve       the running sum, a word for each of N C slots, and 3 words a slot of a window; the seeds of all n

What contributes and what reads also holds the round's secret vectors, 3 N words as Python's integers and as limbs.

From round to round a client *keeps* the global state, the outer step's moments, and the best state so far under early
stopping: of a weight (m, n) all its m n values where a mean has them, else d directions of m + n + 1 values, where d
grows with the rounds up to ``PayloadPlan.kept_rank``. It is stated for the last round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import assert_never

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.payloads.base import RUN_VALUES
from securefl.aggregation.grid import CHUNK_VALUES
from securefl.config.outer import AdamSection, NesterovSection, SgdSection
from securefl.crypto.windows import WINDOW_CIPHERTEXTS
from securefl.planning.sizes import RoundSizes
from securefl.protocol.federation import Federation

WORD = 8
"""Bytes of a residue, a slot, an integer or a float64 value in memory."""
SECRET_WORD = 128
"""Bytes of one word of a secret vector: a Python integer in a list (40), and float64 limbs while they are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that a round holds at its fullest moment; see the module.

    Attributes:
        contribute: A client that encodes, encrypts and sends.
        read: A client that verifies and decrypts.
        apply: A client that makes the next state and its next start of the sums.
        keep: What a client keeps between rounds, in all three moments.
        serve: The server.
    """

    contribute: int
    read: int
    apply: int
    keep: int
    serve: int

    @property
    def client(self) -> int:
        """A client's fullest moment, and what it keeps; moments do not overlap."""
        return self.keep + max(self.contribute, self.read, self.apply)


def memory_of(federation: Federation, sizes: RoundSizes) -> Memory:
    """Memory of a round of these sizes."""
    profile, degree = federation.profile, federation.profile.poly_modulus_degree
    count = min(WINDOW_CIPHERTEXTS, max(section.ciphertexts for section in sizes.sections))
    slots = WORD * degree * count
    seeds = sum(section.seeds_bytes for section in sizes.sections)
    secrets = 3 * degree * SECRET_WORD
    run = _longest_run(federation, sizes.round_number)
    encoding = WORD * (2 * run + 4 * min(run, CHUNK_VALUES))
    return Memory(
        contribute=secrets + (profile.lanes + 4) * slots + encoding + seeds,
        read=secrets
        + len(federation.cohort) * seeds
        + max(2 * WORD * sizes.values, WORD * sizes.values + (profile.lanes + 6) * slots),
        apply=_apply(federation, sizes),
        keep=_keep(federation, sizes.round_number),
        serve=WORD * degree * sizes.ciphertexts + 3 * slots + len(federation.cohort) * seeds,
    )


def _keep(federation: Federation, number: int) -> int:
    """Bytes of the state, the outer step's moments and, under early stopping, the best state so far."""
    if number < 1:
        return 0
    best = federation.terms.training.early_stopping_rounds is not None
    return (
        WORD
        * (1 + _moments(federation) + best)
        * _state_words(federation, federation.terms.federation.rounds)
    )


def _apply(federation: Federation, sizes: RoundSizes) -> int:
    """Bytes that come and go while a mean is applied, beside what is kept."""
    if sizes.round_number < 1:
        return 2 * WORD * sizes.values
    rounds = federation.terms.federation.rounds
    largest = max(federation.layout.adapted, key=lambda tensor: tensor.rows + tensor.columns)
    directions = _directions(federation, rounds) + _directions(federation, 1)
    # Both bases, their triangles' vectors and what is made of them: three copies of the concatenated factors.
    factorisation = 3 * (largest.rows + largest.columns) * directions
    rank = max(member.rank for member in federation.roster)
    start = 2 * sum(rank * (tensor.rows + tensor.columns) for tensor in federation.layout.adapted)
    states = _state_words(federation, 1) + (1 + _moments(federation)) * _state_words(federation, rounds)
    return WORD * (2 * sizes.values + states + factorisation + start)


def _moments(federation: Federation) -> int:
    """Values that the outer step carries along for each one of the state."""
    match federation.terms.outer:
        case SgdSection():
            return 0
        case NesterovSection():
            return 1
        case AdamSection():
            return 2
        case _:
            assert_never(federation.terms.outer)


def _directions(federation: Federation, rounds: int) -> int:
    """Most directions of a decomposed weight after so many rounds."""
    plan = federation.plan
    largest = max(plan.ranks.ranks)
    if not plan.facts.adapts:
        return 0
    if plan.facts.one_adapter:
        return largest
    return min(plan.kept_rank, rounds * max(largest, plan.facts.rank_limit(plan.settings)))


def _state_words(federation: Federation, rounds: int) -> int:
    """Values of the global state after so many rounds, heads included."""
    plan, directions = federation.plan, _directions(federation, rounds)
    shapes = Counter((tensor.rows, tensor.columns, tensor.kind) for tensor in federation.layout.tensors)
    words = 0
    for (rows, columns, kind), count in shapes.items():
        whole = rows * columns
        alone = replace(plan, layout=Layout((TensorSpec("weight", rows, columns, kind),)))
        if kind is TensorKind.ADAPTED and alone.length(1) < whole:
            whole = min(directions, rows, columns) * (rows + columns + 1)
        words += count * whole
    return words


def _longest_run(federation: Federation, number: int) -> int:
    """Most coordinates that a payload has in memory at a time: those of one tensor, or some rows of a product."""
    if number < 1:
        return federation.kind_of(number).total
    plan = federation.plan
    shapes = {(tensor.rows, tensor.columns, tensor.kind): tensor for tensor in federation.layout.tensors}
    longest = max(replace(plan, layout=Layout((tensor,))).length(number) for tensor in shapes.values())
    widest = max(tensor.columns for tensor in federation.layout.tensors)
    return min(longest, max(RUN_VALUES, widest)) if plan.facts.by_rows else longest
