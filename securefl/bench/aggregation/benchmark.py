"""The benchmark of aggregation: every way of adding a cohort's vectors, in one run, taking turns.

The rules kept here: each round of each path is a process of its own, so that memory is its own and nothing is warm
from another; paths take turns, so that a slow minute of the machine hits all of them; and a path that was asked
for and could not be measured stays in the result with its reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from securefl.bench.aggregation.encrypted import SCHEMES
from securefl.bench.aggregation.measure import OWN_PATHS
from securefl.bench.aggregation.measurement import Job, Measurement
from securefl.bench.aggregation.vectors import BOUND, draw_vectors
from securefl.bench.processes import Program, run_measured
from securefl.crypto.schemes import profile_for
from securefl.errors import ConfigError, RunError

SEED = 7
DRIVERS = Path(__file__).parents[3] / "benchmarks" / "peers"
PEER_PATHS: Mapping[str, tuple[tuple[str, str, Mapping[str, int]], ...]] = {
    "nvflare": (
        ("nvflare_he_1", "nvflare_he.py", {"tensors": 1}),
        ("nvflare_he_64", "nvflare_he.py", {"tensors": 64}),
    ),
    "flower": (("flower_secaggplus", "flower_secaggplus.py", {}),),
}
"""The peers, and for each its paths: name, driver, settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request of a benchmark.

    Attributes:
        values: V, values of one client's vector.
        cohort: n, how many clients.
        precision_bits: Width of an integer on our grid, sign included.
        repeats: Rounds of each path.
        timeout_s: How long one round of one path may take.
        peers: Interpreter of each peer that is to run.
        paths: Names of the paths that run; empty for all of ours and of the peers'.
    """

    values: int
    cohort: int
    precision_bits: int
    repeats: int
    timeout_s: float
    peers: Mapping[str, Path]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one path.

    Attributes:
        name: The path's.
        measurements: One a repeat; fewer where it failed.
        failure: Why it could not be measured; empty where it could.
        not_run: Why nobody tried; empty where somebody did.
    """

    name: str
    measurements: tuple[Measurement, ...] = ()
    failure: str = ""
    not_run: str = ""

    @property
    def measured(self) -> bool:
        """True where it has all its figures."""
        return not self.failure and not self.not_run


@dataclass(frozen=True, slots=True)
class _Contender:
    """A path that runs, and what has been measured of it so far."""

    name: str
    program: Program
    settings: Mapping[str, int]
    measurements: list[Measurement] = field(default_factory=list)


def run_aggregation(request: Request, *, line_sink: Callable[[str], None]) -> tuple[Outcome, ...]:
    """Measure all paths of a request.

    Args:
        request: What is to be measured.
        line_sink: Is told what is being done, one line each.

    Returns:
        One outcome a path, peers that were not asked for included.

    Raises:
        CapacityError: if no profile adds so many contributions exactly.
        ConfigError: if a peer's driver is not there, or a path that is asked for is none of those that could run.
        RunError: if the vectors cannot be stored.
    """
    for scheme in SCHEMES.values():
        profile_for(request.cohort, request.precision_bits, scheme=scheme)
    contenders = _chosen(_contenders(request.peers), request.paths)
    outcomes = {name: Outcome(name, not_run=reason) for name, reason in _absent(request.peers)}
    with TemporaryDirectory(prefix="securefl-bench-") as name:
        folder = Path(name)
        line_sink(f"Drawing {request.cohort} vectors of {request.values:,} values.")
        job = _job(request, folder)
        for repeat in range(request.repeats):
            # Another one begins each time, so that nobody always follows the same one.
            first = repeat % len(contenders)
            for contender in (*contenders[first:], *contenders[:first]):
                if contender.name in outcomes:
                    continue
                line_sink(f"Round {repeat + 1} of {request.repeats}: {contender.name}.")
                failure = _play(contender, job, folder=folder, timeout_s=request.timeout_s)
                if failure:
                    line_sink(f"{contender.name} could not be measured: {failure}.")
                    outcomes[contender.name] = Outcome(
                        contender.name, tuple(contender.measurements), failure=failure
                    )
    for contender in contenders:
        outcomes.setdefault(contender.name, Outcome(contender.name, tuple(contender.measurements)))
    left_out = "it is not among the paths that were asked for"
    return tuple(outcomes.get(name, Outcome(name, not_run=left_out)) for name in all_paths())


def all_paths() -> tuple[str, ...]:
    """Names of all paths, in the order of a report."""
    return (*OWN_PATHS, *(name for paths in PEER_PATHS.values() for name, *_ in paths))


def _play(contender: _Contender, job: Job, *, folder: Path, timeout_s: float) -> str:
    """One round of one path; why it failed, or nothing."""
    mine = job.model_copy(update={"path": contender.name, "settings": dict(contender.settings)})
    try:
        measurement = run_measured(contender.program, mine, folder=folder, timeout_s=timeout_s)
    except RunError as error:
        return str(error).rstrip(".")
    contender.measurements.append(measurement)
    return ""


def _contenders(peers: Mapping[str, Path]) -> Sequence[_Contender]:
    module = (sys.executable, "-P", "-m", "securefl.bench.aggregation.measure")
    own = [_Contender(name, Program(module, own=True), {}) for name in OWN_PATHS]
    return [*own, *(contender for peer, python in peers.items() for contender in _of_peer(peer, python))]


def _chosen(contenders: Sequence[_Contender], paths: tuple[str, ...]) -> Sequence[_Contender]:
    """Those among them that were asked for; all where none were."""
    possible = [contender.name for contender in contenders]
    unknown = [name for name in paths if name not in possible]
    if unknown:
        raise ConfigError(
            f"{unknown[0]} is no path that can run here",
            where="--path",
            hint=f"these can: {', '.join(possible)}; peers need --peer",
        )
    return [contender for contender in contenders if not paths or contender.name in paths]


def _of_peer(peer: str, python: Path) -> Sequence[_Contender]:
    contenders = []
    for name, driver, settings in PEER_PATHS[peer]:
        script = DRIVERS / driver
        if not script.is_file():
            raise ConfigError(
                f"{script} is missing",
                where=f"--peer {peer}",
                hint="peers are measured from a source checkout",
            )
        contenders.append(_Contender(name, Program((str(python), str(script)), own=False), settings))
    return contenders


def _absent(peers: Mapping[str, Path]) -> Sequence[tuple[str, str]]:
    """Paths of the peers that were not asked for, and what would have asked for them."""
    return [
        (name, f"no --peer {peer}=PYTHON was given")
        for peer, paths in PEER_PATHS.items()
        for name, *_ in paths
        if peer not in peers
    ]


def _job(request: Request, folder: Path) -> Job:
    try:
        vectors = draw_vectors(folder, values=request.values, cohort=request.cohort, seed=SEED)
    except OSError as error:
        raise RunError("the vectors cannot be stored", where=str(folder), hint=str(error.strerror)) from None
    return Job(
        path="",
        values=request.values,
        cohort=request.cohort,
        precision_bits=request.precision_bits,
        bound=BOUND,
        seed=SEED,
        vectors=tuple(map(str, vectors.files)),
        exact_mean=str(vectors.exact_mean),
    )
