"""After SHE-LoRA (arXiv 2505.21051, ICLR 2026): the most sensitive columns of a weight are encrypted, the others not.

The paper's steps as our choices. A column j of an adapted weight has the sensitivity S_j = sum_k |W_kj| ||x_j||_2; the
clients agree on the most sensitive columns and encrypt those: ``[encryption] select = { by = "columns" }``. The server
adds, and each client decrypts and cuts the sum to its own rank by SVD: payload ``dense``.

The plain columns of every client are open to the server, which the row does not accept for anybody: a file that names
it is refused until it says ``allow_plaintext = true`` itself.

What differs. Columns are negotiated under encryption: the first round, all of it encrypted, sums the square roots of
the members' scores, and everybody takes the same mask from the sum; the paper sends order-preserving ciphertexts, which
leak the order. Columns of the whole change B A are sent, in full ciphertexts, and the server multiplies nothing; the
paper encrypts columns of A, leaves B and the rest of A plain, uses 16 of 4,096 slots, and multiplies encrypted A by
plain B on the server (180 s at 0.125 %, 12,240 s at 10 %). Columns are taken over all weights together, by their score
a coordinate; the last one in part, so that the number is exact. Heads are always encrypted, and averaged by class as in
our own rows. All members encrypt the same columns, where the paper lets each encrypt as many as it can. Weights are
min(n_k / samples_cap, 1), changes are added to a state of full rank, and products are not averaged whole.

Holes of the paper that selecting leaves open: the plain columns show a member's rank and the column space of B, so an
encrypted column is hidden by r numbers, not by m; and the plain columns still tell of its texts.

Not verified: the share of columns that the paper's defence against DAGER (ROUGE-1 0.7 / 1.0 / 0 at batches of 4 / 8 /
16) was measured with, for this row's tenth is ours; over which tokens its norm of x_j goes (here those of eight batches
of the member, padding left out); its merging of encrypted with plain parts. The attack was not run here.
"""

from __future__ import annotations

from securefl.config.encryption import EncryptionSection, SelectSection
from securefl.config.payload import DensePayload
from securefl.config.recipes.choices import Recipe
from securefl.config.recipes.row import Row

ROW = Row(
    recipe=Recipe(name="she-lora", personal="none"),
    payload=DensePayload(name="dense"),
    # No valid section by itself: who accepts plain values says so in a file.
    others={
        "encryption": EncryptionSection.model_construct(select=SelectSection(by="columns", fraction=0.1))
    },
)
