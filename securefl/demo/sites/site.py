"""One site of the corpus: how often it asks for what, in which register, and the things it asks about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securefl.demo.phrasing import Register, Thing


@dataclass(frozen=True, slots=True)
class Site:
    """One organisation of the demonstration.

    Attributes:
        name: Its name in files and in ``phrasing.HOMONYMS``.
        register: The manner in which its people mostly ask.
        shares: Relative frequency of every intent among its plain requests.
        things: What may stand for ``{x}``, by kind.
    """

    name: str
    register: Register
    shares: Mapping[str, int]
    things: Mapping[Thing, tuple[str, ...]]
