"""Requests of members, checked: the event that each of them is, or nothing where it was said before.

The rule kept here: an object is looked at only after its signature holds, its signer is the member that sent it, and it
is of this federation and key epoch. Saying the same again changes nothing; saying another thing in the same step is
refused. What comes for an earlier attempt is late, not wrong, and changes nothing either.

Guarantee: an event that comes out was signed by the member that it names, for the open attempt; EUF-CMA of Ed25519
(``agreement.signed``).
"""

from __future__ import annotations

from typing import assert_never

from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import NONCE_BYTES
from securefl.protocol.agreement.commitment import SALT_BYTES, ContributionHeader
from securefl.protocol.agreement.signed import DIGEST_BYTES, Attempt, Body, Signed
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote, VoidVote
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    CastVote,
    Confirm,
    SendAdvert,
    SendReveal,
    SitOut,
)
from securefl.protocol.serving.round_events import (
    Abstained,
    Acknowledged,
    Adverted,
    Confirmed,
    Revealed,
    RoundEvent,
    SatOut,
    Voted,
)
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules, ServerState

AnyVote = Signed[SurvivorsVote] | Signed[VoidVote] | Signed[SpoiledVote]
Checked = SendAdvert | SitOut | Acknowledge | CastVote | SendReveal | Confirm
"""Requests that become events by themselves; the others read, or bring a body."""


def admitted(state: ServerState, member: str, request: Checked, *, rules: ServerRules) -> RoundEvent | None:
    """The event that a request is; None where it changes nothing.

    Raises:
        AuthenticationError: if it is not signed by this member, or not for this federation.
        ProtocolError: if it does not fit the open attempt, or differs from what the member said before.
    """
    match request:
        case SendAdvert(advert):
            return _advert(state, member, advert_event=Adverted(advert), rules=rules)
        case SitOut(attempt):
            return _sitting_out(state, member, attempt, rules=rules)
        case Acknowledge():
            return _acknowledgement(state, member, request, rules=rules)
        case CastVote(vote):
            if isinstance(vote, Abstention):
                return _abstention(state, member, vote, rules=rules)
            return _vote(state, member, Voted(vote), rules=rules)
        case SendReveal(reveal):
            return _reveal(state, member, Revealed(reveal), rules=rules)
        case Confirm(round_number, last):
            return _confirmation(state, member, Confirmed(member, round_number, last), rules=rules)
        case _:
            assert_never(request)


def is_open(state: ServerState, attempt: Attempt, *, rules: ServerRules) -> bool:
    """Tell if an attempt is the open one; False if it is over.

    Raises:
        AuthenticationError: if it is of another federation or key epoch.
        ProtocolError: if it is yet to come.
    """
    mine = state.attempt(rules)
    if (attempt.federation_digest, attempt.key_epoch) != (mine.federation_digest, mine.key_epoch):
        raise AuthenticationError(
            "a message is of another federation or other keys",
            hint="check that every member and the server hold the folders of one 'securefl init'",
        )
    if (attempt.round_number, attempt.number) > (mine.round_number, mine.number):
        raise ProtocolError(
            f"attempt {attempt.number} of round {attempt.round_number} is not open yet",
            hint="the server may have been restored from an old copy of its folder",
        )
    return attempt == mine


def check_author(signed: Signed[Body], member: str, *, rules: ServerRules) -> None:
    """Refuses what this member did not sign.

    Raises:
        AuthenticationError: if the signer is another one, or the signature does not hold.
    """
    if signed.body.signer != member:
        raise AuthenticationError(f"{member} sent something in another member's name")
    signed.verify(rules.signing_key(member))


def check_in_cohort(state: ServerState, member: str) -> int:
    """Place of a member in the closed cohort.

    Raises:
        ProtocolError: if it is not in it, or the cohort is not closed.
    """
    members = state.members
    if member not in members:
        raise ProtocolError(
            f"{member} is not in the cohort of attempt {state.number} of round {state.round_number}",
            hint="it takes part in the next round, and fetches the sums until then",
        )
    return members.index(member)


def _advert(
    state: ServerState, member: str, *, advert_event: Adverted, rules: ServerRules
) -> RoundEvent | None:
    advert = advert_event.advert
    check_author(advert, member, rules=rules)
    if not is_open(state, advert.body.attempt, rules=rules) or advert in state.adverts:
        return None
    if any(each.body.signer == member for each in state.adverts):
        raise ProtocolError(f"{member} sent two different adverts for one attempt")
    if state.phase is not ServerPhase.ADVERT:
        # It is late, and is told so by what is announced; its advert is of no use any more.
        return None
    body = advert.body
    if body.manifest_digest != state.manifest(rules).digest:
        raise ProtocolError(f"{member}'s advert is for another manifest")
    if len(body.nonce) != NONCE_BYTES or len(body.state) != DIGEST_BYTES:
        raise ProtocolError(f"{member}'s advert has a field of the wrong length")
    return advert_event


def _sitting_out(
    state: ServerState, member: str, attempt: Attempt, *, rules: ServerRules
) -> RoundEvent | None:
    if not is_open(state, attempt, rules=rules) or member in state.sitting_out:
        return None
    # Later nobody waits for its contribution any more.
    waited_for = state.phase in (ServerPhase.ADVERT, ServerPhase.STAGE) and state.staging(member) is None
    return SatOut(member) if waited_for else None


def _acknowledgement(
    state: ServerState, member: str, request: Acknowledge, *, rules: ServerRules
) -> RoundEvent | None:
    header = request.header
    if header is not None:
        check_author(header, member, rules=rules)
        if header.body.attempt != request.attempt:
            raise ProtocolError(f"{member}'s header is for another attempt than its acknowledgement")
    if not is_open(state, request.attempt, rules=rules):
        return None
    check_in_cohort(state, member)
    said = Acknowledged(member, _bitmap(state, member, request.opened), header)
    before = state.acknowledgement(member)
    if before is not None and before != said:
        raise ProtocolError(f"{member} acknowledged other packets, or committed to something else, before")
    if before is not None or _later_than(state, ServerPhase.COMMIT):
        return None
    if state.phase is not ServerPhase.COMMIT:
        raise ProtocolError(f"{member} was not asked to commit yet")
    _check_header(state, member, header)
    return said


def _bitmap(state: ServerState, member: str, opened: tuple[int, ...]) -> int:
    place = state.places
    staged = {place[each.member] for each in state.staged}
    if list(opened) != sorted(set(opened)) or not set(opened) <= staged:
        raise ProtocolError(f"{member} acknowledged packets that nobody sent")
    return sum(1 << index for index in opened)


def _check_header(state: ServerState, member: str, header: Signed[ContributionHeader] | None) -> None:
    staging = state.staging(member)
    if header is None:
        if staging is not None:
            raise ProtocolError(f"{member} has staged a contribution and does not commit to it")
        return
    if staging is None:
        raise ProtocolError(f"{member} commits to a contribution that the server does not hold")
    body = header.body
    if body.cohort_digest != state.cohort_digest:
        raise ProtocolError(f"{member}'s header is for another cohort")
    if len(body.salt) != SALT_BYTES:
        raise ProtocolError(f"{member}'s header has a field of the wrong length")
    promised = (body.body_digest, body.seeds_digest, body.packets_digest)
    if promised != (staging.body_digest, staging.seeds_digest, staging.packets_digest):
        raise AuthenticationError(f"{member}'s header is not for the contribution that it staged")


def _vote(state: ServerState, member: str, event: Voted, *, rules: ServerRules) -> RoundEvent | None:
    vote = event.vote
    _check_vote(vote, member, rules=rules)
    if not is_open(state, vote.body.attempt, rules=rules):
        return None
    check_in_cohort(state, member)
    if vote in state.votes or vote in state.void_votes or vote in state.spoiled_votes:
        return None
    match vote.body:
        case SurvivorsVote():
            return _survivors_vote(state, member, event, vote.body.statement_digest)
        case VoidVote():
            return _void_vote(state, member, event, vote.body.cohort_digest)
        case SpoiledVote():
            return _spoiled_vote(state, member, event, vote.body.statement_digest)
        case _:
            assert_never(vote.body)


def _check_vote(vote: AnyVote, member: str, *, rules: ServerRules) -> None:
    # Each kind by itself: the three share no type under ``Signed``.
    match vote.body:
        case SurvivorsVote() as survivors_vote:
            check_author(Signed(survivors_vote, vote.signature), member, rules=rules)
        case VoidVote() as void_vote:
            check_author(Signed(void_vote, vote.signature), member, rules=rules)
        case SpoiledVote() as spoiled_vote:
            check_author(Signed(spoiled_vote, vote.signature), member, rules=rules)


def _survivors_vote(state: ServerState, member: str, event: Voted, statement_digest: bytes) -> Voted | None:
    if state.statement is None or state.statement.digest != statement_digest:
        raise ProtocolError(f"{member} votes for a statement that was not proposed")
    _check_first_vote(state, member)
    if member in state.abstained:
        raise ProtocolError(f"{member} abstained and votes all the same")
    return None if _later_than(state, ServerPhase.VOID) else event


def _void_vote(state: ServerState, member: str, event: Voted, cohort_digest: bytes) -> Voted | None:
    if cohort_digest != state.cohort_digest:
        raise ProtocolError(f"{member} votes VOID on another cohort")
    _check_first_vote(state, member)
    if not state.void_reason:
        raise ProtocolError(f"{member} votes VOID and was not asked to")
    return None if _later_than(state, ServerPhase.VOID) else event


def _spoiled_vote(state: ServerState, member: str, event: Voted, statement_digest: bytes) -> Voted:
    if state.statement is None or state.statement.digest != statement_digest:
        raise ProtocolError(f"{member} votes SPOILED on a sum that is not this round's")
    if any(each.body.signer == member for each in state.spoiled_votes):
        raise ProtocolError(f"{member} sent two different votes")
    if not (state.phase is ServerPhase.AGGREGATE and state.spoiled_asked):
        raise ProtocolError(f"{member} votes SPOILED and was not asked to")
    return event


def _check_first_vote(state: ServerState, member: str) -> None:
    if member in state.voters:
        raise ProtocolError(
            f"{member} voted twice in one attempt", hint="was its folder restored from a copy?"
        )


def _abstention(
    state: ServerState, member: str, abstention: Abstention, *, rules: ServerRules
) -> RoundEvent | None:
    if not is_open(state, abstention.attempt, rules=rules):
        return None
    check_in_cohort(state, member)
    if state.statement is None:
        raise ProtocolError(f"{member} abstains from a vote that nobody asked for")
    if member in state.voters or member in state.abstained or _later_than(state, ServerPhase.VOID):
        return None
    return Abstained(member, abstention.sealed_reason)


def _reveal(state: ServerState, member: str, event: Revealed, *, rules: ServerRules) -> RoundEvent | None:
    reveal = event.reveal
    check_author(reveal, member, rules=rules)
    if not is_open(state, reveal.body.attempt, rules=rules):
        return None
    check_in_cohort(state, member)
    if state.standing not in (ServerPhase.REVEAL, ServerPhase.AGGREGATE) or not rules.shares:
        if _later_than(state, ServerPhase.AGGREGATE) and rules.shares:
            return None
        raise ProtocolError(f"{member} reveals, and no sum is certified")
    if state.statement is None or reveal.body.statement_digest != state.statement.digest:
        raise ProtocolError(f"{member} reveals for a statement that is not certified")
    if member in state.revealed:
        return None
    if len(reveal.body.sealed) != state.sizes(rules).sealed_bytes:
        raise ProtocolError(f"{member}'s reveal has the wrong length")
    return event


def _confirmation(
    state: ServerState, member: str, event: Confirmed, *, rules: ServerRules
) -> RoundEvent | None:
    newest = state.confirmed[rules.roster.index(member)] if member in rules.roster else 0
    rules.signing_key(member)
    if event.round_number <= newest:
        return None
    if event.round_number > state.newest_sum:
        raise ProtocolError(f"{member} confirms round {event.round_number}, whose sum is not there")
    return event


def _later_than(state: ServerState, phase: ServerPhase) -> bool:
    order = list(ServerPhase)
    return order.index(state.standing) > order.index(phase)
