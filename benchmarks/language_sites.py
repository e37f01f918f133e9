"""A language model among sites with tasks of their own: each adapter on the test rows of all sites together.

    python benchmarks/language_sites.py examples/t0_tasks.toml --out benchmarks/results/language_sites

The federation is the file's, simulated in one process as the integer twin, in which each client does what it does in a
real run. ``global`` is what the rounds gave at a client's rank; ``local`` its personal adapter, at rates and a round
that its own validation rows chose. Both have seen the same rows of the client; both are measured on everybody's test
rows, where a client's own tasks are one part of several. Paired differences are over rows, with one standard error.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from securefl import load_adapter, load_federation
from securefl.bench.host import Machine, this_machine
from securefl.bench.quality.central import pooled
from securefl.bench.quality.sites import SideTransport, client_data, provisioned, site_of
from securefl.config import FederationConfig
from securefl.simulation.federation import SimulatedFederation
from securefl.training.rows.examples import Examples
from securefl.training.tasks.base import Metric

BATCH = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One client's adapters on the test rows of all clients.

    Attributes:
        client: Its id.
        rank: Its rank.
        local: That of its personal adapter.
        of_global: That of its global adapter.
        gain: Mean over rows of what the global adapter counts more than the personal one.
        error: One standard error of it.
    """

    client: str
    rank: int
    local: float
    of_global: float
    gain: float
    error: float


def simulated(config: FederationConfig, folder: Path) -> tuple[Path, Examples]:
    """Run a federation as the integer twin: where its members' adapters were saved, and all members' test rows."""
    owns = provisioned(config, folder / "members")
    sites = {member: site_of(own) for member, own in owns.items()}
    for site in sites.values():
        site.side.begin(site.aggregation.start())
    federation = SimulatedFederation(
        {member: site.aggregation for member, site in sites.items()},
        {member: site.side.learner for member, site in sites.items()},
        transport=SideTransport(sites),
        applied=lambda member, number: sites[member].apply(number),
    )
    federation.run()
    for member, site in sites.items():
        site.side.finish(folder / "out" / member, max(federation.traffic))
    return folder / "out", pooled([client_data(own) for own in owns.values()]).test


def line_of(client: str, rank: int, *, saved: Path, rows: Examples) -> Line:
    """A client's saved adapters on rows of all clients."""
    local, of_global = (_measured(saved / client / name, rows) for name in ("personal", "global"))
    gain = of_global.scores - local.scores
    return Line(
        client=client,
        rank=rank,
        local=local.value,
        of_global=of_global.value,
        gain=float(gain.mean()),
        error=float(gain.std(ddof=1) / np.sqrt(len(gain))),
    )


def _measured(folder: Path, rows: Examples) -> Metric:
    return load_adapter(folder).measure(rows, batch_size=BATCH)


def report(config: FederationConfig, lines: list[Line], *, machine: Machine) -> str:
    """The figures as a page."""
    run = config.federation
    cells = [
        (
            line.client,
            line.rank,
            f"{line.local:.4f}",
            f"{line.of_global:.4f}",
            f"{line.gain:+.4f} ± {line.error:.4f}",
        )
        for line in lines
    ]
    return "\n".join(
        [
            "# A language model among sites with tasks of their own",
            "",
            f"`{run.name}`, {run.rounds} rounds, seed {run.seed}, as the integer twin: the mean loss of an answer's",
            "token, nats, on the test rows of all sites. 'gain' is the mean over rows of what the global one counts",
            "more than the local one, with one standard error.",
            "",
            "| client | rank | local | global | gain |",
            "|---|---:|---:|---:|---:|",
            *(f"| {' | '.join(map(str, cell))} |" for cell in cells),
            "",
            f"Measured on {machine.cpu}, {machine.cores} cores, {machine.memory_bytes / (1 << 30):.0f} GiB, beside "
            f"other work (load {machine.load_before:.1f}), Python {machine.python}.",
            "",
        ]
    )


def main() -> None:
    """Run, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("federation", type=Path, metavar="FED.toml")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="without a suffix")
    given = parser.parse_args()
    config, machine = load_federation(given.federation), this_machine()
    twin = config.model_copy(update={"encryption": config.encryption.model_copy(update={"scheme": "none"})})
    with tempfile.TemporaryDirectory() as folder:
        saved, rows = simulated(twin, Path(folder))
        lines = [line_of(client, rank, saved=saved, rows=rows) for client, rank in config.ranks.items()]
    values = {"machine": asdict(machine), "lines": [asdict(line) for line in lines]}
    given.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    page = report(config, lines, machine=machine)
    given.out.with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
