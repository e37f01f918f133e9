"""From a ``FED.toml`` to the federation that it describes: what is pinned, apart from what provisioning draws.

The rule kept here: this is the only way from a configuration to a ``Federation``, so what was planned is what is
provisioned; a federation that does not hold together is refused here, before a key is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.config.federation import FederationConfig
from securefl.config.recipes import recipe_of
from securefl.crypto.profiles import profile_for
from securefl.protocol.federation import Federation, Member, terms_of
from securefl.protocol.terms import RecipeTerms
from securefl.provisioning.data_terms import DataSurvey, survey_data
from securefl.provisioning.model_fit import fit_model


@dataclass(frozen=True, slots=True)
class Draft:
    """A federation, and what was seen of its data on the way.

    Attributes:
        federation: Everything that is pinned.
        survey: Labels and rows of the clients whose files lie on this machine.
    """

    federation: Federation
    survey: DataSurvey


def draft_federation(
    config: FederationConfig, *, roster: tuple[Member, ...], federation_id: bytes, model_digest: bytes
) -> Draft:
    """Everything that is pinned; what needs the model's config or the data is read here.

    Args:
        config: A whole file.
        roster: Its members, in order.
        federation_id: 32 random bytes.
        model_digest: Digest of the base model (32 bytes).

    Raises:
        ConfigError: if the configuration does not hold together.
        CapacityError: if no profile adds this cohort's integers exactly.
        ModelError, DataError: if the base model or the data that the configuration names do not fit.
    """
    recipe = recipe_of(config.recipe)
    profile = profile_for(len(config.ranks), config.encryption.precision_bits)
    survey = survey_data(config)
    model = fit_model(config.model, target_modules=config.lora.target_modules, labels=len(survey.labels))
    # The terms name modules, so that "all-linear" means the same ones under every version of a library.
    lora = config.lora.model_copy(update={"target_modules": model.target_modules})
    terms = terms_of(
        config.model_copy(update={"lora": lora}),
        model_digest=model_digest,
        recipe=RecipeTerms(
            name=recipe.name,
            payload=recipe.payload,
            personal=recipe.personal,
            outer_learning_rate=recipe.outer_learning_rate,
            fusion=recipe.fusion,
        ),
        samples_cap=survey.samples_cap,
    )
    federation = Federation(
        federation_id=federation_id,
        terms=terms,
        labels=survey.labels,
        layout=model.layout,
        profile=profile,
        roster=roster,
    )
    # The plan refuses ranks that do not fit the model; better now than at a client.
    federation.ciphertexts(1)
    return Draft(federation, survey)
