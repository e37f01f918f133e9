"""A federation of models of one's own: three members with a PyTorch model that nobody else knows, in seconds.

Each member fits a small network whose hidden weight carries a LoRA adapter and whose output layer is shared whole.
Here all of them are threads of one process; in earnest each line of ``main`` runs on another machine.

    python examples/own_model.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn

from securefl import (
    Adapter,
    LoraFactors,
    Member,
    Update,
    load_federation,
    provision,
    shared_layout,
    update_between,
)
from securefl_server.process import run_server

ALPHA = 4.0
FEDERATION = """
[federation]
name = "own-model"
rounds = 4
[lora]
lora_alpha = 4
[cohort]
clients = [{ id = "north", r = 1 }, { id = "south", r = 2 }, { id = "west", r = 4 }]
samples_cap = 200
[server]
address = "127.0.0.1:17443"
"""
LAYOUT = shared_layout(adapted={"hidden": (16, 8)}, heads={"out": (2, 16)})


class OwnData(torch.utils.data.TensorDataset):
    """Points of two classes, divided by a curve; every member sees a region of its own."""

    def __init__(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        points = torch.randn(300, 8, generator=draw) + 0.5 * torch.randn(8, generator=draw)
        super().__init__(points, (points[:, 0] * points[:, 1] > 0).long())


class OwnLearner:
    """Trains A, B and the output layer on a frozen hidden weight; 200 points to train on, 100 to measure with."""

    samples = 200

    def __init__(self, data: OwnData) -> None:
        self.base = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))  # the same at every member
        self.points, self.classes = data.tensors

    def logits(
        self, A: torch.Tensor, B: torch.Tensor, out: torch.Tensor, points: torch.Tensor
    ) -> torch.Tensor:
        """Classes' logits: the hidden weight with its adapter, and the output layer."""
        return torch.relu(points @ (self.base + ALPHA / A.shape[0] * B @ A).T) @ out.T

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        """Train from the shared adapter, and give what changed."""
        values = (start.weights["hidden"].A, start.weights["hidden"].B, start.heads["out"])
        A, B, out = (torch.tensor(value, dtype=torch.float32, requires_grad=True) for value in values)
        optimiser = torch.optim.Adam([A, B, out], lr=0.02)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(
                self.logits(A, B, out, self.points[:200]), self.classes[:200]
            ).backward()
            optimiser.step()
        A, B, out = (value.detach().double().numpy() for value in (A, B, out))
        after = Adapter({"hidden": LoraFactors(A, B)}, {"out": out})
        return update_between(start, after, scaling=ALPHA / len(A))

    def sensitivity(self, round_number: int, /) -> np.ndarray:
        """Say that every feature matters alike."""
        return np.ones(16 + 8)  # asked for only where encryption.select leaves values out

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """Measure the shared adapter on points that it was not trained on."""
        pair, out = adapter.weights["hidden"], adapter.heads["out"]
        A, B, head = (torch.tensor(value, dtype=torch.float32) for value in (pair.A, pair.B, out))
        hits = self.logits(A, B, head, self.points[200:]).argmax(dim=1) == self.classes[200:]
        return {"accuracy": float(hits.float().mean())}


def main(folder: Path) -> dict[str, float]:
    """Provision, start the server and the members, and give every member's accuracy."""
    (folder / "FED.toml").write_text(FEDERATION)
    config = load_federation(folder / "FED.toml", own_models=True)
    provision(config, folder / "federation", layout=LAYOUT)
    with ThreadPoolExecutor() as threads:
        server = threads.submit(
            run_server, folder / "federation/server", address=None, emit=lambda event: None
        )
        members = {
            name: threads.submit(Member(folder / "federation" / name, OwnLearner(OwnData(seed))).run)
            for seed, name in enumerate(config.ranks, start=1)
        }
        results = {name: member.result() for name, member in members.items()}
        server.result()
    return {name: result.metrics["accuracy"] for name, result in results.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for member, accuracy in main(Path(scratch)).items():
            print(f"{member}: accuracy {accuracy:.2f} with the shared adapter")
