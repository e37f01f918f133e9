"""A saved folder's own record, ``task.json``: base model, task, origin and metric.

The rule kept here: the file says all that a reader needs beside PEFT's two files, and what it says of the base model
is a name and a digest, so that another model of that name is found out. Keys that a task adds are kept as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from securefl.errors import ModelError, plain_reason
from securefl.training.intervals import wilson

ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
HEAD_FILE = "head.safetensors"
SHARED_FILE = "shared_adapter.safetensors"
MIXER_FILE = "mixer.safetensors"
TASK_FILE = "task.json"
CARD_FILE = "README.md"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class MeasuredRecord(_Part):
    """A metric on test rows.

    Attributes:
        name: Such as ``accuracy``.
        value: Its figure.
        samples: Number of test rows.
        interval: Of 95%, lowest and highest; None where the metric is no share of rows.
    """

    name: str
    value: float
    samples: int
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, name: str, value: float, samples: int) -> Self:
        """The metric with its interval."""
        return cls(
            name=name,
            value=value,
            samples=samples,
            interval=wilson(round(value * samples), samples) if name == "accuracy" and samples else None,
        )

    @property
    def text(self) -> str:
        """The figure, its interval and the number of rows, as people read them."""
        span = (
            ""
            if self.interval is None
            else f" (95% interval {self.interval[0]:.3f} to {self.interval[1]:.3f})"
        )
        return f"{self.name} {self.value:.4f}{span} on {self.samples} test rows"


class PromiseRecord(_Part):
    """Differential privacy that a federation promised for what its sums tell.

    Attributes:
        unit: ``example`` or ``client``.
        epsilon: Of all rounds together, at most.
        delta: At this delta.
        per_person: Most rows of a person, where persons are protected; None else.
    """

    unit: Literal["example", "client"]
    epsilon: float
    delta: float
    per_person: int | None = None


class OriginRecord(_Part):
    """The federation that an adapter comes from.

    Attributes:
        federation: Its name.
        rounds: How many it had.
        payload: What members sent.
        encrypted: Share of the sent values that travelled encrypted, from 0 to 1.
        promise: Its promise of differential privacy; None where it made none.
    """

    federation: str
    rounds: int
    payload: str
    encrypted: float = Field(ge=0, le=1)
    promise: PromiseRecord | None = None


class SharedRecord(_Part):
    """The adapter that members of different backbones share, beside the one on this member's own.

    Attributes:
        width: Its input and output width.
        rank: The member's.
        scaling: The number that the product of its factors is multiplied by.
    """

    width: int = Field(ge=1)
    rank: int = Field(ge=1)
    scaling: float


class MixerRecord(_Part):
    """A gate for every adapted weight, which mixes two adapters that stand in one, token by token.

    Attributes:
        ranks: Directions of the first adapter, which come first, and of the second one.
    """

    ranks: tuple[int, int]

    @property
    def parts(self) -> tuple[int, ...]:
        """For each direction, which of the two adapters it belongs to."""
        return (0,) * self.ranks[0] + (1,) * self.ranks[1]


class FolderRecord(_Part):
    """Content of ``task.json``; keys that are not named here are the task's own.

    Attributes:
        base_model: Folder, hub id or ``package:NAME`` that the base model was loaded from.
        base_model_id: Its public name; None where none is known.
        base_model_sha256: ``model_files.model_digest`` of it, hexadecimal.
        max_length: Most tokens of a text.
        task: The task's name.
        auto_class: The class of transformers that the adapter belongs on.
        pad_token_id: The token that fills rows for that class; None where it needs none.
        adapter: ``global``, ``personal`` or ``fused``; ``private`` beside a shared adapter.
        origin: None where a trainer was used without a federation.
        measured: On the client's test rows; None where nothing was.
        shared: The shared adapter in ``shared_adapter.safetensors``; None where the folder has none.
        mixer: The gates in ``mixer.safetensors``; None where the folder has none.
        merged: True where the folder holds the whole model, its adapter added to the weights.
        reduced_from: Its former rank, where it was reduced.
        lost: Share of the adapter's norm that was lost by that.
        versions: Of the libraries that it was written with.
    """

    base_model: str
    base_model_id: str | None = None
    base_model_sha256: str
    max_length: int = Field(ge=1)
    task: str
    auto_class: str = "AutoModel"
    pad_token_id: int | None = None
    adapter: str = "global"
    origin: OriginRecord | None = None
    measured: MeasuredRecord | None = None
    shared: SharedRecord | None = None
    mixer: MixerRecord | None = None
    merged: bool = False
    reduced_from: int | None = None
    lost: float | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)

    @property
    def base(self) -> str:
        """The base model as others find it: its public name, else the path as it was given."""
        return self.base_model_id or self.base_model

    @property
    def description(self) -> dict[str, JsonValue]:
        """The task's own keys."""
        return dict(self.model_extra or {})

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the head's rows; none where the task has no labels."""
        labels = self.description.get("labels")
        return tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()

    @property
    def chat_template(self) -> str | None:
        """The federation's own template around prompts; None where the model's was taken, or none."""
        template = self.description.get("chat_template")
        return template if isinstance(template, str) else None

    @property
    def beyond_peft(self) -> str | None:
        """The file of the folder that computes with PEFT's own two and that PEFT does not know; None without one."""
        if self.shared is not None:
            return SHARED_FILE
        return None if self.mixer is None else MIXER_FILE

    def write(self, folder: Path) -> None:
        """Write ``task.json``."""
        values = self.model_dump(mode="json")
        (folder / TASK_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's record.

        Raises:
            ModelError: if there is none, or it is no record of this program.
        """
        path = folder / TASK_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"])) or "it is no JSON table"
            raise ModelError(f"{path} does not describe an adapter", where=place) from None
        except OSError as error:
            what = f"{folder} is no saved adapter" if folder.is_dir() else f"there is no folder {folder}"
            raise ModelError(
                what,
                hint=f"{TASK_FILE} cannot be read ({plain_reason(error)}); give a folder such as "
                "runs/NAME/clients/CLIENT/fused",
            ) from None


def versions() -> dict[str, str]:
    """Versions of the libraries that make a saved folder's numbers, by name."""
    from importlib.metadata import version

    return {name: version(name) for name in ("securefl", "torch", "transformers", "peft")}
