"""A member that is watched: it writes down needles of its own updates, for ``securefl run --witness`` to search for.

The rule kept here: needles lie in a private folder of this machine, beside the members' keys, and are deleted with
them; nothing of them is told to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from securefl.adapters.update import Update
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.needles import Needle, float_needles, integer_needles
from securefl.protocol.agreement.cohort import Cohort
from securefl.results.needle_files import SUFFIX, append_needles


class WitnessedAggregation(MemberAggregation):
    """A member's aggregation that writes down what must not be seen outside it, once it knows where."""

    _needles: Path

    def noting_in(self, folder: Path) -> None:
        """Note needles in the member's file in a folder, from now on."""
        self._needles = folder / f"{self.member}{SUFFIX}"

    def encode(self, update: Update, *, round_number: int, samples: int) -> EncodedContribution:
        """See ``MemberAggregation.encode``."""
        append_needles(self._needles, self._of_update(update, round_number))
        return super().encode(update, round_number=round_number, samples=samples)

    def encrypt_attempt(self, encoded: EncodedContribution, *, cohort: Cohort, salt: bytes) -> Encryption:
        """See ``MemberAggregation.encrypt_attempt``."""
        append_needles(self._needles, self._of_attempt(encoded, cohort, salt))
        return super().encrypt_attempt(encoded, cohort=cohort, salt=salt)

    def _of_update(self, update: Update, round_number: int) -> Iterable[Needle]:
        for tensor, factors in sorted(update.weights.items()):
            yield from float_needles(f"{self.member} round {round_number} {tensor} left", factors.left)
        for tensor, values in sorted(update.heads.items()):
            yield from float_needles(f"{self.member} round {round_number} {tensor}", values)

    def _of_attempt(self, encoded: EncodedContribution, cohort: Cohort, salt: bytes) -> Iterable[Needle]:
        number = cohort.attempt.round_number
        name = f"{self.member} round {number}"
        cut = self.within(encoded, round_number=number, cohort=cohort.members)
        yield Needle(f"{name} salt", salt, public=True)
        yield from integer_needles(
            name,
            cut.integers,
            profile=self.federation.profile,
            word_bytes=self.federation.form.upload_residue_bytes,
        )
