"""A federation started again from the same folders: what a lying server can make of both runs' contributions.

Encrypted sections are safe, because every pad of a MAC is bound to its ciphertext's fresh seed. Plain sections and
the integer twin have no seed, so their pads repeat; SECURITY.md says so, and the first test shows it.
"""

from __future__ import annotations

import numpy as np
import pytest

from securefl.crypto.authentication import CiphertextMac
from securefl.crypto.cipher import Encrypted
from securefl.crypto.schemes import Scheme, profile_named
from securefl.crypto.wireform import Ciphertexts, WireForm, wire_form
from securefl.errors import ForgeryError

KEY, CONTEXT, MEMBERS = bytes(range(32)), b"the same round of the same federation", ("a", "b", "c")
PROFILE = profile_named("t40-2x20-d6")


def contribution(form: WireForm, member: str, *, run: int) -> Encrypted:
    rng = np.random.default_rng([run, *member.encode()])
    residues = rng.integers(0, form.upload_limit, (1, form.degree), dtype=np.uint64)
    return Encrypted(residues, rng.bytes(form.seeds_bytes(1)))


def with_a_multiple_of_the_difference(scheme: Scheme, factor: int) -> None:
    """Verifies the second run's sum with ``factor`` times what the first member changed between the runs."""
    form = wire_form(scheme, PROFILE)
    mac = CiphertextMac(KEY, form, context=CONTEXT)
    new = {member: contribution(form, member, run=2) for member in MEMBERS}
    old = contribution(form, "a", run=1)
    parts = [(1, member, part) for member, part in new.items()] + [
        (factor, "a", new["a"]),
        (-factor, "a", old),
    ]
    residues = sum(weight * part.residues.astype(object) for weight, _, part in parts) * 2**form.dropped_bits
    macs = sum(weight * mac.macs(part, member=member).astype(object) for weight, member, part in parts)
    total = Ciphertexts(*((value % form.modulus).astype(np.uint64) for value in (residues, macs)))
    mac.verify(total, [(member, part.seeds) for member, part in new.items()])


def test_in_a_plain_section_a_multiple_of_the_difference_of_two_runs_is_not_seen() -> None:
    with_a_multiple_of_the_difference("none", 7)


def test_in_an_encrypted_section_it_is_refused() -> None:
    with_a_multiple_of_the_difference("bfv", 0)
    with pytest.raises(ForgeryError):
        with_a_multiple_of_the_difference("bfv", 7)
