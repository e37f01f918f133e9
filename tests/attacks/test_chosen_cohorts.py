"""Attack 25: a cohort chosen so that colluders decide it, and survivors with repeats or swapped headers.

The constants of the roster hold for every cohort: c_max colluders of sixteen are too few in each that a member accepts.
The control shows what a cohort of eight, five of them the server's, would give.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from support.agreements import Asked, Members, digest

from securefl.crypto.thresholds import RosterConstants, largest_coalition, threshold
from securefl.errors import AuthenticationError, ConfigError, ProtocolError
from securefl.protocol.agreement.statement import Survivor
from securefl.protocol.agreement.verification import OwnPart, check_survivors, verify_cohort

SIXTEEN = Members(16, 13, packets=False)
COLLUDERS = 5
MANIFEST = SIXTEEN.manifest()


def test_every_cohort_that_a_member_accepts_bears_the_colluders_of_the_roster() -> None:
    constants = SIXTEEN.rules.constants
    for size in range(1, 17):
        try:
            sizes = constants.cohort(size)
        except ProtocolError:
            assert size < 13
            continue
        assert sizes.max_colluders <= largest_coalition(size)
        assert sizes.threshold - sizes.max_colluders >= 2


def test_no_cohort_of_five_colluders_and_too_few_others_is_accepted() -> None:
    refused = 0
    for others in range(3, 8):
        for chosen in list(combinations(SIXTEEN.roster[COLLUDERS:], others))[::17]:
            cohort = SIXTEEN.cohort(MANIFEST, (*SIXTEEN.roster[:COLLUDERS], *chosen))
            with pytest.raises(ProtocolError, match="none of this federation's"):
                verify_cohort(cohort, SIXTEEN.rules)
            refused += 1
    assert refused > 50


def test_five_colluders_are_no_bound_that_this_roster_could_have() -> None:
    with pytest.raises(ConfigError, match="max_colluders = 5"):
        RosterConstants.of(16, min_clients=13, max_colluders=COLLUDERS)


def test_control_in_eight_of_sixteen_five_colluders_and_one_victim_are_a_threshold() -> None:
    assert threshold(8) == COLLUDERS + 1
    loose = Members(16, 8, packets=False)
    cohort = SIXTEEN.cohort(MANIFEST, SIXTEEN.roster[:8])
    loose.keys = SIXTEEN.keys
    assert verify_cohort(cohort, loose.rules).threshold == COLLUDERS + 1


COHORT = SIXTEEN.cohort(MANIFEST)
HEADERS = tuple(SIXTEEN.header(member, COHORT) for member in COHORT.members[:11])
STATEMENT = SIXTEEN.statement(COHORT, HEADERS)
OWN = OwnPart("client-1", HEADERS[0])


def _checked(survivors: tuple[Survivor, ...], headers: tuple) -> None:
    check_survivors(
        replace(STATEMENT, survivors=survivors), headers, COHORT, SIXTEEN.rules, own=OWN, owners=Asked()
    )


def test_repeats_swaps_and_other_members_headers_among_the_survivors_are_refused() -> None:
    listed = STATEMENT.survivors
    _checked(listed, HEADERS)
    for place in range(10):
        repeated = (*listed[: place + 1], listed[place], *listed[place + 2 :])
        with pytest.raises(ProtocolError, match="each once"):
            _checked(repeated, (*HEADERS[: place + 1], HEADERS[place], *HEADERS[place + 2 :]))
        swapped = list(HEADERS)
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        with pytest.raises(AuthenticationError):
            _checked(listed, tuple(swapped))
        borrowed = (
            *listed[:place],
            Survivor(listed[place].index, listed[place + 1].header_digest),
            *listed[place + 1 :],
        )
        with pytest.raises(AuthenticationError):
            _checked(borrowed, (*HEADERS[:place], HEADERS[place + 1], *HEADERS[place + 1 :]))


def test_too_few_survivors_are_refused_whoever_they_are() -> None:
    with pytest.raises(ProtocolError, match="too few"):
        _checked(STATEMENT.survivors[:10], HEADERS[:10])
    with pytest.raises(ProtocolError, match="too few"):
        _checked((), ())


def test_a_digest_of_a_header_that_nobody_signed_is_refused() -> None:
    forged = (*STATEMENT.survivors[:10], Survivor(10, digest("nobody's")))
    with pytest.raises(AuthenticationError, match="not the one that the statement lists"):
        _checked(forged, HEADERS)
