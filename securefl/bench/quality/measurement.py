"""Messages of a measured cell, its job on stdin and its answer on stdout: one JSON object each.

The rule kept here: an answer is checked whole before a figure of it is used; it holds figures, digests and what each
test row counts, never a text.

Columns, each measured on every client's own test rows:

``base``     the frozen model with a head trained on the client's rows
``local``    the personal adapter, trained on the client's rows alone
``global``   the federation's adapter at the client's rank
``fused``    both, as the client fused them
``central``  one adapter of the largest rank, trained on the rows of all clients together

A column is missing where a cell has no such adapter.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from securefl.errors import WireError

Column = Literal["base", "local", "global", "fused", "central"]
COLUMNS: tuple[Column, ...] = get_args(Column)
COMPUTE = "compute"
"""Key of ``settings``: device, precision and accelerator of the cell's training, see ``devices.Compute.words``."""
Figure = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scheme = Literal["none", "kahe", "bfv"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CellJob(_Frozen):
    """A cell to be run.

    Attributes:
        data: Name of the data set's folder.
        text: Its columns of texts; empty where ``overrides`` name the columns.
        label: Its column of labels; empty where it has none.
        max_length: Most tokens of a text.
        split: ``iid``, ``dirichlet``, or a column's name.
        recipe: A recipe's name, ``central`` or ``local``.
        seed: The federation's.
        ranks: Ranks of the clients.
        train_rows: Most training rows of all clients.
        test_rows: Most test rows of all clients.
        validation: Rows held out of training stand for test rows.
        scheme: ``none`` for the integer twin.
        overrides: ``section.key=value`` each, set in the ``FED.toml``.
        own_test: False where training rows that nobody trains on stand for test rows, see ``DataSet``.
        personal_for_all: Every client has a personal adapter, whatever the recipe says.
    """

    data: str
    text: tuple[str, ...]
    label: str
    max_length: int
    split: str
    recipe: str
    seed: int
    ranks: tuple[int, ...]
    train_rows: int
    test_rows: int
    validation: bool
    scheme: Scheme
    overrides: tuple[str, ...]
    own_test: bool = True
    personal_for_all: bool = True


class CellOrder(_Frozen):
    """A job, and where its material lies: nothing here changes a figure.

    Attributes:
        job: What to run.
        data_folder: The data sets'.
        model: Folder, hub id or ``package:NAME`` of the base model.
    """

    job: CellJob
    data_folder: str
    model: str


class ClientOutcome(_Frozen):
    """End of one client's run.

    Attributes:
        rank: Of its global adapter.
        train_rows: Rows it trains on.
        validation_rows: Rows that choose.
        test_sha256: Of its test rows' texts and targets: those of two cells are the same rows where it is equal.
        scores: By column, what each test row counts, in the rows' order; of accuracy, 1 or 0.
        values: By column, the metric of the test rows.
        validation: By column, the metric of the validation rows: of ``local``, ``global`` and ``fused``, of ``central``
            in its own cell, and of ``base`` in a cell ``local``.
        curve: The global adapter's metric on the validation rows, by round; 0 is its start.
        baselines: What the member's side reports beside its columns, by name.
        fusion: What the fusion found.
        up_bytes: What it uploads in each round from 1 on, encrypted, by planning.
        opening_bytes: What it uploads before round 1.
        float32_bytes: Its own factors and head in float32.
        adapters_sha256: Of its final adapters, by name.
    """

    rank: Count
    train_rows: Count
    validation_rows: Count
    test_sha256: Digest
    scores: dict[Column, tuple[Figure, ...]]
    values: dict[Column, Figure]
    validation: dict[Column, Figure] = {}
    curve: dict[str, Figure] = {}
    baselines: dict[str, Figure] = {}
    fusion: dict[str, JsonValue] = {}
    up_bytes: tuple[Count, ...] = ()
    opening_bytes: Count = 0
    float32_bytes: Count = 0
    adapters_sha256: dict[str, Digest] = {}

    @model_validator(mode="after")
    def _columns_are_paired(self) -> ClientOutcome:
        if len({len(scores) for scores in self.scores.values()}) != 1:
            raise ValueError("the columns have not the same test rows")
        return self

    @property
    def test_rows(self) -> int:
        """Number of its test rows."""
        return len(next(iter(self.scores.values())))


class CellMeasurement(_Frozen):
    """One measured cell.

    Attributes:
        metric: Name of the figures.
        rounds: Rounds of the federation, or of training alone, or epochs of the central training.
        clients: By id, in the federation's order.
        integers_sha256: Of each round's sums, openings included; none without a federation.
        seconds: Wall seconds of each phase, all clients one after the other.
        wall_s: Of the whole cell.
        cpu_s: Of the whole cell.
        settings: What it ran with; the federation's terms, and what its training computed on.
    """

    metric: str
    rounds: Count
    clients: dict[str, ClientOutcome] = Field(min_length=1)
    integers_sha256: tuple[Digest, ...]
    seconds: dict[str, Figure]
    wall_s: Figure
    cpu_s: Figure
    settings: dict[str, JsonValue]


def read_cell(line: bytes) -> CellMeasurement:
    """A measured cell's answer.

    Raises:
        WireError: if it is none.
    """
    try:
        return CellMeasurement.model_validate_json(line)
    except ValidationError:
        raise WireError("no measurement") from None
