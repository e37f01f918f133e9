"""A Llama-shaped model of 100 million parameters through one encrypted round: bytes and memory, planned and measured.

    python benchmarks/llama_100m.py --tokenizer MODEL --out benchmarks/results/llama_100m

The model has random weights of a fixed seed and the tokenizer of the folder MODEL (any Llama's; the vocabulary's size
is taken from it), and is made anew in a temporary folder. Its round is that of ``securefl run``: one server process and
three client processes, the fewest that a federation has, each with the whole model. What is planned is computed before
anything runs, by what ``securefl plan`` calls. Nothing is learnt: a step or two on made rows.

Memory of a client is planned in parts: what its libraries take (a process that imports them, measured here), the base
model's numbers, and what a plan says of the sum and its state. The rest is training's own: what layers keep for the
backward pass, the adapters and their AdamW, and the model's file while it is read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from securefl import forecast, load_federation, run_federation
from securefl.bench.host import this_machine
from securefl.planning.forecast import Forecast
from securefl.results.run import RunResult, read_server_memory

NAME = "llama-100m"
CLIENTS = 3
RANK = 8
MAX_LENGTH = 64
MB, MIB = 1e6, 2**20
SHAPE = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}
TASKS = {
    "sequence-classification": '[task]\nname = "sequence-classification"\npooling = "last"\n',
    "causal-lm": '[task]\nname = "causal-lm"\n',
}
PEAK_OF_LIBRARIES = (
    "from securefl.machine import peak_memory_bytes\n"
    "from securefl.training.libraries import load_libraries\n"
    "load_libraries()\n"
    "import securefl_client.process\n"
    "print(peak_memory_bytes())\n"
)


@dataclass(frozen=True, slots=True)
class Model:
    """The base model.

    Attributes:
        parameters: Of the backbone.
        base_bytes: What a client holds of it.
    """

    parameters: int
    base_bytes: int


def make_model(folder: Path, *, tokenizer: Path, base_precision: str) -> Model:
    """Write a random Llama with another model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    words = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), tie_word_embeddings=True, **SHAPE))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Model(parameters, parameters * (2 if base_precision == "bf16" else 4))


def write_rows(path: Path, *, task: str, rows: int) -> None:
    """Rows that say what the task asks for."""
    texts = [
        f"Once upon a time there was a {'red' if number % 2 else 'blue'} ball." for number in range(rows)
    ]
    kinds = {
        "sequence-classification": lambda number: {
            "text": texts[number],
            "label": "no" if number % 2 else "yes",
        },
        "causal-lm": lambda number: {"prompt": texts[number], "completion": " The end."},
    }
    path.write_text("".join(json.dumps(kinds[task](number)) + "\n" for number in range(rows)))


def federation_file(folder: Path, arguments: argparse.Namespace) -> str:
    """The federation: all linear modules, few rows, one round."""
    clients = ", ".join(f"{{ r = {RANK} }}" for _ in range(CLIENTS))
    own = [f'base_precision = "{arguments.base_precision}"']
    if arguments.gradient_checkpointing:
        own.append("gradient_checkpointing = true")
    return "\n".join(
        [
            f'[federation]\nname = "{NAME}"\nrounds = 1',
            f'[model]\npath = "{folder / "model"}"\nmax_length = {MAX_LENGTH}',
            TASKS[arguments.task],
            f'[data]\ntrain = "{folder / "rows.jsonl"}"',
            '[lora]\ntarget_modules = "all-linear"',
            "[training]\nper_device_train_batch_size = 4\nper_device_eval_batch_size = 4",
            *own,
            '[recipe]\npersonal = "none"',
            f'[payload]\nname = "{arguments.payload}"',
            f"[cohort]\nclients = [{clients}]\n",
        ]
    )


def libraries_bytes() -> int:
    """Peak memory of a process that imports what a client imports, and does nothing."""
    done = subprocess.run([sys.executable, "-c", PEAK_OF_LIBRARIES], check=True, stdout=subprocess.PIPE)
    return int(done.stdout)


def planned(expected: Forecast, model: Model) -> dict[str, object]:
    """Figures of the round before it runs."""
    [kind] = expected.rounds
    libraries = libraries_bytes()
    return {
        "values": kind.sizes.values,
        "ciphertexts": kind.sizes.ciphertexts,
        "up_bytes": kind.traffic.up,
        "down_bytes": kind.traffic.down,
        "float32_up_bytes": max(traffic.up for traffic in expected.float32.values()),
        "client_libraries_bytes": libraries,
        "client_base_model_bytes": model.base_bytes,
        "client_sum_bytes": kind.memory.client,
        "client_without_training_bytes": libraries + model.base_bytes + kind.memory.client,
        "server_sum_bytes": kind.memory.serve,
    }


def measured(result: RunResult, folder: Path) -> dict[str, object]:
    """The same figures as the run reports them: the largest of all clients."""
    rounds = [client.rounds_log[0] for client in result.clients]
    return {
        "up_bytes": max(entry.bytes.up for entry in rounds),
        "down_bytes": max(entry.bytes.down for entry in rounds),
        "client_peak_bytes": max(client.peak_memory_bytes for client in result.clients),
        "server_peak_bytes": read_server_memory(folder / "server.json"),
        "train_s": max(entry.seconds["train"] for entry in rounds),
        "encrypt_s": max(entry.seconds["encode"] + entry.seconds["encrypt"] for entry in rounds),
        "decrypt_s": max(entry.seconds["decrypt"] for entry in rounds),
        "redistribute_s": max(entry.seconds["redistribute"] for entry in rounds),
        "loss": max(entry.loss or 0.0 for entry in rounds),
        "seconds_total": result.seconds_total,
    }


def report(found: dict[str, dict[str, float]], options: dict[str, object], *, parameters: int) -> str:
    """The figures as a page."""
    plan, real = found["planned"], found["measured"]
    together, server = plan["client_without_training_bytes"], real["server_peak_bytes"]
    rows = [
        ("upload of a client, MB", plan["up_bytes"] / MB, real["up_bytes"] / MB),
        ("download of a client, MB", plan["down_bytes"] / MB, real["down_bytes"] / MB),
        ("a client's libraries, MiB", plan["client_libraries_bytes"] / MIB, None),
        ("a client's base model, MiB", plan["client_base_model_bytes"] / MIB, None),
        ("a client's sum and state, MiB", plan["client_sum_bytes"] / MIB, None),
        ("these three, and the peak, MiB", together / MIB, real["client_peak_bytes"] / MIB),
        ("training's own, MiB", None, (real["client_peak_bytes"] - together) / MIB),
        ("server: its sum, and the peak, MiB", plan["server_sum_bytes"] / MIB, server / MIB),
    ]
    lines = [f"| {name} | {_figure(one)} | {_figure(two)} |" for name, one, two in rows]
    seconds = ", ".join(f"{name[:-2]} {real[name]:.1f}" for name in real if name.endswith("_s"))
    return "\n".join(
        [
            f"# A Llama of {parameters / 1e6:.1f} million parameters through one encrypted round",
            "",
            f"`python benchmarks/llama_100m.py`, {CLIENTS} clients of rank {RANK}, every linear module, payload "
            f"`{options['payload']}`, task `{options['task']}`, base in {options['base_precision']}, "
            f"{options['rows']} rows in all, at most {MAX_LENGTH} tokens. {plan['values']:,.0f} values travel in "
            f"{plan['ciphertexts']:,.0f} ciphertexts; a client's own factors and head in float32 are "
            f"{plan['float32_up_bytes'] / MB:.1f} MB.",
            "",
            "| | planned | measured |",
            "|---|---|---|",
            *lines,
            "",
            f"Seconds of the slowest client, beside other work: {seconds}; the whole run {real['seconds_total']:.0f}.",
            "",
        ]
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Make the model, plan, and run the round."""
    model = make_model(
        folder / "model", tokenizer=arguments.tokenizer, base_precision=arguments.base_precision
    )
    write_rows(folder / "rows.jsonl", task=arguments.task, rows=arguments.rows)
    (folder / "FED.toml").write_text(federation_file(folder, arguments))
    config = load_federation(folder / "FED.toml")
    before = planned(forecast(config, measure=False), model)
    result = run_federation(config, out=folder / "runs", on_event=_told)
    return {
        "parameters": model.parameters,
        "planned": before,
        "measured": measured(result, folder / "runs" / NAME),
    }


def _told(event: object) -> None:
    if type(event).__name__ in ("StageStarted", "RoundStarted", "RoundFinished", "Warned", "Failed"):
        print(event, file=sys.stderr)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="a model's folder with a tokenizer")
    parser.add_argument("--task", choices=tuple(TASKS), default="sequence-classification")
    parser.add_argument("--payload", choices=("sketch", "basis", "core", "state"), default="sketch")
    parser.add_argument("--rows", type=int, default=36)
    parser.add_argument("--base-precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="where .json and .md go, without the suffix")
    arguments = parser.parse_args()
    options = {name: value for name, value in vars(arguments).items() if name not in ("out", "tokenizer")}
    machine = asdict(this_machine())
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments, Path(folder))
    arguments.out.with_suffix(".json").write_text(
        json.dumps({"options": options, "shape": SHAPE, "machine": machine, **found}, indent=1) + "\n"
    )
    page = report(found, options, parameters=found["parameters"])
    arguments.out.with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
