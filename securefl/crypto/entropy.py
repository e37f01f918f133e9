"""The one way in for randomness: bytes of the operating system, or of a test that wants to know them.

The rule kept here: what draws randomness takes an ``Entropy`` with this default, and nothing else of ``crypto`` that
does so reads another source.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""So many independent uniform bytes."""

SYSTEM: Entropy = secrets.token_bytes
"""The operating system's generator."""
