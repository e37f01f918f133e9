"""A client's own adapter is trained beside the frozen mean of all others', with a mixer of both (FedALT).

The rule kept here: the own adapter is never overwritten; what a round starts from gives only the mean of the others
(``adapters.rest_of_world``) and the head. The mixer is in no contribution.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from securefl.adapters.frozen import Frozen
from securefl.adapters.rest_of_world import rest_of
from securefl.adapters.update import Adapter, Factors, LoraFactors, Update
from securefl.training.adapter_bank import AdapterBank, Trainable
from securefl.training.mixer import Mixer
from securefl.training.updates.way import BESIDE, GLOBAL, REST, Fit, Learnt, Shared, head_change, unfit

OWN_PART, REST_PART = 0, 1
"""Places of both adapters in a gate."""
MIXED = "fused"
"""The adapter that both are saved as."""


class RestOfWorld:
    """A ``Way`` whose update holds the client's own factors, as they are after the round.

    Args:
        share: The client's share of a mean's weights, which everybody knows.
    """

    used: tuple[Shared, ...] = (REST, BESIDE)

    def __init__(self, share: float) -> None:
        self._share = share
        self._begun = False

    def learn(self, bank: AdapterBank, start: Adapter, frozen: Frozen | None, *, fit: Fit) -> Learnt:
        """Train one round; see ``Way.learn``."""
        if frozen is not None:
            raise unfit()
        mixer, mean = mixer_of(bank), _scaled(bank, start.weights)
        if not self._begun:
            # Nobody has sent anything yet: the public start is everybody's own.
            bank.install(BESIDE, Adapter(mean, start.heads))
            self._begun = True
        own = bank.adapter(BESIDE).weights
        bank.install(REST, Adapter(self._rest(mean, own), start.heads))
        bank.install_head(BESIDE, start)
        loss = fit(lambda: _with_gates(bank.train(BESIDE, None), mixer))
        scaling = bank.scaling(BESIDE)
        weights = {
            name: Factors(left=scaling * pair.B, right=pair.A)
            for name, pair in bank.adapter(BESIDE).weights.items()
        }
        return Learnt(Update(weights=weights, heads=head_change(bank, bank.heads(GLOBAL), BESIDE)), loss)

    def mix(self, bank: AdapterBank) -> None:
        """Leave the own adapter and the mean of the others, each with its share of every token, in ``fused``.

        Args:
            bank: The client's adapters; ``global`` holds the cohort's last mean, with the head.
        """
        mean = bank.adapter(GLOBAL)
        own = bank.adapter(BESIDE).weights
        rest, rank, scaling = (
            self._rest(_scaled(bank, mean.weights), own),
            bank.rank(BESIDE),
            bank.scaling(BESIDE),
        )
        if MIXED not in bank.names:
            bank.add(MIXED, rank=2 * rank, alpha=2 * rank)
            mixer_of(bank).mix(MIXED, (OWN_PART,) * rank + (REST_PART,) * rank)
        both = {
            name: LoraFactors(
                A=np.concatenate([pair.A, rest[name].A]),
                B=scaling * np.concatenate([pair.B, rest[name].B], axis=1),
            )
            for name, pair in own.items()
        }
        bank.install(MIXED, Adapter(both, mean.heads))

    def _rest(
        self, mean: Mapping[str, LoraFactors], own: Mapping[str, LoraFactors]
    ) -> dict[str, LoraFactors]:
        return {name: rest_of(pair, own[name], share=self._share) for name, pair in mean.items()}


def add_mixed(bank: AdapterBank) -> None:
    """Have the own adapter and the rest of the world's, which were added, mixed by new gates."""
    bank.mixer = Mixer(bank.layers)
    for name, part in ((BESIDE, OWN_PART), (REST, REST_PART)):
        bank.mixer.mix(name, (part,) * bank.rank(name))


def mixer_of(bank: AdapterBank) -> Mixer:
    """The gates of a client whose adapters are mixed."""
    assert bank.mixer is not None
    return bank.mixer


def _scaled(bank: AdapterBank, weights: Mapping[str, LoraFactors]) -> dict[str, LoraFactors]:
    """A redistributed mean with the scaling of the adapter that is trained, cut to its rank."""
    rank, kept = bank.rank(BESIDE), bank.scaling(GLOBAL) / bank.scaling(BESIDE)
    return {name: LoraFactors(A=pair.A[:rank], B=kept * pair.B[:, :rank]) for name, pair in weights.items()}


def _with_gates(trainable: Trainable, mixer: Mixer) -> Trainable:
    return Trainable(trainable.factors | mixer.trainable(), trainable.head)
