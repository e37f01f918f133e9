"""A federation whose members train with transformers' Trainer: a language model, data and a loss of one's own.

Three farms know two animals each, and together six. Each holds the same small decoder, here a random Llama made from a
config; a folder of a Llama of one's own may be named instead. ``FarmTrainer`` is where an own training step goes, and
``own_model.py`` beside this file has one without any Trainer.

    python examples/learner_trainer.py [MODEL]

Here all members are threads of one process; in earnest each ``Member`` runs on another machine.
"""

from __future__ import annotations

import queue
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

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
from securefl.adapters.layout import Layout
from securefl.progress import Event, Listening
from securefl_server.process import run_server

ALPHA = 8.0
IGNORED = -100
FARMS = {
    "north": {"cow": "moo", "cat": "meow"},
    "south": {"dog": "woof", "hen": "cluck"},
    "west": {"pig": "oink", "owl": "hoot"},
}
FEDERATION = """
[federation]
name = "farms"
rounds = 8
[lora]
lora_alpha = 8
use_rslora = false
[cohort]
clients = [{ id = "north", r = 4 }, { id = "south", r = 8 }, { id = "west", r = 8 }]
samples_cap = 32
[server]
address = "127.0.0.1:0"
"""
ONE_AT_A_TIME = threading.Lock()
"""Trainers share torch's generators and accelerate's state, of which a process has one; members have processes."""


class Sayings(torch.utils.data.Dataset):
    """Sentences as bytes, each a token; only what the animal says is to be learnt."""

    def __init__(self, says: Mapping[str, str], *, copies: int) -> None:
        self.rows = [self._row(animal, sound) for animal, sound in says.items()] * copies

    def _row(self, animal: str, sound: str) -> dict[str, Tensor]:
        prompt, answer = f"the {animal} says ".encode(), f"{sound}.".encode()
        padding = 24 - len(prompt) - len(answer)
        ids = [*prompt, *answer, *[0] * padding]
        labels = [*[IGNORED] * len(prompt), *answer, *[IGNORED] * padding]
        return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels)}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        return self.rows[place]


class FarmTrainer(Trainer):
    """A Trainer with a loss of its own: every sentence counts alike, however long its answer."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        """Mean over sentences of the mean over their answers' tokens, nats."""
        outputs = model(input_ids=inputs["input_ids"])
        losses = token_losses(outputs.logits, inputs["labels"])
        counted = inputs["labels"][:, 1:] != IGNORED
        loss = (losses.sum(dim=1) / counted.sum(dim=1)).mean()
        return (loss, outputs) if return_outputs else loss


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss (rows, tokens - 1) of every next token, zero where none is to be learnt."""
    return nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none")


class FarmLearner:
    """A decoder with an adapter of PEFT's, trained by a Trainer."""

    def __init__(self, base: nn.Module, says: Mapping[str, str], *, rank: int, folder: Path) -> None:
        self.model: PeftModel = get_peft_model(base, lora(rank))
        self.layers = lora_layers(self.model)
        self.data = Sayings(says, copies=16)
        self.folder = folder

    @property
    def samples(self) -> int:
        """Sentences to train on."""
        return len(self.data)

    def learn(self, round_number: int, start: Adapter, frozen: object, /) -> Update:
        """Train from the shared adapter, and give what changed."""
        self.install(start)
        with ONE_AT_A_TIME:
            self._train(seed=round_number)
        return update_between(start, self.adapter(), scaling=ALPHA / self.model.peft_config["default"].r)

    def _train(self, *, seed: int) -> None:
        arguments = TrainingArguments(
            output_dir=str(self.folder),
            num_train_epochs=4,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            seed=seed,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = FarmTrainer(model=self.model, args=arguments, train_dataset=self.data)
        trainer.remove_callback(PrinterCallback)
        trainer.train()

    def sensitivity(self, round_number: int, /) -> np.ndarray:
        """Say that every feature matters alike; asked for only where encryption.select leaves values out."""
        return np.ones(sum(sum(shape) for shape in shapes(self.layers).values()))

    def evaluate(self, adapter: Adapter, /) -> Mapping[str, float]:
        """Share of all animals that get their whole sound right, and the loss."""
        self.install(adapter)
        self.model.eval()
        everything = {animal: sound for says in FARMS.values() for animal, sound in says.items()}
        rows = Sayings(everything, copies=1).rows
        ids, labels = (torch.stack([row[name] for row in rows]) for name in ("input_ids", "labels"))
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            logits = self.model(input_ids=ids.to(device)).logits.cpu()
        counted = labels[:, 1:] != IGNORED
        right = (logits[:, :-1].argmax(dim=2) == labels[:, 1:]) | ~counted
        loss = token_losses(logits, labels).sum() / counted.sum()
        return {"accuracy": float(right.all(dim=1).float().mean()), "loss": float(loss)}

    def install(self, adapter: Adapter) -> None:
        """Write the shared adapter's values into PEFT's layers."""
        with torch.no_grad():
            for name, layer in self.layers.items():
                layer.lora_A["default"].weight.copy_(torch.from_numpy(adapter.weights[name].A))
                layer.lora_B["default"].weight.copy_(torch.from_numpy(adapter.weights[name].B))

    def adapter(self) -> Adapter:
        """The values that PEFT's layers have now."""

        def values(linear: nn.Module) -> np.ndarray:
            return linear.weight.detach().cpu().double().numpy()

        return Adapter(
            {
                name: LoraFactors(A=values(layer.lora_A["default"]), B=values(layer.lora_B["default"]))
                for name, layer in self.layers.items()
            },
            heads={},
        )


def base_model(folder: str | None) -> nn.Module:
    """A Llama of a folder, or a random one from a config: the same numbers at every member."""
    if folder is not None:
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=256,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            initializer_range=0.1,
        )
    )


def lora(rank: int) -> LoraConfig:
    """An adapter on every linear module of the decoder's layers."""
    return LoraConfig(r=rank, lora_alpha=int(ALPHA), target_modules="all-linear")


def lora_layers(model: nn.Module) -> dict[str, LoraLayer]:
    """PEFT's layers by their names."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def shapes(layers: Mapping[str, LoraLayer]) -> dict[str, tuple[int, int]]:
    """Rows and columns of every adapted weight."""
    return {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}


def layout_of(folder: str | None) -> Layout:
    """The tensors that the federation shares."""
    return shared_layout(shapes(lora_layers(get_peft_model(base_model(folder), lora(1)))))


def main(folder: Path, *, model: str | None = None) -> dict[str, tuple[float, float]]:
    """Provision, start the server and the members; every member's accuracy and loss on all six animals."""
    (folder / "FED.toml").write_text(FEDERATION)
    config = load_federation(folder / "FED.toml", own_models=True)
    provision(config, folder / "federation", layout=layout_of(model))
    listening: queue.SimpleQueue[str] = queue.SimpleQueue()

    def heard(event: Event) -> None:
        if isinstance(event, Listening):
            listening.put(event.address)

    with ThreadPoolExecutor() as threads:
        server = threads.submit(run_server, folder / "federation/server", address=None, emit=heard)
        address = listening.get(timeout=60)
        members = {
            name: threads.submit(
                Member(
                    folder / "federation" / name,
                    FarmLearner(base_model(model), FARMS[name], rank=rank, folder=folder / f"{name}-trainer"),
                    server=address,
                ).run
            )
            for name, rank in config.ranks.items()
        }
        results = {name: member.result().metrics for name, member in members.items()}
        server.result()
    return {name: (metrics["accuracy"], metrics["loss"]) for name, metrics in results.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = main(Path(scratch), model=sys.argv[1] if len(sys.argv) > 1 else None)
    for member, (accuracy, loss) in found.items():
        print(f"{member}: {accuracy:.2f} of all six sounds right, loss {loss:.3f}")
