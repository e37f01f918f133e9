"""A round's figures by the names under which events tell them."""

from __future__ import annotations

from collections.abc import Mapping

from securefl.results.client import RoundReport


def round_figures(report: RoundReport) -> dict[str, float]:
    """Figures of a round by the names of ``progress.RoundMeasured``; those that it does not have are left out."""
    figures = {
        "loss": report.loss,
        "update_norm": report.update_norm,
        "reconstruction_error": report.reconstruction_error,
        "up_bytes": float(report.bytes.up),
        "down_bytes": float(report.bytes.down),
        **{f"seconds/{phase}": seconds for phase, seconds in report.seconds.items()},
        **validation_figures(report.validation),
    }
    return {name: value for name, value in figures.items() if value is not None}


def validation_figures(validation: Mapping[str, float]) -> dict[str, float]:
    """Figures on validation rows by the names of ``progress.RoundMeasured``, without their number of rows."""
    return {f"validation/{name}": value for name, value in validation.items() if name != "samples"}
