"""Scale of a round: 10, 100 and 1,000 members without models, real sessions against the real server's core.

    python benchmarks/scale.py --members 10 100 1000 --out benchmarks/results/scale

One process plays all roles, one call after the other, without sockets. Seconds are processor seconds of its one thread
inside calls of each role; ``wall_s`` has the rest, other programs on the machine included. In a process of thousands
the same signature would be checked by every member; the first ``--measured`` members check every signature themselves
and get every message as bytes, which they decode, and members' figures are theirs alone. The others get the server's
objects, and reuse what one of these has checked or computed of them, which bounds the benchmark's time and changes no
message. ``peak_mb`` of a role is the largest growth of the resident set within one call of it; ``process_peak_mb`` is
that of all roles together.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from drawn_members import DrawnWork, Layout, key_of, make_session

from securefl.bench.host import this_machine
from securefl.config.server import ServerSection
from securefl.crypto.thresholds import RosterConstants, default_min_clients
from securefl.machine import forget_peak_memory, peak_memory_bytes
from securefl.protocol.agreement import signed
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.calls import AggregateHead, Announcement, Answer, FetchAggregate, Packets, Staged
from securefl.protocol.sections import StreamSizes
from securefl.protocol.serving.server_state import ServerRules
from securefl.protocol.wire_aggregates import AggregateReader, aggregate_preface
from securefl.protocol.wire_announcements import decode_announcement, encode_announcement
from securefl.protocol.wire_packets import PacketsReader, packets_messages
from securefl_client.driver import carry_out
from securefl_client.round_work import Downloaded, Got, Sent, Upload
from securefl_client.session import MemberSession
from securefl_server.bodies import Bodies
from securefl_server.round_server import RoundServer
from securefl_server.round_store import SqliteRoundStore

PIECE_BYTES = 128 * 1024
MB = 1 << 20
Result = TypeVar("Result")


@dataclass
class Meter:
    """Processor seconds and growth of the resident set in the calls of one role, without calls of another in them."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    peaks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    highest: int = 0
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def inside(self, role: str, *, memory: bool = False) -> Iterator[None]:
        """Count the block for a role; the role around it is not charged meanwhile."""
        self._charge()
        self._open.append(role)
        before = 0
        if memory:
            self.highest = max(self.highest, peak_memory_bytes())
            forget_peak_memory()
            before = peak_memory_bytes()
        try:
            yield
        finally:
            if memory:
                self.peaks[role] = max(self.peaks[role], peak_memory_bytes() - before)
            self._charge()
            self._open.pop()

    def _charge(self) -> None:
        now = time.thread_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


class SharedChecks:
    """Signatures that were checked once; members that are not measured reuse them."""

    def __init__(self, verify: Callable[[bytes, bytes, bytes], None]) -> None:
        self._verify = verify
        self._good: set[bytes] = set()
        self.reuse = False

    def __call__(self, public_key: bytes, signature: bytes, message: bytes) -> None:
        """Check a signature, or know that it was checked."""
        name = hashlib.sha256(public_key + signature + message).digest()
        if self.reuse and name in self._good:
            return
        self._verify(public_key, signature, message)
        self._good.add(name)


@dataclass
class Scene:
    """One federation of one round."""

    layout: Layout
    folder: Path
    measured: int
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        size = self.layout.members
        self.names = tuple(f"client-{number}" for number in range(1, size + 1))
        keys = {name: key_of(name) for name in self.names}
        publics = {name: key.public_key for name, key in keys.items()}
        constants = RosterConstants.of(size, min_clients=default_min_clients(size))
        digest = hashlib.sha256(b"scale").digest()
        rules = Rules(digest, 1, self.names, publics.__getitem__, constants, packets=True)
        self.works = {name: DrawnWork(name, self.layout) for name in self.names}
        self.checks = SharedChecks(signed.verify)
        signed.verify = self.checks  # type: ignore[attr-defined]
        self.sessions: dict[str, MemberSession] = {}
        for name in self.names:
            self.sessions[name], _ = make_session(
                self.folder / name, rules, keys[name], self.works[name], rounds=1
            )
        limits = ServerSection(join_timeout_s=9e4, round_timeout_s=9e4, step_timeout_s=9e4)
        (self.folder / "server").mkdir()
        self.server = RoundServer(
            ServerRules(digest, 1, publics, 1, 1, constants, True, limits),
            lambda number: (self.layout.section,),
            store=SqliteRoundStore(self.folder / "server", federation_digest=digest),
            bodies=Bodies(self.folder / "server" / "rounds"),
            now=time.monotonic,
            emit=lambda event: None,
        )

    def run(self) -> None:
        """All announcements, each told to everybody, until the federation is over."""
        for name in self.names:
            self._serve(lambda name=name: self.server.presence(name, True))
        told: Announcement | None = None
        while not self.server.over:
            announcement = self.server.announcement
            assert announcement != told, f"the round stands still at {type(announcement).__name__}"
            told = announcement
            print(f"  {time.strftime('%H:%M:%S')} {type(announcement).__name__}", flush=True)
            for place, name in enumerate(self.names):
                self._tell(name, announcement, place=place)
            self._serve(self.server.wake, memory=True)

    def _tell(self, name: str, announcement: Announcement, *, place: int) -> None:
        measured = place < self.measured
        self.checks.reuse = not measured
        role = "members" if measured else "others"
        with self.meter.inside(role, memory=measured):
            heard = announcement
            if measured:
                heard = decode_announcement(self._serve(lambda: encode_announcement(announcement)))
            carry_out(
                self.sessions[name],
                heard,
                lambda sent: self._ask(name, sent),
                is_past=lambda: self.server.announcement != announcement,
            )

    def _ask(self, name: str, sent: Sent) -> Got:
        match sent:
            case Upload(head, path):
                staged = self._serve(lambda: self.server.hear(name, head))
                assert isinstance(staged, Staged)
                with path.open("rb") as file:
                    while piece := file.read(PIECE_BYTES):
                        offset = staged.received
                        staged = self._serve(
                            lambda offset=offset, piece=piece: self.server.receive(
                                name, head.attempt, offset, piece
                            )
                        )
                return staged
            case FetchAggregate(number):
                head = self._carried(self._serve(lambda: self.server.hear(name, sent)))
                assert isinstance(head, AggregateHead)
                with self._serve(lambda: self.server.total(number)) as file:
                    return Downloaded(head, file.read())
            case _:
                return self._carried(self._serve(lambda: self.server.hear(name, sent)))

    def _carried(self, answer: Answer) -> Answer:
        """The answer as a member has it: of a measured one, from the bytes that the server sends."""
        if self.checks.reuse:
            return answer
        match answer:
            case Packets():
                packets = PacketsReader()
                for message in self._serve(lambda: list(packets_messages(answer))):
                    packets.receive(message)
                return packets.finish()
            case AggregateHead():
                sizes = StreamSizes.of_aggregate((self.layout.section,))
                number = answer.cohort.attempt.round_number
                aggregate = AggregateReader(number, sizes_of=lambda cohort: sizes)
                for message in self._serve(lambda: list(aggregate_preface(answer))):
                    aggregate.receive(message)
                assert aggregate.head is not None
                return aggregate.head
            case _:
                return answer

    def _serve(self, call: Callable[[], Result], *, memory: bool = False) -> Result:
        reuse, self.checks.reuse = self.checks.reuse, False
        try:
            with self.meter.inside("server", memory=memory):
                return call()
        finally:
            self.checks.reuse = reuse


@dataclass(frozen=True)
class Line:
    """Figures of one size."""

    members: int
    ciphertexts: int
    server_s: float
    server_s_per_member: float
    member_s: float
    server_peak_mb: float
    member_peak_mb: float
    process_peak_mb: float
    wall_s: float
    journal_kb: float
    exact: bool


def measure(members: int, *, values: int, measured: int) -> Line:
    """One round of so many members."""
    layout = Layout(members, values)
    before = time.perf_counter()
    peak = 0
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(layout, Path(folder), min(measured, members))
        verify = scene.checks._verify
        try:
            scene.run()
            peak = max(scene.meter.highest, peak_memory_bytes())
        finally:
            signed.verify = verify  # type: ignore[attr-defined]
        counted = min(measured, members)
        journals = [
            sum(path.stat().st_size for path in (Path(folder) / name).rglob("*") if path.is_file())
            for name in scene.names[:counted]
        ]
        meter, works = scene.meter, [scene.works[name] for name in scene.names]
        exact = all(work.is_exact(1) for work in works[:3]) and len({work.chain for work in works}) == 1
    server_s = meter.seconds["server"]
    return Line(
        members=members,
        ciphertexts=layout.ciphertexts,
        server_s=round(server_s, 2),
        server_s_per_member=round(server_s / members, 4),
        member_s=round(meter.seconds["members"] / counted, 3),
        server_peak_mb=round(meter.peaks["server"] / MB, 1),
        member_peak_mb=round(meter.peaks["members"] / MB, 1),
        process_peak_mb=round(peak / MB, 1),
        wall_s=round(time.perf_counter() - before, 1),
        journal_kb=round(statistics.median(journals) / 1024, 1),
        exact=exact,
    )


def table(lines: list[Line]) -> str:
    """The figures in Markdown."""
    names = list(asdict(lines[0]))
    rows = [[str(value) for value in asdict(line).values()] for line in lines]
    body = [" | ".join(row) for row in [names, ["---"] * len(names), *rows]]
    return "\n".join(f"| {row} |" for row in body)


def growth(lines: list[Line]) -> dict[str, dict[str, float]]:
    """Factors by which figures grow from each size to the next; steps by the sizes, as ``100/10``."""
    return {
        f"{after.members}/{before.members}": {
            name: round(getattr(after, name) / getattr(before, name), 1)
            for name in ("server_s", "member_s", "process_peak_mb", "journal_kb")
        }
        for before, after in pairwise(lines)
    }


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    machine, rows = report["machine"], [Line(**row) for row in report["rows"]]
    steps = [
        f"from {step.partition('/')[2]} to {step.partition('/')[0]} members "
        + ", ".join(f"`{name}` x {factor}" for name, factor in factors.items())
        for step, factors in report["growth"].items()
    ]
    return (
        f"# Scale of a round\n\n{machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} before the "
        "start: other programs were running where it is above 0.5, and `wall_s` is then an upper bound. "
        f"{report['values']:,} values an update; members' figures are of the {report['measured']} that check every "
        f"signature themselves.\n\n{table(rows)}\n\n"
        "`server_s` is the sum of all calls of the server's core in the round, the addition too, in processor "
        "seconds; `member_s` one member's own work of the whole round, likewise; `*_peak_mb` the largest growth of "
        "the resident set in one call of the role; `journal_kb` what one member's journal folder holds at the end; "
        "`exact` that the sum is that of plain integers and that all members end with one chain.\n\n"
        f"Growth: {'; '.join(steps) or 'one size only'}. A member reads what every other one signed, and the server "
        "hands every member as much: its work grows with the square of the cohort, a member's with the cohort.\n"
    )


def main() -> None:
    """Measure every size, and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--values", type=int, default=8192)
    parser.add_argument(
        "--measured", type=int, default=10, help="members that check every signature themselves"
    )
    parser.add_argument("--out", type=Path, required=True, help="path without suffix")
    chosen = parser.parse_args()
    machine, lines = this_machine(), []
    for members in chosen.members:
        print(f"{members} members", flush=True)
        lines.append(measure(members, values=chosen.values, measured=chosen.measured))
        report = {"machine": asdict(machine), "values": chosen.values, "measured": chosen.measured}
        report |= {"rows": [asdict(line) for line in lines], "growth": growth(lines)}
        chosen.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
        chosen.out.with_suffix(".md").write_text(markdown(report))
        print(lines[-1], flush=True)


if __name__ == "__main__":
    main()
