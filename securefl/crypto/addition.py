"""The server's part: residues added modulo the form's modulus. It takes no key and opens nothing.

The rule kept here: nothing is reduced until the end, and nothing can overflow before. An uploaded residue r
stands for r 2^b <= q - 1 + 2^(b-1) < 2^54, so that 1000 of them stay below 2^64, shifted left or not.
"""

from __future__ import annotations

import numpy as np

from securefl.crypto.profiles import MAX_CONTRIBUTIONS
from securefl.crypto.wireform import WireForm
from securefl.crypto.words import Words
from securefl.errors import ProtocolError


class ResidueSum:
    """A running sum of contributions, fed with windows of whole ciphertexts in any order.

    Memory is 8 bytes a residue, whatever the number of contributions; a server that adds by ranges of
    ciphertexts makes one sum for each range.

    Args:
        form: What uploads look like.
        ciphertexts: C, ciphertexts of one contribution.
    """

    def __init__(self, form: WireForm, ciphertexts: int) -> None:
        self._form = form
        self._sums = np.zeros((ciphertexts, form.degree), dtype=np.uint64)
        self._added = np.zeros(ciphertexts, dtype=np.int64)

    def add(self, first_ciphertext: int, residues: Words) -> None:
        """Adds a window of one contribution.

        Args:
            first_ciphertext: Where the window begins.
            residues: (k, N) uint64 as ``WireForm.decode_upload`` gives them: in range.

        Raises:
            ProtocolError: if the window leaves the layout, or more than ``MAX_CONTRIBUTIONS`` are added.
        """
        window = slice(first_ciphertext, first_ciphertext + residues.shape[0])
        if first_ciphertext < 0 or window.stop > self._sums.shape[0]:
            raise ProtocolError("a window of ciphertexts lies outside the layout")
        if np.any(self._added[window] >= MAX_CONTRIBUTIONS):
            raise ProtocolError(f"a sum takes at most {MAX_CONTRIBUTIONS} contributions")
        self._sums[window] += residues
        self._added[window] += 1

    def total(self) -> Words:
        """The sum, scaled back by the dropped bits and reduced.

        Returns:
            (C, N) uint64 below the modulus.

        Raises:
            ProtocolError: if some ciphertexts have had fewer contributions than others, or none.
        """
        if self._added.size and (self._added.min() != self._added.max() or self._added.min() == 0):
            raise ProtocolError("a sum is incomplete", hint="add every window of every contribution first")
        return (self._sums << np.uint64(self._form.dropped_bits)) % np.uint64(self._form.modulus)
