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
    serve       the running sum, a word for each of N C slots, and 3 words a slot of a window; the seeds of all n

Both of a client's moments also hold the round's secret vectors, 3 N words as Python's integers and as limbs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from securefl.adapters.layout import Layout
from securefl.adapters.payloads.base import RUN_VALUES
from securefl.aggregation.grid import CHUNK_VALUES
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
        serve: The server.
    """

    contribute: int
    read: int
    serve: int

    @property
    def client(self) -> int:
        """A client's fuller moment; the two do not overlap."""
        return max(self.contribute, self.read)


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
        serve=WORD * degree * sizes.ciphertexts + 3 * slots + len(federation.cohort) * seeds,
    )


def _longest_run(federation: Federation, number: int) -> int:
    """Most coordinates that a payload has in memory at a time: those of one tensor, or some rows of a product."""
    if number < 1:
        return federation.kind_of(number).total
    plan = federation.plan
    shapes = {(tensor.rows, tensor.columns, tensor.kind): tensor for tensor in federation.layout.tensors}
    longest = max(replace(plan, layout=Layout((tensor,))).length(number) for tensor in shapes.values())
    widest = max(tensor.columns for tensor in federation.layout.tensors)
    return min(longest, max(RUN_VALUES, widest)) if plan.facts.by_rows else longest
