"""Federations from their configuration: the members' folders, the forecast, and layouts of models of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.config import FederationConfig
from securefl.errors import ConfigError
from securefl.progress import Event, EventSink

if TYPE_CHECKING:
    from securefl.planning.forecast import Forecast


def provision(
    config: FederationConfig,
    folder: str | Path,
    *,
    layout: Layout | None = None,
    on_event: EventSink | None = None,
) -> None:
    """Make the members' folders: the federation file, the keys and the certificates, as ``securefl init`` does.

    With ``layout`` the federation shares the tensors of a model that only its members know: no model and no data is
    read here, and ``load_federation(path, own_models=True)`` asks for none. ``[cohort] samples_cap`` must be set;
    ``[data]`` and ``[training]`` are not used, and there is no personal adapter. What the federation file pins of the
    model is the layout and its digest; members of such a federation take part with ``Member``.

    Args:
        config: What the federation is; see ``load_federation``.
        folder: Must not exist or be empty; one folder for each member is made in it.
        layout: The shared tensors of a model of one's own; None takes those of the model at ``[model] path``.
        on_event: Called with every event; see ``securefl.progress``.

    Raises:
        ConfigError: if the folder is not empty, or the configuration does not hold together.
        CapacityError: if no profile adds this cohort's integers exactly.
        DiskError: if the folders cannot be written.
        ModelError, DataError: without ``layout``, if the base model or the data do not fit.

    Example:
        >>> from securefl import load_federation, provision, shared_layout
        >>> layout = shared_layout({"hidden": (16, 8)}, {"out": (3, 16)})
        >>> config = load_federation("FED.toml", own_models=True)  # doctest: +SKIP
        >>> provision(config, "federation", layout=layout)  # doctest: +SKIP
    """
    from securefl.provisioning.provision import provision as make

    make(config, Path(folder), emit=on_event or _unheard, layout=layout)


def forecast(config: FederationConfig, *, layout: Layout | None = None, measure: bool = True) -> Forecast:
    """Forecast what a federation will cost, before anything runs: bytes, ciphertexts, memory and seconds.

    Args:
        config: What the federation is; see ``load_federation``. The base model's config and the data that lies on
            this machine are read.
        layout: The shared tensors of a model of one's own, as in ``provision``; nothing is read then.
        measure: Also time a few ciphertexts on this machine, which takes seconds; False leaves the seconds out.

    Returns:
        The forecast; ``securefl.planning.as_json.plan_json`` gives it as JSON values.

    Raises:
        ConfigError, CapacityError, DataError, ModelError: what provisioning would raise.
        RunError: if this machine cannot be measured.

    Example:
        >>> from securefl import forecast, load_federation
        >>> expected = forecast(load_federation("FED.toml"), measure=False)  # doctest: +SKIP
        >>> expected.rounds[0].traffic.up  # doctest: +SKIP
        1835008
    """
    from securefl.planning.forecast import forecast as computed
    from securefl.planning.speed_process import measure_speed_in_process
    from securefl.provisioning.preview import preview, preview_of_layout

    federation = preview(config) if layout is None else preview_of_layout(config, layout)
    return computed(federation, speed=measure_speed_in_process(federation) if measure else None)


def shared_layout(
    adapted: Mapping[str, tuple[int, int]], heads: Mapping[str, tuple[int, int]] | None = None
) -> Layout:
    """Tensors that a federation with models of its own shares.

    Args:
        adapted: Weights that carry LoRA adapters, by name: (rows m, columns n).
        heads: Tensors that are trained and sent in full, by name: (rows, columns); columns are 1 for a bias.

    Raises:
        ConfigError: if there is no adapted weight, a size is no pair of positive whole numbers, or a name is no text or
            stands for two tensors.

    Example:
        >>> from securefl import shared_layout
        >>> [tensor.name for tensor in shared_layout({"hidden": (16, 8)}, {"out": (3, 16)}).tensors]
        ['hidden', 'out']
    """
    heads = heads or {}
    if not adapted:
        raise ConfigError("a federation shares at least one adapted weight", where="adapted")
    twice = adapted.keys() & heads.keys()
    if twice:
        raise ConfigError(
            f"'{min(twice)}' is an adapted weight and a head", hint="give each a name of its own"
        )
    kinds = ((adapted, TensorKind.ADAPTED), (heads, TensorKind.HEAD))
    for sizes, _ in kinds:
        for name, size in sizes.items():
            _check_tensor(name, size)
    return Layout(
        tuple(
            TensorSpec(name, rows, columns, kind)
            for sizes, kind in kinds
            for name, (rows, columns) in sizes.items()
        )
    )


def _check_tensor(name: object, size: object) -> None:
    """Hold a caller's entry against its type: a layout that the federation file cannot give back must not be made."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError(
            "a tensor's name is no text that prints", hint="name each by the module's path in the model"
        )
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(type(count) is int for count in size)):
        raise ConfigError(
            f"the size of '{name}' is no pair of whole numbers", hint="give (rows, columns), such as (16, 8)"
        )
    if min(size) < 1:
        raise ConfigError(f"the tensor '{name}' has no values", hint="rows and columns are at least 1")


def _unheard(_: Event) -> None:
    """An event sink for a caller who listens to nothing."""
