"""The server's part: words and MACs added modulo the form's modulus. It takes no key and decrypts nothing.

The rule kept here: nothing is reduced until the end, and no ciphertext enters the sum without the MAC that belongs to
it. Under a modulus that is a power of two sums of 64 bits may wrap: the class stays. Under BFV nothing can overflow: an
uploaded residue r stands for r 2^b <= q - 1 + 2^(b-1) < 2^54, so that 1000 of them stay below 2^64, shifted left or
not; a MAC is below q.
"""

from __future__ import annotations

import numpy as np

from securefl.crypto.profiles import MAX_CONTRIBUTIONS
from securefl.crypto.wireform import Buffer, Ciphertexts, WireForm
from securefl.crypto.words import Words, add_words
from securefl.errors import ProtocolError


class ResidueSum:
    """A running sum of contributions, fed with windows of whole ciphertexts in any order.

    Memory is 8 bytes a residue and MAC, whatever the number of contributions; a server that adds by ranges of
    ciphertexts makes one sum for each range.

    Args:
        form: What uploads look like.
        ciphertexts: C, ciphertexts of one contribution.
    """

    def __init__(self, form: WireForm, ciphertexts: int) -> None:
        self._form = form
        self._sums = np.zeros((ciphertexts, form.degree), dtype=np.uint64)
        self._macs = np.zeros(ciphertexts, dtype=np.uint64)
        self._added = np.zeros(ciphertexts, dtype=np.int64)

    def add(self, first_ciphertext: int, window: Ciphertexts) -> None:
        """Add a window of one contribution.

        Args:
            first_ciphertext: Where the window begins.
            window: Its ciphertexts as ``WireForm.decode_upload`` gives them: in range.

        Raises:
            ProtocolError: if the window leaves the layout, or more than ``MAX_CONTRIBUTIONS`` are added.
        """
        rows = self._free_rows(first_ciphertext, window.residues.shape[0])
        self._sums[rows] += window.residues
        self._macs[rows] += window.macs
        self._added[rows] += 1

    def add_upload(self, first_ciphertext: int, data: Buffer, *, ciphertexts: int) -> None:
        """Add a window of one contribution from its bytes: what ``add`` does with what they decode to.

        Words that add with wrap-around are not decoded on the way.

        Args:
            first_ciphertext: Where the window begins.
            data: Its bytes, as they were uploaded.
            ciphertexts: How many there are.

        Raises:
            WireError: if the bytes are not so many ciphertexts, or one of their words is out of range.
            ProtocolError: as ``add``.
        """
        if not self._form.takes_any_words:
            self.add(first_ciphertext, self._form.decode_upload(data, ciphertexts=ciphertexts))
            return
        rows = self._free_rows(first_ciphertext, ciphertexts)
        add_words(self._sums[rows].reshape(-1), data, self._form.upload_residue_bytes)
        self._added[rows] += 1

    def _free_rows(self, first: int, count: int) -> slice:
        rows = slice(first, first + count)
        if first < 0 or rows.stop > self._sums.shape[0]:
            raise ProtocolError("a window of ciphertexts lies outside the layout")
        if np.any(self._added[rows] >= MAX_CONTRIBUTIONS):
            raise ProtocolError(f"a sum takes at most {MAX_CONTRIBUTIONS} contributions")
        return rows

    def total(self) -> Ciphertexts:
        """The sum, its residues scaled back by the dropped bits, and all of it reduced.

        Returns:
            C ciphertexts: residues and MACs below the modulus.

        Raises:
            ProtocolError: if some ciphertexts have had fewer contributions than others, or none.
        """
        if self._added.size and (self._added.min() != self._added.max() or self._added.min() == 0):
            raise ProtocolError("a sum is incomplete", hint="add every window of every contribution first")
        sums = self._sums << np.uint64(self._form.dropped_bits)
        return Ciphertexts(_reduced(sums, self._form.modulus), _reduced(self._macs, self._form.modulus))


def _reduced(sums: Words, modulus: int) -> Words:
    """Sums modulo the form's modulus: a mask where it is a power of two, which is ten times as fast."""
    if modulus & (modulus - 1) == 0:
        return sums & np.uint64(modulus - 1)
    return sums % np.uint64(modulus)
