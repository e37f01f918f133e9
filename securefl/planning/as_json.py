"""A plan, and what a run measured beside it, as plain JSON values: the keys that programs may rely on.

The rule kept here: nothing is computed here that is not in the objects; bytes are integers, seconds floats.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from securefl.adapters.layer_owners import LayerOwners
from securefl.planning.comparison import Line
from securefl.planning.exactness import Proof
from securefl.planning.forecast import LINKS_MBIT, Forecast, RoundForecast, Traffic
from securefl.planning.losses import Losses, colluders_borne
from securefl.planning.sizes import RoundSizes
from securefl.planning.speed import Rate, Speed
from securefl.protocol.federation import Federation

Json = dict[str, JsonValue]
LISTED_ROUNDS = 100
"""Most rounds whose owners of layers are listed."""


def plan_json(forecast: Forecast) -> Json:
    """The content of ``securefl plan --json``."""
    federation = forecast.federation
    terms, profile = federation.terms, federation.profile
    return {
        "federation": federation.terms.federation.name,
        "clients": {member.id: member.rank for member in federation.roster},
        "rounds": federation.terms.federation.rounds,
        "payload": federation.terms.payload.name,
        "payload_by_ranks": {"name": forecast.by_ranks.payload, "reason": forecast.by_ranks.reason},
        "sums": federation.plan.sums,
        "aggregation": terms.aggregation.model_dump(mode="json"),
        "scheme": terms.encryption.scheme,
        "thresholds": _thresholds(federation),
        "precision_bits": terms.grid.precision_bits,
        "adapter_bound": terms.grid.adapter_bound,
        "head_bound": terms.grid.head_bound,
        "profile": {
            "name": profile.name,
            "poly_modulus_degree": profile.poly_modulus_degree,
            **profile.numbers,
            "lanes": profile.lanes,
            "lane_bits": profile.lane_bits,
            "dropped_bits": profile.dropped_bits,
        },
        "exactness": _exactness(forecast.proof),
        "openings": [_round(expected) for expected in forecast.openings],
        "per_round": [_round(expected) for expected in forecast.rounds],
        "float32": {member: _traffic(traffic) for member, traffic in forecast.float32.items()},
        "upload_by_float32": dict(forecast.upload_ratios),
        "payloads": {
            alternative.payload: [
                {"applies_to": kind.applies_to, **_sizes(kind.sizes)} for kind in alternative.kinds
            ]
            for alternative in forecast.alternatives
        },
        "layers": None if federation.layer_owners is None else _layers(federation.layer_owners, federation),
        "speed": None if forecast.speed is None else _speed(forecast.speed),
    }


def _thresholds(federation: Federation) -> Json:
    constants, losses = federation.constants, Losses.of(federation)
    return {
        "min_clients": constants.min_clients,
        "threshold": losses.threshold,
        "max_colluders": constants.max_colluders,
        "min_honest": constants.min_honest,
        "colluders_borne": colluders_borne(federation),
        "losses_borne": losses.borne,
        "losses_for_good": losses.for_good,
        "by_rank": [
            {
                "first_direction": part.start,
                "directions": part.stop - part.start,
                "owners": part.owners,
                "losses_borne": part.borne,
            }
            for part in losses.by_rank
        ],
    }


def _layers(owners: LayerOwners, federation: Federation) -> Json:
    rounds = min(owners.drawn_rounds(federation.terms.federation.rounds), LISTED_ROUNDS)
    return {
        "allocation": owners.section.allocation,
        "weights": [list(names) for names in owners.layers],
        "quotas": dict(zip(federation.cohort, owners.quotas, strict=True)),
        "least_owners": owners.least,
        "owners_by_round": [list(owners.of_round(number).counts) for number in range(1, rounds + 1)],
    }


def comparison_json(lines: Sequence[Line]) -> list[JsonValue]:
    """Predicted and measured, as it stands in a run's ``result.json``."""
    return [
        {
            "what": line.what,
            "round_number": line.round_number,
            "of": line.of,
            "predicted": line.predicted,
            "measured": line.measured,
            "ratio": line.ratio,
        }
        for line in lines
    ]


def _exactness(proof: Proof) -> Json:
    return {
        "cohort": proof.cohort,
        "conditions": [
            {
                "name": condition.name,
                "formula": condition.formula,
                "left": condition.left,
                "right": condition.right,
                "holds": condition.holds,
                "largest_cohort": condition.largest_cohort,
            }
            for condition in proof.conditions
        ],
        "largest_cohort": proof.largest_cohort,
        "largest_cohort_of_any_profile": proof.largest_cohort_of_any,
        "most_precision_bits": proof.most_bits,
        "most_precision_bits_of_any_profile": proof.most_bits_of_any,
    }


def _round(expected: RoundForecast) -> Json:
    seconds = expected.seconds
    return {
        "applies_to": expected.applies_to,
        **_sizes(expected.sizes),
        "transfer_s": _transfers(expected.traffic),
        "seconds": None
        if seconds is None
        else {
            "encode": seconds.encode,
            "encrypt": seconds.encrypt,
            "server_add_one": seconds.add,
            "aggregate": seconds.aggregate,
            "decrypt": seconds.decrypt,
        },
        "memory_bytes": {
            "client_contribute": expected.memory.contribute,
            "client_read": expected.memory.read,
            "client_apply": expected.memory.apply,
            "client_keep": expected.memory.keep,
            "server": expected.memory.serve,
        },
        "plaintext_same_precision": _traffic(expected.plaintext),
    }


def _sizes(sizes: RoundSizes) -> Json:
    return {
        "values": sizes.values,
        "ciphertexts": sizes.ciphertexts,
        "up_bytes": {**sizes.up},
        "down_bytes": sizes.largest_down,
        "up_bytes_per_value": sizes.largest_up / sizes.values,
        "down_bytes_per_value": sizes.largest_down / sizes.values,
    }


def _traffic(traffic: Traffic) -> Json:
    return {"up_bytes": traffic.up, "down_bytes": traffic.down, "transfer_s": _transfers(traffic)}


def _transfers(traffic: Traffic) -> Json:
    return {f"{mbit}_mbit": traffic.seconds(mbit) for mbit in LINKS_MBIT}


def _speed(speed: Speed) -> Json:
    return {
        "measured": "on this machine, just now, one process",
        "ciphertexts": speed.ciphertexts,
        "took_s": speed.took_s,
        "encode_s_per_value": speed.encode_s,
        "encrypt": _rate(speed.encrypt),
        "server_add_one": _rate(speed.add),
        "server_publish": _rate(speed.publish),
        "expand_one_contributor": _rate(speed.expand),
        "read": _rate(speed.read),
    }


def _rate(rate: Rate) -> Json:
    return {"once_s": rate.once_s, "each_ciphertext_s": rate.each_s}
