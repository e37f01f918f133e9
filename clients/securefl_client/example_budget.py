"""Private rounds of a member, planned from the rows that it trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.privacy.sampled_training import SampledTraining

if TYPE_CHECKING:
    from securefl.training.rows.examples import ClientData


def planned_release(
    privacy: ExamplePrivacySection, training: TrainingSection, data: ClientData, *, rounds: int
) -> SampledTraining:
    """Sampling, clip and noise of each of a member's rounds.

    Raises:
        ConfigError: if delta is not below 1 / rows, or no noise keeps the target.
    """
    from securefl.training.dp_sgd.member_plan import member_plan

    release = member_plan(privacy, training, rows=len(data.train), rounds=rounds).release
    assert isinstance(release, SampledTraining)
    return release
