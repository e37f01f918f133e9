"""Choices of one client's training, gathered from the federation file and the client's own."""

from __future__ import annotations

from dataclasses import dataclass

from securefl.config.encryption import SelectBy
from securefl.config.head import HeadSection
from securefl.config.model import LoraTerms
from securefl.config.payload import PayloadName, SharedFactors
from securefl.config.personal import PersonalSection
from securefl.config.privacy import PrivateDescent
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.config.training import TrainingSection
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.folders.task_file import OriginRecord
from securefl.training.tasks.base import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings:
    """Choices of one client's training.

    Attributes:
        model_path: Folder, hub id or ``package:NAME`` of the base model.
        model_digest: ``model_files.model_digest`` of it, 32 bytes.
        task: What is learnt.
        max_length: Most tokens of a text.
        lora: ``[lora]``; its ``r`` is not used.
        training: ``[training]``.
        personal: ``[personal]``.
        head: ``[head]``.
        recipe: ``[recipe]``.
        payload: Name of the payload.
        shares: Factors that are summed, where a payload sums whole ones.
        fusion: ``[fusion]``.
        select_by: What selective encryption goes by.
        rank: Rank of the client's global adapter: ``PayloadPlan.global_rank``.
        update_rank: Rank of the update it trains: ``PayloadPlan.update_rank``.
        core_heads: h, the cores of such a rank that a weight has; 1 under the other payloads.
        shared_rank: Rank of the adapter that all clients share, where a payload trains one: ``RankTable.shared_rank``.
        personal_rank: Rank of its personal adapter: ``Federation.personal_rank``.
        rounds: Rounds of the federation.
        samples_cap: The number of rows from which on every client weighs the same.
        seed: The federation's seed.
        member: The client's id.
        model_id: Public name of the base model; None where none is known.
        origin: The federation, for the adapters' folders; None without one.
        kept_share: The client's share of a mean's weights, where the adapter that it sends stays its own; else None.
        principal_rank: Directions of each weight of the base model that rounds begin from; 0 for none.
        privacy: Sampling, clip and noise of a private round, whose number of steps is the round's; None trains without
            differential privacy of single rows.
        private_descent: ``privacy.descent``, of private rounds.
    """

    model_path: str
    model_digest: bytes
    task: Task
    max_length: int
    lora: LoraTerms
    training: TrainingSection
    personal: PersonalSection
    head: HeadSection
    recipe: Recipe
    payload: PayloadName
    fusion: FusionSection
    rank: int
    update_rank: int
    shared_rank: int
    personal_rank: int
    rounds: int
    samples_cap: int
    seed: int
    member: str
    core_heads: int = 1
    select_by: SelectBy = "values"
    model_id: str | None = None
    origin: OriginRecord | None = None
    shares: SharedFactors = "both"
    kept_share: float | None = None
    principal_rank: int = 0
    privacy: SampledTraining | None = None
    private_descent: PrivateDescent = "sgd"
