"""A federation from a notebook: load, forecast, run, read the result, and load an adapter.

Every ``# %%`` is a cell (VS Code, Spyder and Jupytext read them). The federation file is its first argument,
and the folder for runs its second.

    python examples/notebook.py examples/banking77.toml
"""

# %% A federation file is checked as it is loaded.
import sys
from pathlib import Path

from securefl import (
    audit,
    forecast,
    load_adapter,
    load_federation,
    read_ledger,
    read_result,
    run_federation,
)

here = Path(__file__).parent
toml = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "banking77.toml"
out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("runs")
config = load_federation(toml)
print(config.federation.name, "with ranks", config.ranks)

# %% What it will cost, before anything runs. Seconds take a measurement; bytes and memory do not.
expected = forecast(config, measure=False)
for kind in expected.rounds:
    print(kind.applies_to, f"{kind.traffic.up / 1e6:.2f} MB up, {kind.traffic.down / 1e6:.2f} MB down")

# %% Run it: one server process, one process a client. Events come while it works.
metrics = []


def note(event):
    """Keep what is measured, for a plot."""
    if type(event).__name__ == "MetricMeasured":
        metrics.append((event.member, event.round_number, event.adapter.value, event.value))


result = run_federation(config, out=out, on_event=note)
run = out / result.name
print(f"{len(metrics)} metrics, {result.seconds_total:.0f} s")

# %% What every client gained, read back from the run's folder.
record = read_result(run)
for client in record.clients:
    print(
        client.id,
        "base",
        client.metric.base,
        "global",
        client.metric.global_,
        "fused",
        client.metric.fused,
    )
print("\n".join(record.advice))

# %% What was recorded, and whether all of it holds together.
first = record.clients[0].id
print([entry.event.name for entry in read_ledger(run / "clients" / first).entries][:4], "...")
report = audit(run)
print("everything holds" if report.ok else [str(finding) for finding in report.findings])

# %% One client's adapter on the base model; plain transformers and PEFT do it by the code in the folder's README.md.
folder = run / "clients" / first / "fused"
saved = load_adapter(folder)
labels = saved.record.labels
logits = saved.outcomes([("a text to judge",) * len(config.data.text)], batch_size=1)
print("says", labels[logits[0].argmax()], "of", len(labels), "labels")
print(
    "loaded",
    sum(value.numel() for name, value in saved.model.named_parameters() if "lora_" in name),
    "LoRA values",
)
