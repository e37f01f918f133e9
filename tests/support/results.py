"""A client's result as it stands in its file, with figures that a test can tell apart."""

from __future__ import annotations

from typing import Any


def round_of(position: int, number: int = 1) -> dict[str, Any]:
    """One round of client ``number``."""
    return {
        "round_number": position,
        "seconds": {"train": float(number + position), "upload": 0.5},
        "bytes": {"up": 10 * number, "down": 7, "float32_up": 40 * number},
        "loss": 0.5,
        "saturated": number,
        "reconstruction_error": None,
        "integers_sha256": "00" * 32,
    }


def client_result(number: int = 1, **other: Any) -> dict[str, Any]:
    """The values of a client's ``result.json``; keyword arguments replace or add keys."""
    return {
        "format": 2,
        "federation": "banks",
        "federation_digest": "00" * 32,
        "recipe": "default",
        "payload": "sketch",
        "rounds": 2,
        "encryption": {"scheme": "bfv", "profile": "p", "fraction": 1.0, "exact": True},
        "id": f"client-{number}",
        "rank": number,
        "personal_rank": number,
        "samples": 10,
        "values": 100,
        "device": "cpu",
        "precision": "float32",
        "metric": {
            "name": "accuracy",
            "base": 0.5,
            "local": None,
            "global": 0.75,
            "fused": None,
            "f1": None,
            "samples": 20,
            "worth": None,
        },
        "fusion": None,
        "rounds_log": [round_of(position, number) for position in (1, 2)],
        "seconds": {"train": 2.0 * number + 3, "upload": 1.0},
        "seconds_total": 4.0,
        "peak_memory_bytes": 1000 * number,
        "epsilon": "infinity",
        "ledger_head": "00" * 32,
        **other,
    }
