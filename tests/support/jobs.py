"""The size of the aggregation that benchmarks are tested on."""

from __future__ import annotations

VALUES, COHORT = 20_000, 3
