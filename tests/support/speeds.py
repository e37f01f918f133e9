"""A machine's speed that nobody measured: measuring takes a process and a second, and most tests are about others."""

from __future__ import annotations

from securefl.planning.speed import Rate, Speed

_RATE = Rate(once_s=2e-4, each_s=1e-4)
MADE_UP = Speed(
    encode_s=1e-8,
    encrypt=_RATE,
    add=_RATE,
    publish=_RATE,
    expand=_RATE,
    read=_RATE,
    ciphertexts=64,
    took_s=1.0,
)
