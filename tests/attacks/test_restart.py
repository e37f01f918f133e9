"""Row 21 of the attacks: what a lying server can make of two contributions of one member to one attempt.

A member that lost its memory, or a federation started again from the same folders, may contribute twice where all else
is the same. In 0.1.0 the pads of plain sections repeated then, so the server could add a multiple of the difference of
both, unseen. Now every pad takes the salt of the header, which is fresh.
"""

from __future__ import annotations

import numpy as np
import pytest

from securefl.crypto.contributor import Contributor
from securefl.crypto.schemes import profile_named
from securefl.crypto.tags import SectionTag
from securefl.errors import ForgeryError

KEY, CONTEXT, MEMBERS = bytes(range(32)), b"the same attempt of the same federation", ("a", "b", "c")
OLD_SALT, NEW_SALT = bytes(32), bytes([1]) * 32


def contribution(tag: SectionTag, member: str, *, run: int, salt: bytes) -> np.ndarray:
    rng = np.random.default_rng([run, *member.encode()])
    return tag.attach(rng.integers(-1000, 1001, (1, 4096)), contributor=Contributor(member, salt))


def with_a_multiple_of_the_difference(profile: str, factor: int, *, salt_of_the_new: bytes) -> None:
    """Check the second run's sum with ``factor`` times what the first member changed between the runs."""
    tag = SectionTag(KEY, profile_named(profile), context=CONTEXT, ciphertexts=1)
    new = [contribution(tag, member, run=2, salt=salt_of_the_new) for member in MEMBERS]
    old = contribution(tag, "a", run=1, salt=OLD_SALT)
    altered = sum(new) + factor * (new[0] - old)
    tag.check(altered, [Contributor(member, salt_of_the_new) for member in MEMBERS])


@pytest.mark.parametrize("profile", ["k20-2x20-d12", "t40-2x20-d6"])
def test_control_under_a_repeated_salt_a_multiple_of_the_difference_is_not_seen(profile: str) -> None:
    with_a_multiple_of_the_difference(profile, 7, salt_of_the_new=OLD_SALT)


@pytest.mark.parametrize("profile", ["k20-2x20-d12", "t40-2x20-d6"])
@pytest.mark.parametrize("factor", [1, -1, 7])
def test_under_a_fresh_salt_it_is_refused(profile: str, factor: int) -> None:
    with_a_multiple_of_the_difference(profile, 0, salt_of_the_new=NEW_SALT)
    with pytest.raises(ForgeryError):
        with_a_multiple_of_the_difference(profile, factor, salt_of_the_new=NEW_SALT)
