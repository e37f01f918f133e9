"""What a payload costs and how near it comes: one 4096 x 4096 weight, 16 clients of ranks 4 to 64.

    python benchmarks/sketch_table.py --json sketch_table.json --markdown sketch_table.md

Every client's update has the form that LoRA training gives it, from a start that all share; the errors are those of
the redistributed adapter of each rank against the mean of the updates, beside that of the exact SVD at the same rank.
``basis`` sums another kind of update (one factor against the round's frozen one), so it is measured against the exact
SVD of its own mean. Run it with OMP_NUM_THREADS=1: the seconds are the processor's, meant for one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.linalg import decompose, random_orthonormal_rows
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Factors, Matrix, Update
from securefl.aggregation.encoding import RoundCodec
from securefl.config.encryption import GridSection
from securefl.config.payload import PayloadName
from securefl.crypto.cipher import Place
from securefl.crypto.contributor import Contributor
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SharedKeys
from securefl.crypto.packing import pack
from securefl.crypto.schemes import profile_for

RANKS = (4,) * 4 + (8,) * 4 + (16,) * 3 + (32,) * 3 + (64,) * 2
DISTINCT = tuple(sorted(set(RANKS)))
ALPHA = 16.0
BITS = 16
SEED = 7
WEIGHT = "weight"
DECAY = 0.94
"""Strength of one LoRA direction by that of the one before it."""
LARGEST = 0.02
"""Largest entry of an update, as measured on MiniLM's query and value weights in a round of BANKING77."""
LARGEST_FACTOR = 0.1
"""Largest entry of a trained factor under ``basis``: like the other well within the default bound."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Row:
    """One payload's figures.

    Attributes:
        payload: Its name.
        sketch_rank: k, under ``sketch``.
        values: Integers of one contribution.
        upload_bytes: Encrypted, seeds included.
        download_bytes: The encrypted sum, without the cohort's headers and seeds.
        encode_s: Update to integers, of the client with the largest rank.
        seal_s: Packing and encrypting them.
        decode_s: Sum of integers to the mean update.
        redistribute_s: The adapter of the largest rank from the state.
        saturated: Values of all clients that were clipped.
        error: By rank, the share of the mean (Frobenius) that the redistributed adapter misses.
        best: By rank, the share that the exact SVD misses.
        estimate: The share of the mean that the sketch's own estimate says is missing before redistribution.
        missing: That share in truth.
    """

    payload: str
    sketch_rank: int | None
    values: int
    upload_bytes: int
    download_bytes: int
    encode_s: float
    seal_s: float
    decode_s: float
    redistribute_s: float
    saturated: int
    error: dict[int, float]
    best: dict[int, float]
    estimate: float | None
    missing: float


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What ``work`` gives, and the processor's seconds it takes: others may use the machine at the same time."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def free_update(side: int, client: int, rank: int) -> Update:
    """(B0 + dB)(A0 + dA) - B0 A0, where (B0, A0) is what all clients of the rank start from."""
    shared, own = np.random.default_rng(SEED), np.random.default_rng([SEED, client])
    largest = max(RANKS)
    strength = DECAY ** np.arange(rank)
    A0 = random_orthonormal_rows(largest, side, rng=shared)[:rank]
    B0 = shared.standard_normal((side, largest))[:, :rank] * strength
    B1 = B0 + own.standard_normal((side, rank)) * strength
    A1 = A0 + own.standard_normal((rank, side)) * (0.2 / np.sqrt(side))
    return scaled(Factors(np.hstack([B1, -B0]), np.vstack([A1, A0])))


def basis_update(codec: RoundCodec, client: int, rank: int) -> Update:
    """A trained left factor against the round's frozen rows."""
    assert codec.frozen is not None
    frozen = codec.frozen.cut(WEIGHT, rank)
    assert isinstance(frozen, np.ndarray)
    own = np.random.default_rng([SEED, client])
    trained = own.standard_normal((frozen.shape[1], frozen.shape[0])) * DECAY ** np.arange(frozen.shape[0])
    return Update({WEIGHT: Factors(trained * (LARGEST_FACTOR / np.abs(trained).max()), frozen)}, {})


def scaled(factors: Factors) -> Update:
    """The update with its largest entry, sampled on some rows, at ``LARGEST``."""
    largest = float(np.abs(factors.left[:256] @ factors.right).max())
    return Update({WEIGHT: Factors(factors.left * (LARGEST / largest), factors.right)}, {})


def mean_of(updates: list[Update], plan: PayloadPlan) -> Factors:
    """What the payload is meant to give: the mean over all, or over each partition's owners under ``basis``."""
    factors = [update.weights[WEIGHT] for update in updates]
    if plan.payload != "basis":
        left = np.concatenate([each.left for each in factors], axis=1) / len(factors)
        return Factors(left, np.concatenate([each.right for each in factors]))
    widest = max(factors, key=lambda each: each.right.shape[0])
    left = np.zeros_like(widest.left)
    for part in plan.ranks.partitions:
        owners = [each for rank, each in zip(RANKS, factors, strict=True) if part.owned_by(rank)]
        directions = slice(part.start, part.stop)
        left[:, directions] = sum(each.left[:, directions] for each in owners) / len(owners)
    return Factors(left, widest.right)


def apart(one: Factors, other: Factors | Matrix) -> float:
    """Frobenius norm of the difference."""
    if not isinstance(other, Factors):
        return float(np.linalg.norm(other - one.product()))
    left = np.concatenate([one.left, -other.left], axis=1)
    return float(np.linalg.norm(decompose(Factors(left, np.concatenate([one.right, other.right]))).singular))


def measure(payload: PayloadName, side: int, sketch_rank: int | None = None) -> Row:
    """One payload, from updates to redistributed adapters."""
    layout = Layout((TensorSpec(WEIGHT, side, side, TensorKind.ADAPTED),))
    plan = PayloadPlan(
        payload=payload,
        layout=layout,
        ranks=RankTable(RANKS),
        bits=BITS,
        adapter_bound=GridSection().adapter_bound,
        head_bound=1.0,
        samples_cap=100,
        seed=SEED,
        sketch_rank=sketch_rank,
    )
    codec = RoundCodec.of(plan, 1)
    updates = [
        basis_update(codec, client, rank) if payload == "basis" else free_update(side, client, rank)
        for client, rank in enumerate(RANKS)
    ]
    rng = np.random.default_rng(SEED)
    total = np.zeros(codec.length, dtype=np.int64)
    saturated, encode_s = 0, 0.0
    for update, rank in zip(updates, RANKS, strict=True):
        encoded, encode_s = timed(lambda u=update, r=rank: codec.encode(u, rank=r, samples=100, rng=rng))
        total += encoded.integers
        saturated += sum(encoded.saturated.values())
    profile = profile_for(len(RANKS), BITS, scheme="kahe")
    cipher = cipher_with(SharedKeys.generate(None), scheme="kahe", profile=profile)
    slots = pack(encoded.integers, profile)
    place = Place(attempt=bytes(32), context=b"", section=0, ciphertexts=len(slots))
    contributor = Contributor("client-1", bytes(32))
    encryption = cipher.encryption(place, contributor=contributor, key=cipher.draw_key())
    _, seal_s = timed(lambda: encryption.encrypt(slots, first=0))
    mean, decode_s = timed(lambda: codec.decode(total))
    state = GlobalState.start(layout, seed=SEED).advanced(mean)
    true = mean_of(updates, plan)
    spectrum = decompose(true).singular
    norm = float(np.linalg.norm(spectrum))
    # One decomposition of a whole weight takes minutes; one at the largest rank contains the smaller ones.
    adapter, redistribute_s = timed(lambda: state.redistributed(max(RANKS), scaling=1.0).weights[WEIGHT])
    cuts = {rank: Factors(adapter.B[:, :rank], adapter.A[:rank]) for rank in DISTINCT}
    form, count = cipher.form, profile.ciphertexts_for(codec.length)
    estimate = mean.error_estimate.get(WEIGHT)
    return Row(
        payload=payload,
        sketch_rank=sketch_rank,
        values=codec.length,
        upload_bytes=form.upload_bytes(count) + form.seeds_bytes(count),
        download_bytes=form.aggregate_bytes(count),
        encode_s=encode_s,
        seal_s=seal_s,
        decode_s=decode_s,
        redistribute_s=redistribute_s,
        saturated=saturated,
        error={rank: apart(true, cut) / norm for rank, cut in cuts.items()},
        best={rank: float(np.linalg.norm(spectrum[rank:])) / norm for rank in DISTINCT},
        estimate=None if estimate is None else estimate.share,
        missing=apart(true, mean.weights[WEIGHT]) / norm,
    )


def markdown(rows: list[Row], side: int) -> str:
    """The table as people read it."""
    lines = [
        f"One {side} x {side} weight, {len(RANKS)} clients of ranks {', '.join(map(str, DISTINCT))}, {BITS} bits; "
        "seconds of one processor core. Errors are shares of the mean's Frobenius norm at each rank, in brackets as "
        "multiples of the exact SVD's.",
        "",
        "| payload | values | MB up | encode s | seal s | decode s | redistribute s | missing (estimated) | "
        + " | ".join(f"error at {rank}" for rank in DISTINCT)
        + " |",
        "|---" * (8 + len(DISTINCT)) + "|",
    ]
    for row in rows:
        name = row.payload if row.sketch_rank is None else f"{row.payload} k = {row.sketch_rank}"
        estimate = "" if row.estimate is None else f" ({row.estimate:.4f})"
        errors = [_error(row.error[rank], row.best[rank]) for rank in DISTINCT]
        cells = [
            name,
            f"{row.values:,}",
            f"{row.upload_bytes / 1e6:.2f}",
            *(f"{s:.2f}" for s in (row.encode_s, row.seal_s, row.decode_s, row.redistribute_s)),
            f"{row.missing:.4f}{estimate}",
            *errors,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _error(error: float, best: float) -> str:
    return f"{error:.4f} ({error / best:.3f})" if best > 1e-3 else f"{error:.4f} (exact)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=4096, help="rows and columns of the weight")
    parser.add_argument(
        "--ranks", type=int, nargs="*", default=[16, 32, 64, 128, 256], help="k of the sketches"
    )
    parser.add_argument("--skip-dense", action="store_true", help="leave out the payload that takes minutes")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    options = parser.parse_args()
    rows = [measure("basis", options.side)]
    rows += [measure("sketch", options.side, sketch_rank) for sketch_rank in options.ranks]
    if not options.skip_dense:
        rows.append(measure("dense", options.side))
    table = markdown(rows, options.side)
    print(table)
    if options.json:
        figures = {"side": options.side, "ranks": RANKS, "bits": BITS, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
