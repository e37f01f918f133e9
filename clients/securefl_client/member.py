"""A member with a model and data of its own: what a notebook or a framework's app drives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from securefl.adapters.update import Adapter
from securefl.progress import Event, EventSink
from securefl.results.client import FILE_NAME
from securefl_client.folder import ClientFolder
from securefl_client.learner import CheckedLearner, Learner, check_offers
from securefl_client.learner_side import LearnerSide
from securefl_client.phases import PhaseClock
from securefl_client.process import take_part
from securefl_client.round_charges import RoundCharges


@dataclass(frozen=True, slots=True)
class MemberResult:
    """State of a member after the last round.

    Attributes:
        adapter: The global adapter at this member's rank, float64.
        metrics: What its learner measured of it.
        path: The ``result.json``; ledger and adapter lie beside it.
    """

    adapter: Adapter
    metrics: Mapping[str, float]
    path: Path


class Member:
    """A member of a federation that trains with a learner of its own.

    It connects as ``securefl client`` does and takes part in every round: same keys, checks, ledger and result. Several
    members of one process may run in threads of their own.

    Args:
        folder: The member's folder, from ``provision`` or ``securefl init``.
        learner: Its model and data; see ``Learner``.
        server: ``host:port``; None takes the one in ``client.toml``.
        out: Where adapter, ledger and result go; None takes ``results`` in the folder.

    Raises:
        ModelError: if the learner lacks something that every federation asks for.

    Example:
        >>> from securefl import Member
        >>> result = Member("federation/client-1", MyLearner()).run(on_event=print)  # doctest: +SKIP
        >>> result.metrics  # doctest: +SKIP
        {'accuracy': 0.93}
    """

    def __init__(
        self,
        folder: str | Path,
        learner: Learner,
        *,
        server: str | None = None,
        out: str | Path | None = None,
    ) -> None:
        check_offers(learner)
        self._folder = Path(folder)
        self._learner = learner
        self._server = server
        self._out = Path(out) if out is not None else self._folder / "results"

    def run(self, *, on_event: EventSink | None = None) -> MemberResult:
        """Take part from the first round to the last.

        Args:
            on_event: Called with every event, from any thread; see ``securefl.progress``.

        Returns:
            The last global adapter, and what the learner measured of it.

        Raises:
            ConfigError: if something in the folder's settings is wrong, or the results' folder holds a result.
            IdentityError: if a key, a certificate or the federation file does not hold, or a second process runs.
            ModelError: if the learner's tensors are not those of the federation's layout; nothing was sent then.
            TransportError: if the server cannot be reached.
            RunError: if the federation ends before its last round.
            Exception: what the learner raises.
        """
        emit = on_event or _unheard
        sides: list[LearnerSide] = []

        def prepare(
            own: ClientFolder, clock: PhaseClock, _: Callable[[], None], charges: RoundCharges
        ) -> LearnerSide:
            checked = CheckedLearner(self._learner, own.federation.layout)
            sides.append(LearnerSide(checked, member=own.member, clock=clock, emit=emit))
            return sides[0]

        take_part(self._folder, server=self._server, out=self._out, emit=emit, prepare=prepare)
        return MemberResult(sides[0].adapter, sides[0].metrics, self._out / FILE_NAME)


def _unheard(_: Event) -> None:
    """An event sink for a caller who listens to nothing."""
