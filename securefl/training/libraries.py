"""Import of the libraries that training takes: seconds of work, so it is done once, where somebody is told.

The rule kept here: what is imported before a model is looked at is imported by ``load_libraries`` and by nothing
earlier on a client's way, so that a wrong address or key shows before the wait.
"""

from __future__ import annotations

import gc


def load_libraries() -> None:
    """Imports torch, transformers and PEFT, with the garbage collector out of the way.

    The imports make about 600,000 objects that live until the process ends. To search them for garbage again and
    again while they are made, and once more when the process ends, took 0.3 s and 1.3 s on an idle machine
    (transformers 5.23) and freed nothing, so they are taken out of the collector's sight for good.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        import peft
        import torch
        import transformers.modeling_utils  # noqa: F401 - what AutoModel imports as soon as it is used

        del peft, torch
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
