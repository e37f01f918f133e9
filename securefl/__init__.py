"""Privacy-hardened secure aggregation for federated LoRA fine-tuning.

The names below are the public Python API, the one that the command line uses itself; everything else may change
between versions. Each is imported when it is first asked for, so that ``import securefl`` costs nothing.

A federation
    ``load_federation(path)``  a ``FED.toml`` as a checked configuration
    ``provision(config, folder)``  the members' folders: federation file, keys and certificates
    ``run_federation(config)``  a whole federation on this machine, to its ``RunResult``
    ``resume_federation(folder)``  the same run again, after one that did not end well
    ``forecast(config)``  bytes, seconds and memory, before anything runs
    ``log_events(target)``  an event sink that writes figures to TensorBoard or MLflow
A member with a model and data of its own
    ``Learner``  what such a model must offer
    ``Member(folder, learner)``  takes part in a federation with it
    ``shared_layout(adapted, heads)``  the tensors that such a federation shares
    ``Adapter``, ``LoraFactors``, ``Update``, ``update_between(start, after)``  the values that go in and come out of a
    round
What is left behind
    ``read_result(folder)``, ``read_ledger(folder)``, ``audit(folder)``
Adapters
    ``load_adapter(folder)``, ``load_base_model(path)``, ``fuse(first, second)``, ``Fusible``
Errors
    ``SecureFLError``  the base of every error that this package raises on purpose
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securefl.adapters.fusion import Fusible as Fusible
    from securefl.adapters.update import Adapter as Adapter
    from securefl.adapters.update import LoraFactors as LoraFactors
    from securefl.adapters.update import Update as Update
    from securefl.adapters.update import update_between as update_between
    from securefl.api.adapters import fuse as fuse
    from securefl.api.adapters import load_adapter as load_adapter
    from securefl.api.adapters import load_base_model as load_base_model
    from securefl.api.event_logs import log_events as log_events
    from securefl.api.federations import forecast as forecast
    from securefl.api.federations import provision as provision
    from securefl.api.federations import shared_layout as shared_layout
    from securefl.auditing.run_audit import audit as audit
    from securefl.config.load import load_federation as load_federation
    from securefl.errors import SecureFLError as SecureFLError
    from securefl.launch.run import resume_federation as resume_federation
    from securefl.launch.run import run_federation as run_federation
    from securefl.results.reading import read_ledger as read_ledger
    from securefl.results.reading import read_result as read_result
    from securefl_client.learner import Learner as Learner
    from securefl_client.member import Member as Member

__version__ = "0.2.0"

_WHERE = {
    "Adapter": "securefl.adapters.update",
    "Fusible": "securefl.adapters.fusion",
    "Learner": "securefl_client.learner",
    "LoraFactors": "securefl.adapters.update",
    "Member": "securefl_client.member",
    "SecureFLError": "securefl.errors",
    "Update": "securefl.adapters.update",
    "audit": "securefl.auditing.run_audit",
    "forecast": "securefl.api.federations",
    "fuse": "securefl.api.adapters",
    "load_adapter": "securefl.api.adapters",
    "load_base_model": "securefl.api.adapters",
    "load_federation": "securefl.config.load",
    "log_events": "securefl.api.event_logs",
    "provision": "securefl.api.federations",
    "read_ledger": "securefl.results.reading",
    "read_result": "securefl.results.reading",
    "resume_federation": "securefl.launch.run",
    "run_federation": "securefl.launch.run",
    "shared_layout": "securefl.api.federations",
    "update_between": "securefl.adapters.update",
}
"""The module of every public name."""

__all__ = [
    "__version__",
    *_WHERE,
]


def __getattr__(name: str) -> object:
    """Import a public name's module when the name is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module 'securefl' has no attribute '{name}'")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
