"""Row 12 of the attacks: was a canary among a member's training rows? Without noise it is plain, under the plan chance.

The attacker is given more than anybody has: every step's sum before AdamW, parameters that stand still, all other rows,
and the canary's own clipped gradient. Its score is the scalar product with the part of that gradient which no other row
has, so that only noise is in its way.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tiny_model import save_tiny_bert
from torch import nn

from securefl.aggregation.contribution import Binding
from securefl.aggregation.encryption import Encryption, Part
from securefl.crypto.contributor import Contributor
from securefl.crypto.entropy import SYSTEM
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.kahe.cipher import KaheCipher
from securefl.crypto.schemes import profile_for
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.protocol.agreement.signed import Attempt
from securefl.training.dp_sgd.fine_noise import FineNoise
from securefl.training.dp_sgd.row_clipping import clipped_sums
from securefl.training.dp_sgd.sampling import poisson_rows
from securefl.training.dp_sgd.taps import Taps
from securefl.training.models import load_base_model

pytestmark = pytest.mark.slow

ROWS, CANARY, TRIALS = 17, 16, 1000
HELD_TRIALS = 150
CLIP = 1.0


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Clipped gradients (rows, d) of a little transformer's head; the last row is the canary."""
    folder = tmp_path_factory.mktemp("bert")
    save_tiny_bert(folder)
    model = load_base_model(str(folder), labels=3).eval().requires_grad_(False)
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        model.classifier.weight.normal_(generator=rng)
    trained: dict[str, nn.Parameter] = dict(model.classifier.named_parameters())
    ids = torch.randint(4, 30, (ROWS, 7), generator=rng)
    ids[CANARY] = torch.tensor([35, 34, 35, 33, 35, 32, 35])
    labels = torch.randint(0, 3, (ROWS,), generator=rng)
    found = []
    for value in trained.values():
        value.requires_grad_(True)
    with Taps(model, trained) as taps:
        for row in range(ROWS):
            logits = model(ids[row : row + 1], torch.ones(1, 7, dtype=torch.int64)).logits
            losses = nn.functional.cross_entropy(logits, labels[row : row + 1], reduction="none")
            # The canary's loss is raised so that its gradient fills the clip, as that of a poisoned row would.
            losses = losses * (100.0 if row == CANARY else 1.0)
            sums = clipped_sums(taps.gradients(losses), clip=CLIP, clipping="flat")
            found.append(torch.cat([value.flatten() for value in sums.values()]).double().numpy())
    return np.stack(found)


def scores(gradients: np.ndarray, release: SampledTraining, *, canary: bool, noise: bool) -> np.ndarray:
    """The attacker's score of every trial."""
    stream, rows = NoiseStream(), gradients if canary else gradients[:CANARY]
    added = FineNoise(release.noise_multiplier * release.clip)
    others, canary_row = gradients[:CANARY], gradients[CANARY]
    own = canary_row - np.linalg.pinv(others) @ others @ canary_row
    found = np.zeros(TRIALS)
    for trial in range(TRIALS):
        for _ in range(release.steps):
            total = rows[poisson_rows(len(rows), release.sampling_probability, stream)].sum(axis=0)
            total = added.added(total, stream) if noise else total
            found[trial] += total @ own
    return found


def advantage(present: np.ndarray, absent: np.ndarray) -> float:
    """Largest difference of the rates of "it was there" over all thresholds, both ways."""
    cuts = np.sort(np.concatenate([present, absent]))
    above = np.array([(present > cut).mean() - (absent > cut).mean() for cut in cuts])
    return float(np.abs(above).max())


def test_without_noise_a_canary_is_plain(gradients) -> None:
    every = SampledTraining(
        noise_multiplier=1.0, clip=CLIP, clipping="flat", sampling_probability=1.0, steps=1
    )
    present, absent = (scores(gradients, every, canary=there, noise=False) for there in (True, False))
    assert advantage(present, absent) == 1.0


def test_a_fiftieth_of_the_planned_noise_shows_it(gradients) -> None:
    """The attack is strong enough to see broken noise."""
    release = planned(0.02)
    present, absent = (scores(gradients, release, canary=there, noise=True) for there in (True, False))
    assert advantage(present, absent) > 0.3


def test_under_the_plan_a_canary_is_at_chance(gradients) -> None:
    release = planned(1.0)
    present, absent = (scores(gradients, release, canary=there, noise=True) for there in (True, False))
    # Two samples of 1000 without any difference are further apart in one run of 10^9; one round of three at epsilon 1
    # leaves little of a canary that is drawn once in four steps.
    assert advantage(present, absent) < 3.3 * math.sqrt(2 / TRIALS)


def held(cipher: IntegerTwin | KaheCipher, integers: np.ndarray) -> np.ndarray:
    """A contribution as the server holds it, read as if its words were values that are not encrypted."""
    binding = Binding(Attempt(bytes(32), key_epoch=1, round_number=1, number=1), digest=bytes(32))
    part = Part(cipher, len(integers), lambda: [integers])
    encryption = Encryption(
        [part], binding=binding, contributor=Contributor("client-1", salt=SYSTEM(32)), tag_key=SYSTEM(32)
    )
    words = cipher.form.decode_upload(b"".join(encryption.windows()), ciphertexts=1).residues.reshape(-1)
    width, profile = 8 * cipher.form.upload_residue_bytes, cipher.profile
    unused = 64 - width
    slots = ((words << np.uint64(unused)).view(np.int64) >> unused).astype(np.int64)
    if isinstance(cipher, KaheCipher):
        slots >>= profile.scale_bits - profile.dropped_bits
    bits = profile.lane_bits
    lanes = [
        ((slots >> (bits * lane)) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
        for lane in range(profile.lanes)
    ]
    return np.stack(lanes, axis=1).reshape(-1)[: len(integers)].astype(np.float64)


@pytest.mark.parametrize(
    ("kind", "seen"), [(IntegerTwin, True), (KaheCipher, False)], ids=["plain", "encrypted"]
)
def test_in_what_the_server_holds_a_canary_is_plain_without_encryption_and_at_chance_with_it(
    gradients, kind: type[IntegerTwin] | type[KaheCipher], seen: bool
) -> None:
    """Updates without any noise: nothing but the encryption hides the canary."""
    cipher = kind(profile_for(3, 16, scheme="kahe"))
    others, canary = gradients[:CANARY], gradients[CANARY]
    own = canary - np.linalg.pinv(others) @ others @ canary
    step = np.abs(gradients).sum(axis=0).max() / 20_000
    found = [
        [held(cipher, np.rint(rows.sum(axis=0) / step).astype(np.int64)) @ own for _ in range(HELD_TRIALS)]
        for rows in (gradients, others)
    ]
    # Two samples of 150 without any difference are further apart in one run of 10^9.
    assert (advantage(*map(np.array, found)) > 3.3 * math.sqrt(2 / HELD_TRIALS)) is seen


def planned(share: float) -> SampledTraining:
    """The release of a plan for epsilon 1 in three rounds, with a share of its noise."""
    pytest.importorskip("dp_accounting")
    from dataclasses import replace

    from securefl.privacy.least_noise import plan_examples

    plan = plan_examples(
        target_epsilon=1.0,
        delta=1e-5,
        accountant="rdp",
        clip=CLIP,
        clipping="flat",
        rows=ROWS,
        batch_size=4,
        steps=8,
        rounds=3,
    )
    assert isinstance(plan.release, SampledTraining)
    return replace(plan.release, noise_multiplier=share * plan.noise_multiplier)
