"""Load on the real server process: clients over real sockets (gRPC, TLS) that take part in one round.

    python benchmarks/load.py --clients 10 50 100 --hostile 8 --out benchmarks/results/load

Clients are real sessions with journals, shares and encryption of drawn integers, many to a process, each with its own
certificate and connections. Server and clients share this machine's cores, so a round's seconds contain everybody's
work. A round begins when the server opens it and ends when the last client has left. Hostile clients are further
members of the roster, beyond the smallest cohort: they hold certificates, follow nothing, and send as fast as they are
let: requests that are refused, bodies that break off, and bytes that are no message. Latencies are those of the honest
clients' requests, each from its first try to its answer; ``p99_ratio`` compares those of the same roster with the
hostile members silent and at work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from drawn_members import BITS, DrawnWork, Layout, key_of, make_session

from securefl.bench.host import this_machine
from securefl.config.server import ServerSection
from securefl.crypto.thresholds import RosterConstants
from securefl.errors import SecureFLError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.progress import Event, Listening, Warned
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.signed import Attempt
from securefl.protocol.calls import FetchAggregate, FetchCohort, Leave
from securefl.protocol.sections import StreamSizes
from securefl.protocol.server_view import RosterEntry, SectionEntry, ServerView
from securefl.transport.aggregator_client import AggregatorClient
from securefl.transport.credentials import channel_credentials
from securefl.transport.grpc_tls import grpc
from securefl.transport.limits import Patience
from securefl.transport.service_calls import Call
from securefl_client.driver import carry_out
from securefl_client.inbox import Inbox
from securefl_client.round_work import Downloaded, Got, Sent, Upload

DIGEST = bytes(range(32))
MB = 1 << 20
PATIENCE = Patience(connect_s=120, reconnect_s=300, attempts=100, unary_s=120)
JOIN_S = 90.0
"""The server waits so long for those of the roster that do not come, before it opens the round."""
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Setup:
    """A federation of one round, as every process of the benchmark needs it.

    Attributes:
        folder: Of the server; members' folders lie beside.
        names: Honest members.
        liars: Hostile ones.
        values: Of an update.
        credentials: Everybody's.
        address: The server's, once it listens.
    """

    folder: Path
    names: tuple[str, ...]
    liars: tuple[str, ...]
    values: int
    credentials: dict[str, Credentials] = field(default_factory=dict)
    address: str = ""

    @property
    def roster(self) -> tuple[str, ...]:
        """All members."""
        return (*self.names, *self.liars)

    @property
    def layout(self) -> Layout:
        """Sizes of a contribution."""
        return Layout(len(self.roster), self.values)

    @property
    def constants(self) -> RosterConstants:
        """m is the number of honest members: the round waits for all of them."""
        return RosterConstants.of(len(self.roster), min_clients=len(self.names))

    def rules(self) -> Rules:
        """Rules of the members."""
        publics = {name: key_of(name).public_key for name in self.roster}
        return Rules(DIGEST, 1, self.roster, publics.__getitem__, self.constants, packets=True)

    def found(self) -> None:
        """Write the server's folder."""
        now = datetime.now(UTC)
        authority = Authority.create("load", now=now)
        self.credentials = {name: authority.issue(name, role=Role.CLIENT, now=now) for name in self.roster}
        section = SectionEntry.model_validate({"scheme": "kahe", "ciphertexts": self.layout.ciphertexts})
        view = ServerView(
            federation_digest=DIGEST,
            name="load",
            min_clients=self.constants.min_clients,
            max_colluders=self.constants.max_colluders,
            rounds=1,
            profile=self.layout.profile.name,
            openings=(),
            round_one=(section,),
            every=1,
            odd_turns=(section,),
            even_turns=(section,),
            roster=tuple(
                RosterEntry(
                    id=name,
                    signing_key=key_of(name).public_key,
                    certificate=self.credentials[name].fingerprint,
                )
                for name in self.roster
            ),
            server=ServerSection(
                address="127.0.0.1:0", join_timeout_s=JOIN_S, round_timeout_s=600, step_timeout_s=300
            ),
        )
        self.folder.mkdir(parents=True)
        names = ("127.0.0.1", "localhost")
        authority.issue("server", role=Role.SERVER, now=now, names=names).save(self.folder)
        (self.folder / "server.json").write_text(view.to_json_text())


def serve(folder: Path, events: Any, refused: Any) -> None:
    """The server's process, to its end; ``refused`` counts the refusals that it names."""
    from securefl_server.process import run_server

    def report(event: Event) -> None:
        refused.value += isinstance(event, Warned) and event.message.startswith("refused")
        if isinstance(event, Listening):
            events.put(("listening", event.address))

    try:
        run_server(folder, address="127.0.0.1:0", emit=report)
        events.put(("ended", ""))
    except SecureFLError as error:
        events.put(("failed", str(error)))


class _BodyFile:
    """A body on disk, as the transport reads it."""

    def __init__(self, path: Path) -> None:
        self._path, self.length = path, path.stat().st_size

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes from a place on."""
        with self._path.open("rb") as file:
            file.seek(offset)
            while piece := file.read(128 * 1024):
                yield piece


class Client:
    """One honest client, on a thread."""

    def __init__(self, setup: Setup, name: str, rules: Rules) -> None:
        self._setup, self._name, self._rules = setup, name, rules
        self.latencies: list[tuple[str, float]] = []
        self.began = self.ended = 0.0
        self.work = DrawnWork(name, setup.layout)
        self.error = ""

    def run(self) -> None:
        """Take part to the end."""
        try:
            self._run()
        except SecureFLError as error:
            self.error = str(error)

    def _run(self) -> None:
        setup, left = self._setup, False
        session, journal = make_session(
            setup.folder.parent / self._name, self._rules, key_of(self._name), self.work, rounds=1
        )
        with (
            journal,
            AggregatorClient(
                setup.address, setup.credentials[self._name], federation_digest=DIGEST, patience=PATIENCE
            ) as client,
        ):
            client.join()
            inbox = Inbox(client.follow(lambda: None))
            while not left:
                announcement = inbox.next()
                if not self.began and type(announcement).__name__ == "RoundOpened":
                    self.began = time.time()

                def ask(sent: Sent) -> Got:
                    nonlocal left
                    before = time.perf_counter()
                    answer = self._ask(client, sent)
                    self.latencies.append((type(sent).__name__, time.perf_counter() - before))
                    left = left or isinstance(sent, Leave)
                    return answer

                carry_out(session, announcement, ask, is_past=lambda: inbox.has_news)
        self.ended = time.time()

    def _ask(self, client: AggregatorClient, sent: Sent) -> Got:
        match sent:
            case Upload(head, path):
                return client.stage(head, _BodyFile(path))
            case FetchAggregate(number):
                sizes = StreamSizes.of_aggregate((self._setup.layout.section,))
                with tempfile.TemporaryFile(dir=self._setup.folder.parent) as file:
                    head = client.fetch_aggregate(number, file, sizes_of=lambda cohort: sizes)
                    file.seek(0)
                    return Downloaded(head, file.read())
            case _:
                return client.ask(sent)


def take_part(setup: Setup, names: tuple[str, ...], results: Any) -> None:
    """A process of many clients."""
    rules = setup.rules()
    clients = [Client(setup, name, rules) for name in names]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exact = all(client.work.is_exact(1) for client in clients[:1] if not client.error)
    results.put(
        {
            "latencies": [each for client in clients for each in client.latencies],
            "began": min((client.began for client in clients if client.began), default=0.0),
            "ended": max(client.ended for client in clients),
            "errors": [client.error for client in clients if client.error],
            "exact": exact,
            "chains": list({client.work.chain.hex() for client in clients}),
        }
    )


def attack(setup: Setup, stop: Any, results: Any) -> None:
    """The process of all hostile clients: each sends on connections of its own until it is told to stop."""
    os.nice(10)
    counts = [0] * len(setup.liars)
    threads = [
        threading.Thread(target=_flood, args=(setup, name, stop, counts, place), daemon=True)
        for place, name in enumerate(setup.liars)
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(5)
    results.put(sum(counts))


def _flood(setup: Setup, name: str, stop: Any, counts: list[int], place: int) -> None:
    draw = random.Random(name)
    options = (("grpc.use_local_subchannel_pool", 1),)
    hurried = Patience(connect_s=5, reconnect_s=1, attempts=1, unary_s=5)
    credentials = setup.credentials[name]
    with (
        AggregatorClient(setup.address, credentials, federation_digest=DIGEST, patience=hurried) as client,
        grpc.secure_channel(setup.address, channel_credentials(credentials), options=options) as channel,
    ):
        while not stop.is_set():
            call = draw.choice((Call.STAGE, Call.ADVERT, Call.VOTE, Call.FETCH_PACKETS))
            noise = [draw.randbytes(draw.choice((10, 1000, 100_000))) for _ in range(3)]
            with suppress(grpc.RpcError, ValueError):
                if call is Call.STAGE:
                    channel.stream_unary(call.path)(iter(noise), timeout=10)
                elif call is Call.FETCH_PACKETS:
                    list(channel.unary_stream(call.path)(noise[0], timeout=10))
                else:
                    channel.unary_unary(call.path)(noise[0], timeout=10)
            with suppress(SecureFLError):
                client.ask(FetchCohort(Attempt(DIGEST, 1, 1, 1)))
            counts[place] += 2


@dataclass(frozen=True)
class Line:
    """Figures of one run.

    Attributes:
        clients: Honest ones.
        hostile: Hostile ones that were at work.
        round_s: From the opening of the round to the end of the last client.
        server_idle_mb: Resident set of the server before the first client came.
        server_peak_mb: Its largest resident set.
        server_cpu_s: Its processor seconds.
        p50_ms: Median of honest requests but uploads and downloads.
        p99_ms: 99th percentile of them.
        upload_p99_s: 99th percentile of uploads.
        hostile_calls: Calls of hostile clients.
        refused: Refusals that the server named.
        exact: The sum is that of plain integers, and all clients end with one chain.
    """

    clients: int
    hostile: int
    round_s: float
    server_idle_mb: float
    server_peak_mb: float
    server_cpu_s: float
    p50_ms: float
    p99_ms: float
    upload_p99_s: float
    hostile_calls: int
    refused: int
    exact: bool


def measure(clients: int, *, liars: int, at_work: bool, values: int, processes: int) -> Line:
    """One round of so many clients, beside hostile members that are silent or at work."""
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"client-{number}" for number in range(1, clients + 1))
        hostile = tuple(f"hostile-{number}" for number in range(1, liars + 1))
        setup = Setup(Path(folder) / "server", names, hostile, values)
        setup.found()
        refused = SPAWN.Value("i", 0)
        events, results, attacks, stop = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Queue(), SPAWN.Event()
        server = SPAWN.Process(target=serve, args=(setup.folder, events, refused))
        server.start()
        _, setup.address = events.get(timeout=60)
        idle = _status(server.pid, "VmRSS")
        workers = [
            SPAWN.Process(target=take_part, args=(setup, names[place::processes], results))
            for place in range(processes)
        ]
        if at_work:
            workers.append(SPAWN.Process(target=attack, args=(setup, stop, attacks)))
        for worker in workers:
            worker.start()
        watch = _Watch(server.pid, idle)
        parts = [results.get(timeout=900) for _ in range(processes)]
        peak, cpu = watch.end()
        stop.set()
        calls = attacks.get(timeout=60) if at_work else 0
        # Hostile members never say that they have finished, and a server waits for them.
        server.terminate()
        for process in (*workers, server):
            process.join(60)
    errors = [error for part in parts for error in part["errors"]]
    assert not errors, errors[:3]
    short = [
        seconds
        for part in parts
        for kind, seconds in part["latencies"]
        if kind not in ("Upload", "FetchAggregate")
    ]
    uploads = [seconds for part in parts for kind, seconds in part["latencies"] if kind == "Upload"]
    assert len(uploads) == clients
    return Line(
        clients=clients,
        hostile=liars if at_work else 0,
        round_s=round(max(part["ended"] for part in parts) - min(part["began"] for part in parts), 1),
        server_idle_mb=round(idle / MB, 1),
        server_peak_mb=round(peak / MB, 1),
        server_cpu_s=round(cpu, 1),
        p50_ms=round(1000 * float(np.quantile(short, 0.5)), 1),
        p99_ms=round(1000 * float(np.quantile(short, 0.99)), 1),
        upload_p99_s=round(float(np.quantile(uploads, 0.99)), 2),
        hostile_calls=calls,
        refused=refused.value,
        exact=all(part["exact"] for part in parts)
        and len({chain for part in parts for chain in part["chains"]}) == 1,
    )


class _Watch:
    """The largest resident set and the processor seconds of the server, until ``end``."""

    def __init__(self, pid: int, idle: int) -> None:
        self._pid, self._peak, self._cpu = pid, idle, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> tuple[int, float]:
        """Bytes and seconds."""
        self._over.set()
        self._thread.join()
        return self._peak, self._cpu

    def _look(self) -> None:
        # A server that has ended is looked at no more; what was seen before counts.
        with suppress(OSError, StopIteration):
            while not self._over.wait(0.1):
                self._peak = max(self._peak, _status(self._pid, "VmHWM"))
                ticks = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
                self._cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def report(lines: list[Line], *, values: int, processes: int) -> dict[str, Any]:
    """Everything of the JSON file."""
    rows = [asdict(line) for line in lines]
    silent = {line.clients: line for line in lines if not line.hostile}
    ratios = {
        str(line.clients): round(line.p99_ms / silent[line.clients].p99_ms, 2)
        for line in lines
        if line.hostile and line.clients in silent
    }
    return {
        "machine": asdict(this_machine()),
        "values": values,
        "processes": processes,
        "p99_ratio": ratios,
        "rows": rows,
    }


def markdown(found: dict[str, Any]) -> str:
    """The same for people."""
    machine, rows = found["machine"], found["rows"]
    cells = [list(rows[0]), ["---"] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    ratios = ", ".join(f"{ratio} at {clients} clients" for clients, ratio in found["p99_ratio"].items())
    return (
        f"# Load on the server's process\n\n{machine['cpu']}, {machine['cores']} cores shared by the server, "
        f"{found['processes']} processes of clients and all else; load {machine['load_before']} at the end: where it "
        "is above 2, other programs were running, and seconds are upper bounds. "
        f"Every client uploads {found['values']:,} values ({BITS} bits each) over TLS on loopback.\n\n{table}\n\n"
        f"Honest p99 with hostile members at work over the same with them silent: {ratios or 'not measured'}.\n"
    )


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--values", type=int, default=295_000)
    parser.add_argument("--hostile", type=int, default=8, help="beside the largest number of clients")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True, help="path without suffix")
    chosen = parser.parse_args()
    runs = [(clients, 0, False) for clients in chosen.clients]
    if chosen.hostile:
        largest = max(chosen.clients)
        runs = [run for run in runs if run[0] != largest]
        runs += [(largest, chosen.hostile, False), (largest, chosen.hostile, True)]
    lines: list[Line] = []
    for clients, liars, at_work in runs:
        processes = min(chosen.processes, clients)
        lines.append(
            measure(clients, liars=liars, at_work=at_work, values=chosen.values, processes=processes)
        )
        print(lines[-1], flush=True)
        found = report(lines, values=chosen.values, processes=chosen.processes)
        chosen.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
        chosen.out.with_suffix(".md").write_text(markdown(found))


if __name__ == "__main__":
    sys.exit(main())
