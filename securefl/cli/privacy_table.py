"""Privacy of a plan, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from securefl.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from securefl.planning.head_cases import HeadAdvice
    from securefl.planning.noise_forecast import NoiseForecast
    from securefl.privacy.plan import PrivacyPlan
    from securefl.protocol.federation import Federation
    from securefl_client.data_budget import Spending

SHOWN_CLIENTS = 32
CLIENT_COLUMNS = ("", "z", "a round", "all rounds", "target", "rounds", "values", "cosine")
EXAMPLE_COLUMNS = ("", "z", "sampled", "steps", "a round", "all rounds", "target", "rounds")


def show_privacy(
    federation: Federation,
    noise: NoiseForecast | None,
    *,
    earlier: Mapping[str, Spending] | None = None,
    advice: HeadAdvice | None = None,
    console: Console,
) -> None:
    """Print noise and epsilon, and what noise leaves of the signal; nothing without differential privacy.

    Args:
        federation: The planned one.
        noise: Its noise.
        earlier: By member, what earlier federations have charged on its data.
        advice: Measured cases of adapter against head, where there is one to name.
        console: Where to.
    """
    from rich.text import Text

    if noise is None:
        return
    unit = federation.terms.privacy.unit
    columns = CLIENT_COLUMNS if unit == "client" else EXAMPLE_COLUMNS
    if noise.plans:
        rows = (_row(member, plan, noise.contributors) for member, plan in _shown(noise))
        print_table(console, f'privacy of unit "{unit}": epsilon', columns, rows)
    scheme = federation.terms.encryption.scheme
    advised = () if advice is None else advice.lines
    for line in (*_notes(noise, unit, scheme), *advised, *_budgets(noise, earlier or {})):
        console.print(Text(line))
    console.print()


def _shown(noise: NoiseForecast) -> Iterator[tuple[str, PrivacyPlan]]:
    yield from list(noise.plans.items())[:SHOWN_CLIENTS]


def _row(member: str, plan: PrivacyPlan, contributors: int) -> tuple[str, ...]:
    from securefl.privacy.sampled_training import SampledTraining

    epsilons = (f"{plan.epsilon_of_a_round:.3g}", f"{plan.epsilon:.3g}", f"{plan.target_epsilon:g}")
    rounds = f"{plan.affordable_rounds}"
    if isinstance(plan.release, SampledTraining):
        return (
            member,
            f"{plan.noise_multiplier:.3g}",
            f"{plan.release.sampling_probability:.3g}",
            f"{plan.release.steps}",
            *epsilons,
            rounds,
        )
    cosine = plan.cosine(contributors)
    assert cosine is not None
    return (
        "every client",
        f"{plan.noise_multiplier:.3g}",
        *epsilons,
        rounds,
        f"{plan.release.dimension:,}",
        f"{cosine:.2f}",
    )


def _notes(noise: NoiseForecast, unit: str, scheme: str) -> Iterator[str]:
    from securefl.privacy.mechanism import ClientMechanism

    if not noise.plans:
        yield (
            'The noise of unit "example" follows from the rows of each client, and no data was read here: each makes '
            "its plan when it starts."
        )
        return
    plan = next(iter(noise.plans.values()))
    yield (
        f"Epsilon at delta {plan.delta:g}, computed by {plan.accountant.upper()}; rounds: as many as the target "
        "allows with this noise."
    )
    release = plan.release
    if isinstance(release, ClientMechanism):
        yield (
            f"{release.noise} noise, h = {release.honest}, shares of variance {float(release.share_variance):g} on a "
            f"grid of {release.clip_steps} steps within the clip of {release.clip:g}; the cosine is an upper bound for "
            f"{noise.contributors} clients whose updates are aligned."
        )
        if scheme != "kahe":
            reader = "the server" if scheme == "none" else "the server with one client"
            yield (
                f'Under scheme "{scheme}" {reader} reads single contributions, so each carries all of the noise, '
                'h = 1; scheme "kahe" needs less of it.'
            )
    else:
        yield (
            f"z is the noise by the clip of {release.clip:g}, and sampled the chance of a row to be in a step; each "
            "client's rows are drawn independently and in secret."
        )
        if release.group_size > 1:
            yield f"Persons are protected, with up to {release.group_size} rows each."


def _budgets(noise: NoiseForecast, earlier: Mapping[str, Spending]) -> Iterator[str]:
    """A line for each client that was charged before, on its data or, under unit ``client``, on any data."""
    for member, spending in earlier.items():
        if spending.spent > 0:
            plan = noise.plan_of(member)
            what = "on this data" if plan.unit == "example" else "on this client, whatever its rows"
            yield (
                f"{member}: earlier federations have spent epsilon {spending.spent:.3g} {what}. A budget of "
                f"{plan.target_epsilon:g} allows {spending.affordable} of the {plan.rounds} rounds; a larger one is "
                "[privacy] budget_epsilon in client.toml."
            )


def privacy_json(
    noise: NoiseForecast | None, *, earlier: Mapping[str, Spending] | None = None
) -> dict[str, object] | None:
    """The same figures for programs; None without differential privacy.

    Where all clients have one plan, ``all``, it names those that were charged before.
    """
    if noise is None:
        return None
    before = earlier or {}
    return {
        (member or "all"): {
            "unit": plan.unit,
            "release": plan.event.text,
            "noise_multiplier": plan.noise_multiplier,
            "accountant": plan.accountant,
            "delta": plan.delta,
            "target_epsilon": plan.target_epsilon,
            "epsilon_of_a_round": plan.epsilon_of_a_round,
            "epsilon": plan.epsilon,
            "rounds": plan.rounds,
            "affordable_rounds": plan.affordable_rounds,
            "predicted_cosine": plan.cosine(noise.contributors),
            "spent_before": before[member].spent if member in before else None,
            "affordable_now": before[member].affordable if member in before else None,
            "charged_before": {}
            if member
            else {
                client: {"spent": spending.spent, "affordable": spending.affordable}
                for client, spending in before.items()
            },
        }
        for member, plan in noise.plans.items()
    }
