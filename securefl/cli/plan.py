"""``securefl plan``: what a federation will cost and why its sums will be exact, before anything runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from securefl.cli.mean_choices import mean_choices, weight_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from securefl.config import FederationConfig
    from securefl.crypto.schemes import Scheme
    from securefl.planning.forecast import Forecast, RoundForecast, Traffic
    from securefl.planning.noise_forecast import NoiseForecast
    from securefl.protocol.federation import Federation
    from securefl.provisioning.data_overview import DataOverview
    from securefl_client.data_budget import Spending

MB = 1e6
MIB = 2**20
FLOAT32_BYTES = 4


def plan(
    federation: Annotated[
        Path,
        typer.Argument(
            metavar="FED.toml", help="What the federation is; or a provisioned one's federation.json."
        ),
    ],
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Also write the plan as JSON here; - is stdout."),
    ] = None,
) -> None:
    """Show what a federation will cost, and prove that its sums will be exact, before anything runs.

    Bytes are exact. Seconds are measured: a few ciphertexts are encrypted, added and decrypted on this machine.
    The data files that lie here are read, and the rows and labels of every client are shown.

    **Example:** securefl plan examples/banking77.toml
    """
    from securefl.cli.data_overview import show_data
    from securefl.cli.events import extra_installed
    from securefl.cli.output import check_json_path, progress_console, result_console, write_json
    from securefl.cli.privacy_table import privacy_json, show_privacy

    check_json_path(json_path)
    with extra_installed("client"):
        from securefl.planning.as_json import plan_json
        from securefl.planning.forecast import forecast
        from securefl.planning.head_cases import head_advice
        from securefl.planning.noise_forecast import forecast_noise
        from securefl.planning.speed_process import measure_speed_in_process
        from securefl.results.formats import stamped

        planned, data, config = _federation(federation)
        rows = {} if data is None else data.trained
        noise, advice = forecast_noise(planned, rows=rows), head_advice(planned, rows)
        earlier = _earlier_charges(config, planned, noise, clients=rows)
        progress_console().print("Measuring this machine with a few ciphertexts.")
        found = forecast(planned, speed=measure_speed_in_process(planned))
    console = result_console(json_path)
    show(found, console=console)
    show_privacy(planned, noise, earlier=earlier, advice=advice, console=console)
    if data is not None:
        show_data(data, console=console)
        _warn(data)
    values = {
        **plan_json(found),
        "privacy": privacy_json(noise, earlier=earlier),
        "adapter_or_head": None if advice is None else advice.values,
    }
    write_json(stamped({**values, "data": None if data is None else data.values}), json_path)
    if noise is not None:
        noise.require_useful()


def _earlier_charges(
    config: FederationConfig | None,
    planned: Federation,
    noise: NoiseForecast | None,
    *,
    clients: Iterable[str],
) -> dict[str, Spending]:
    """State of the budgets of clients whose data was read."""
    from securefl_client.earlier_charges import earlier_charges

    if config is None or noise is None:
        return {}
    return earlier_charges(config, planned, {member: noise.plan_of(member) for member in clients})


def _federation(path: Path) -> tuple[Federation, DataOverview | None, FederationConfig | None]:
    """A provisioned federation from its file, or a preview of the one that a TOML file describes, with its data."""
    from securefl.protocol.federation import Federation

    if path.suffix == ".json":
        return Federation.from_json_text(_text(path), where=str(path)), None, None
    from securefl.config import load_federation
    from securefl.provisioning.data_overview import DataRules, overview_of
    from securefl.provisioning.preview import preview_draft

    config = load_federation(path)
    draft = preview_draft(config)
    return draft.federation, overview_of(draft.facts, DataRules.of(draft.federation)), config


def _warn(data: DataOverview) -> None:
    from rich.text import Text

    from securefl.cli.output import progress_console

    for warning in data.warnings:
        progress_console().print(Text(f"warning: {warning}"))


def _text(path: Path) -> str:
    from securefl.errors import ConfigError, plain_reason

    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", hint="give a federation's file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read", hint=plain_reason(error)) from None


def show(forecast: Forecast, *, console: Console) -> None:
    """Prints a plan, in tables of at most 80 columns: what goes to a pipe must not be cut."""
    from rich.text import Text

    from securefl.cli.layer_table import show_layers
    from securefl.cli.tables import print_table

    for line in (*_heading(forecast), *threshold_lines(forecast.federation), *_profile(forecast)):
        console.print(Text(line), soft_wrap=True)
    console.print()
    print_table(console, "why the sum is exact", *_proof(forecast))
    console.print(Text(_margin(forecast)))
    console.print()
    print_table(console, "a client and round, in MB, beside plaintext", *_traffic(forecast))
    if forecast.openings:
        print_table(console, "before round 1, once, a client, in MB", *_openings(forecast))
    console.print(Text(_upload_ratios(forecast)))
    console.print()
    print_table(console, "seconds to transfer both", *_transfers(forecast))
    if forecast.speed is not None:
        print_table(console, "seconds of a round, each step on an idle core", *_seconds(forecast))
    print_table(console, "memory of the sum and of its state, in MiB", *_memory(forecast))
    print_table(console, "what other payloads would send, a client and round", *_payloads(forecast))
    show_layers(forecast.federation, console=console)
    for line in _notes(forecast):
        console.print(Text(line))


def _heading(forecast: Forecast) -> Iterator[str]:
    terms = forecast.federation.terms
    counts = Counter(member.rank for member in forecast.federation.roster)
    ranks = ", ".join(
        f"{rank} ({count} times)" if count > 1 else str(rank) for rank, count in sorted(counts.items())
    )
    yield (
        f"{terms.federation.name}: {len(forecast.federation.roster)} clients of ranks {ranks}; "
        f"{terms.federation.rounds} rounds; payload {terms.payload.name}"
    )
    chosen = forecast.by_ranks
    if chosen.payload == terms.payload.name:
        yield f"  {chosen.payload} is the default here: {chosen.reason}"
    else:
        yield f"  chosen by recipe or file; the default here would be {chosen.payload}: {chosen.reason}"
    yield from mean_choices(forecast.federation)


def threshold_lines(federation: Federation) -> Iterator[str]:
    """Constants of the roster, and which losses a round bears."""
    from securefl.planning.losses import Losses, colluders_borne

    constants, losses, borne = federation.constants, Losses.of(federation), colluders_borne(federation)
    yield (
        f"thresholds: rounds take {constants.min_clients} to {losses.members} clients; of {losses.members}, t = "
        f"{losses.threshold} sign and open a sum; c_max = {constants.max_colluders}, m = {constants.min_clients}, "
        f"h = {constants.min_honest}"
    )
    scheme = federation.terms.encryption.scheme
    if borne is None:
        yield '  scheme "none": no number of clients in league with the server is borne, it reads every update alone'
    elif borne == 0:
        yield f'  scheme "{scheme}": the server with one client reads every update, so that c_max is 0 in effect'
    else:
        clients = "1 client" if borne == 1 else f"{borne} clients"
        yield f"  the server with {clients} learns sums over at least {constants.min_honest} of the others only"
    yield (
        f"  a round bears the loss of {losses.borne} of {losses.members} clients, the run that of {losses.for_good} "
        "for good; a round that loses more has no sum, and is tried again with those that are left"
    )
    for part in losses.by_rank:
        yield (
            f"  directions {part.start + 1} to {part.stop}: of the {part.owners} clients of rank {part.stop} or more a "
            f"round bears the loss of {part.borne}; tried again with fewer than {constants.least_owners} of them, it "
            "leaves these directions as they are"
        )


def _profile(forecast: Forecast) -> Iterator[str]:
    profile, encryption = forecast.federation.profile, forecast.federation.terms.encryption
    if encryption.scheme == "none":
        yield 'scheme "none": the integers of the profile below without a cipher; the server reads every update'
    yield f"profile {profile.name}: {profile.title}"
    lanes = "lane" if profile.lanes == 1 else "lanes"
    yield (
        f"  {profile.lanes} {lanes} of {profile.lane_bits} bits a slot; {profile.dropped_bits} low bits of a residue "
        "are not sent"
    )
    grid = forecast.federation.terms.grid
    limit = (1 << (grid.precision_bits - 1)) - 1
    yield (
        f"  {grid.precision_bits}-bit values: adapters within {grid.adapter_bound:g} in steps of "
        f"{grid.adapter_bound / limit:.2g}, heads within {grid.head_bound:g} in steps of "
        f"{grid.head_bound / limit:.2g}"
    )


def _proof(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    proof = forecast.proof
    columns = ("", "", f"for n = {proof.cohort}", "at most", "up to n")
    rows = [
        [
            condition.name,
            condition.formula,
            f"{condition.left}",
            f"{condition.right}",
            f"{condition.largest_cohort:,}",
        ]
        for condition in proof.conditions
    ]
    return columns, rows


def _margin(forecast: Forecast) -> str:
    from securefl.crypto.bfv_profiles import MAX_ERROR

    proof, bits = forecast.proof, forecast.proof.precision_bits
    return (
        f"n clients, M = 2^{bits - 1} - 1 the largest integer of a value, L bits a lane, b dropped bits, "
        f"E = {MAX_ERROR} the largest error of an encryption. At {bits} bits this profile adds up to "
        f"{proof.largest_cohort} clients, the widest one {proof.largest_cohort_of_any}. For {proof.cohort} clients "
        f"this profile has room for {proof.most_bits} bits, the widest one for {proof.most_bits_of_any}."
    )


def _traffic(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    columns = ("", "values", "ciphertexts", "up", "down", "B/value", "down")
    ciphertexts = {
        f"securefl{name}": expected.sizes.ciphertexts for name, expected in _named_rounds(forecast)
    }
    rows = [
        [
            name,
            f"{values:,}",
            f"{ciphertexts[name]:,}" if name in ciphertexts else "",
            _figure(traffic.up / MB),
            _figure(traffic.down / MB),
            f"{traffic.up / values:.2f}",
            f"{traffic.down / values:.2f}",
        ]
        for name, values, traffic in _ways(forecast)
    ]
    return columns, rows


def _openings(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    """Sums before training, which are no part of a round."""
    columns = ("", "values", "ciphertexts", "up", "down")
    moved = [(expected.applies_to, expected.sizes) for expected in forecast.openings]
    rows = [
        [
            what,
            f"{sizes.values:,}",
            f"{sizes.ciphertexts:,}",
            _figure(sizes.largest_up / MB),
            _figure(sizes.largest_down / MB),
        ]
        for what, sizes in moved
    ]
    return columns, rows


def _upload_ratios(forecast: Forecast) -> str:
    # One figure a rank, since that alone decides, but for the length of a client's name.
    by_rank = {member.rank: forecast.upload_ratios[member.id] for member in forecast.federation.roster}
    ratios = ", ".join(f"{ratio:.2f} (r = {rank})" for rank, ratio in sorted(by_rank.items()))
    return f"A round's largest upload by a client's own float32 factors and head: {ratios}."


def _transfers(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    from securefl.planning.forecast import LINKS_MBIT

    columns = ("", *(f"{mbit} Mbit/s" for mbit in LINKS_MBIT))
    return columns, [
        [name, *(_figure(traffic.seconds(mbit)) for mbit in LINKS_MBIT)]
        for name, _, traffic in _ways(forecast)
    ]


def _ways(forecast: Forecast) -> Iterator[tuple[str, int, Traffic]]:
    """Ours, and both plaintexts: a name, how many values, and what a client moves."""
    for name, expected in _named_rounds(forecast):
        yield f"securefl{name}", expected.sizes.values, expected.traffic
        yield f"  {forecast.proof.precision_bits} bits, plain", expected.sizes.values, expected.plaintext
    # One row a rank, since that alone decides.
    by_rank = {member.rank: forecast.float32[member.id] for member in forecast.federation.roster}
    for rank in sorted(by_rank):
        yield f"float32, r = {rank}", by_rank[rank].up // FLOAT32_BYTES, by_rank[rank]


def _seconds(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    columns = ("", "client encode", "encrypt", "server one", "all", "client decrypt")
    rows = []
    for name, expected in _named_rounds(forecast):
        seconds = expected.seconds
        if seconds is not None:
            figures = (seconds.encode, seconds.encrypt, seconds.add, seconds.aggregate, seconds.decrypt)
            rows.append([f"securefl{name}", *(_figure(figure) for figure in figures)])
    return columns, rows


def _memory(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    columns = ("", "client contribute", "read", "apply", "keep", "server")
    rows = []
    for name, expected in _named_rounds(forecast):
        memory = expected.memory
        figures = (memory.contribute, memory.read, memory.apply, memory.keep, memory.serve)
        rows.append([f"securefl{name}", *(f"{figure / MIB:.1f}" for figure in figures)])
    return columns, rows


def _payloads(forecast: Forecast) -> tuple[Sequence[str], list[list[str]]]:
    from securefl.adapters.payloads.facts import FACTS

    columns = ("payload", "", "values", "MB up", "MB down")
    rows = []
    for alternative in forecast.alternatives:
        chosen = "*" if alternative.payload == forecast.federation.terms.payload.name else " "
        for kind in alternative.kinds:
            exact_for = FACTS[alternative.payload].exact_for
            what = exact_for if len(alternative.kinds) == 1 else kind.applies_to
            sizes = kind.sizes
            moved = [_figure(sizes.largest_up / MB), _figure(sizes.largest_down / MB)]
            rows.append([f"{chosen} {alternative.payload}", what, f"{sizes.values:,}", *moved])
    return columns, rows


_WHO_READS: Final[dict[Scheme, str]] = {
    "kahe": "every contribution has a key of its own, and its members reveal the sum of keys alone",
    "bfv": "together with one client it learns every update: all clients hold one key",
    "none": "this scheme is for comparison only",
}


def _reading_note(scheme: Scheme, plain: int) -> str:
    """Who can read an update, in one sentence."""
    if scheme == "none":
        return f"The server sees every update: {_WHO_READS[scheme]}."
    if plain == 0:
        return f"The server alone learns no update and no sum; {_WHO_READS[scheme]}."
    return (
        f"The server reads {plain:,} values of every client's update in a round from round 2 on, as "
        f"encryption.select and allow_plaintext say; of the others it alone learns nothing; {_WHO_READS[scheme]}."
    )


def _notes(forecast: Forecast) -> Iterator[str]:
    yield _reading_note(forecast.federation.terms.encryption.scheme, forecast.federation.kind_of(2).plain)
    if forecast.speed is not None:
        yield (
            f"Seconds were measured on this machine just now ({forecast.speed.ciphertexts} ciphertexts, "
            f"{forecast.speed.took_s:.1f} s) and grow with the ciphertexts; training, waiting and transfer are not "
            "in them."
        )
    yield weight_note(forecast.federation)
    if forecast.openings:
        least = forecast.federation.plan.ranks.least_owners
        yield (
            f"The head's row of a label that fewer than {least} clients train on stays at home: those clients train "
            "it, and it is in no sum."
        )
    yield (
        "Bytes are exact, inside TLS. Memory comes on top of the model and its training; what a client keeps between "
        "rounds is that of the last one, and comes on top of each of its moments."
    )


def _named_rounds(forecast: Forecast) -> Iterator[tuple[str, RoundForecast]]:
    """Every kind of round, with what tells it from the others."""
    for expected in forecast.rounds:
        kind = expected.applies_to.removesuffix(" rounds").removeprefix("the ").removesuffix(" round")
        yield ("" if len(forecast.rounds) == 1 else f", {kind}"), expected


def _figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
