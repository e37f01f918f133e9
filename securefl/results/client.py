"""A client's ``result.json``: what it reports of a run, in one place and one order, for who writes and who reads it.

The rule kept here: the file is written last and atomically, so that its existence means a whole run; it holds
figures and digests, never a key or a value of an adapter. A reader keeps keys that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from securefl.errors import StateError
from securefl.protocol.federation import Federation
from securefl.results.curve import Figures
from securefl.results.formats import current, stamped
from securefl.storage.disk import write_whole

FILE_NAME = "result.json"
BUDGET_COPY = "budget.jsonl"
"""Copy of the ledger of the data's privacy budget, beside a result."""


AdapterName = Literal["local", "global", "fused"]
"""A result's words for the personal adapter, the global one at the client's rank, and both as fused."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", serialize_by_alias=True, validate_by_name=True)


class EncryptionReport(_Part):
    """The protection of the sums.

    Attributes:
        fraction: Share of the shared values that travelled encrypted.
        exact: Whether the decrypted sum is the integer sum bit for bit.
    """

    scheme: str
    profile: str
    fraction: float
    exact: bool


class ComparisonReport(_Part):
    """An adapter against the base on the same test rows: counts, never the rows.

    Attributes:
        wins: Rows that only the adapter has right.
        losses: Rows that only the base has right.
        p: Two-sided p-value of McNemar's exact test.
    """

    wins: int
    losses: int
    p: float


class WorthReport(_Part):
    """The adapter that the validation rows choose, and what the test rows say of each against the base.

    Attributes:
        chosen: ``local``, ``global`` or ``fused``.
        validation: The metric of each on the validation rows, which no adapter was trained on.
        validation_samples: How many those are.
        against_base: By the same keys.
        samples: Test rows.
    """

    chosen: AdapterName
    validation: Mapping[str, float]
    validation_samples: int
    against_base: Mapping[str, ComparisonReport]
    samples: int

    @model_validator(mode="after")
    def _chosen_is_compared(self) -> Self:
        if self.chosen not in self.against_base:
            raise ValueError("the chosen adapter is not compared with the base")
        return self


class CalibrationReport(_Part):
    """Two numbers of the global head that the client fitted on its validation rows; see ``training.calibration``.

    Attributes:
        h: Scale of the head.
        tau: Weight of the client's label mix in the bias.
        before: Metric on those rows without them.
        after: With them.
        samples: How many rows those are.
    """

    h: float
    tau: float
    before: float
    after: float
    samples: int


class MetricReport(_Part):
    """The same metric on the same test rows, for each model; None where a model does not exist.

    Attributes:
        base: The frozen base model with a head trained on the client's rows alone, no adapter.
        local: The personal adapter alone, trained for the same steps as the global one.
        global_: The global adapter at the client's rank.
        fused: Both, by the weights that the fusion found.
        f1: F1 of the second label by the same keys, where there are two labels.
        samples: Test rows; None where a learner of the member's own measured.
        worth: Which adapter to use, by comparison with the base row by row; None as above, and in a result of 0.1.0.
        figures: Every figure by name, for each of the keys above; empty as above.
        intervals: Ends of their 95 % intervals, in the same way; only of figures that rows can give one.
        calibration: Of the global head; None where nothing was fitted.
        baselines: The same metric of ``training.baselines``, by name; None where they were not asked for.
    """

    name: str
    base: float | None
    local: float | None
    global_: float = Field(alias="global")
    fused: float | None
    f1: Mapping[str, float] | None
    samples: int | None
    worth: WorthReport | None = None
    calibration: CalibrationReport | None = None
    figures: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = Field(default_factory=dict)
    baselines: Mapping[str, float] | None = None

    def of(self, adapter: AdapterName) -> float | None:
        """The figure of one adapter."""
        return {"local": self.local, "global": self.global_, "fused": self.fused}[adapter]


class ScalesReport(_Part):
    """Multipliers of the global head, of the personal head, and of the client's log label shares in the fused head."""

    h_global: float
    h_personal: float
    tau: float


class NestedReport(_Part):
    """The fusion's choice in small: made on half of its rows, measured on the other half.

    Attributes:
        fused: Metric of the candidate that the first half chose.
        alone: Metric of the adapter, global or personal, that was the better one on the first half.
        samples: Rows of the second half.
        held: False where the candidate had the worse metric, and the better of both was taken.
    """

    fused: float
    alone: float
    samples: int
    held: bool


class FusionReport(_Part):
    """The weights that the fusion found on held-out rows, out of how many candidates, and their loss there.

    Attributes:
        samples: How many rows every candidate was measured on.
        plain_mean: True where these were too few for a search, and the weights are those of the plain mean.
        scales: Of the heads; None where they were added with the weights, as in results of 0.1.0.
        nested: None where there were too few rows for a search, and in results of 0.1.0.
    """

    w_global: float
    w_personal: float
    space: str
    loss: float
    candidates: int
    samples: int
    plain_mean: bool = False
    scales: ScalesReport | None = None
    nested: NestedReport | None = None


class BytesReport(_Part):
    """Bytes of one round.

    Attributes:
        up: Sent, header, seeds and residues.
        down: Received.
        float32_up: What a plaintext client of this rank would send: its A and B, and the head.
    """

    up: int
    down: int
    float32_up: int


class SumReport(_Part):
    """One sum over the members, as one client saw it.

    Attributes:
        round_number: From 1 on for training, up to 0 for openings.
        seconds: By phase.
        integers_sha256: Of the decrypted sums; equal at every client.
        update_norm: Frobenius norm of the mean update's weights; equal at every client to rounding. None in results
            of 0.1.0.
    """

    round_number: int
    seconds: Mapping[str, float]
    bytes: BytesReport
    integers_sha256: str
    update_norm: float | None = None


class RoundReport(SumReport):
    """One round of one client.

    Attributes:
        reconstruction_error: Under ``sketch``, the estimated Frobenius error of the mean update's weights by their
            norm; equal at every client to rounding. None where nothing was sketched: the mean is exact.
        validation: Figures by name of the round's global adapter on the client's validation rows; empty where nothing
            was measured, as in results of 0.1.0.
    """

    loss: float | None
    saturated: int
    reconstruction_error: float | None
    validation: Figures = Field(default_factory=dict)


class OpeningReport(SumReport):
    """One sum before the first round of training, of one client; nothing plain stands beside its bytes.

    Attributes:
        what: ``holders``, ``statistics``, ``trials`` or ``gradient``; see ``securefl.protocol.openings``.
        clipped: Values that exceeded their bound.
    """

    what: str
    clipped: int


class PrivacyReport(_Part):
    """Differential privacy of a client's part, from the ledger of its data's budget.

    Attributes:
        unit: ``example`` or ``client``.
        delta: Of the promise, and of what this federation spent.
        accountant: Who computed them.
        target_epsilon: Promise of the federation for all its rounds.
        epsilon: Of this federation's charges.
        rounds_charged: Numbers of the rounds that were charged.
        trainings: Number of charges; more than rounds where one was trained anew after a stop.
        rounds_sat_out: Numbers of the rounds that it took no part in, as its budget did not allow them.
        budget_delta: Of the budget, and of what is spent of it; the smaller one of the client's own and ``delta``.
        budget_epsilon: Limit of all federations together on one of the data's rows, or on the client.
        spent: What they have spent together.
        left: What is left; epsilons of further rounds do not simply add up.
        affordable_rounds: Number of further rounds like these that fit, counted up to those of this federation; None
            where nothing was planned.
    """

    unit: str
    delta: float
    accountant: str
    target_epsilon: float
    epsilon: float
    rounds_charged: tuple[int, ...]
    trainings: int
    rounds_sat_out: tuple[int, ...]
    budget_delta: float
    budget_epsilon: float
    spent: float
    left: float
    affordable_rounds: int | None


class ClientResult(_Part):
    """A whole ``result.json`` of a client.

    Attributes:
        start: Figures by name of the adapter that round 1 starts from, as those of every round in ``rounds_log``.
        labels_at_home: Labels whose rows of the head no sum has, because too few members hold them: the same at every
            member. None where heads are averaged as a whole, and in results of 0.1.0.
        best_round: Number of the round whose global adapter is best on the validation rows, 0 for the start; None where
            none was measured.
        kept_round: Number of the round whose global adapter is the last one too, 0 for the start, where the sum of the
            members' validation losses has ended the federation early; ``rounds`` is then how many there were.
        epsilon: Of this federation's charges, as a number that reads back as the same; ``infinity`` where nothing was
            charged for want of noise.
        privacy: What was promised, spent and left; None without differential privacy.
        own_model: True where the client's base model is its own: its global adapter stands beside that model, which is
            trained on the client's rows.
    """

    federation: str
    federation_digest: str
    recipe: str
    payload: str
    rounds: int
    encryption: EncryptionReport
    id: str
    rank: int
    personal_rank: int | None
    samples: int
    values: int
    device: str | None
    precision: str | None
    metric: MetricReport
    fusion: FusionReport | None
    openings_log: tuple[OpeningReport, ...] = ()
    start: Figures = Field(default_factory=dict)
    labels_at_home: tuple[str, ...] | None = None
    best_round: int | None = None
    kept_round: int | None = None
    own_model: bool = False
    rounds_log: tuple[RoundReport, ...]
    seconds: Mapping[str, float]
    seconds_total: float
    peak_memory_bytes: int
    epsilon: str
    privacy: PrivacyReport | None = None
    ledger_head: str

    @property
    def metric_name(self) -> str:
        """Name of the figure that reports show."""
        return self.metric.name

    @property
    def bytes(self) -> BytesReport:
        """Bytes of all rounds of training; those of the openings stand apart, in their log."""
        return added_bytes([entry.bytes for entry in self.rounds_log])

    def write(self, folder: Path) -> Path:
        """Writes the file into ``folder``, readable by its owner only, and gives its path.

        Raises:
            DiskError: if the disk does not take it.
        """
        path = folder / FILE_NAME
        write_whole(path, json.dumps(stamped(self.model_dump(mode="json")), indent=1) + "\n")
        return path


def read_client_result(path: Path) -> ClientResult:
    """A client's result, of this format or of 0.1.0's.

    Raises:
        StateError: if it is missing, is no client's result, or was written by a newer version.
    """
    try:
        values = current(json.loads(path.read_text(encoding="utf-8")), where=str(path))
        return ClientResult.model_validate(values)
    except OSError:
        raise StateError(f"there is no result at {path}", hint="the client's log says why") from None
    except (ValueError, RecursionError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else None
        key = ".".join(str(part) for part in detail["loc"]) if detail else "it is no JSON"
        raise StateError(f"{path} is no client's result", where=key) from None


def added_bytes(figures: Sequence[BytesReport]) -> BytesReport:
    """The sum of several figures, direction by direction."""
    return BytesReport(
        up=sum(figure.up for figure in figures),
        down=sum(figure.down for figure in figures),
        float32_up=sum(figure.float32_up for figure in figures),
    )


def encryption_report(federation: Federation) -> EncryptionReport:
    """The protection of this federation's sums."""
    encrypted = federation.terms.encryption.scheme != "none"
    return EncryptionReport(
        scheme=federation.terms.encryption.scheme,
        profile=federation.profile.name,
        fraction=_encrypted_share(federation) if encrypted else 0.0,
        # Every scheme adds integers that the plan proves exact; CKKS would not be.
        exact=True,
    )


def _encrypted_share(federation: Federation) -> float:
    """Share of all rounds' values, openings included, that are in an encrypted section."""
    numbers = range(federation.first_round, federation.terms.federation.rounds + 1)
    kinds = [federation.kind_of(number) for number in numbers]
    return sum(kind.total - kind.plain for kind in kinds) / sum(kind.total for kind in kinds)
