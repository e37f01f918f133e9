"""Packets from the others: fetched, opened and kept, before this member says of any that it opened.

The rule kept here: what is kept only grows within an attempt; a packet that does not open is asked for again where its
sender is among the survivors.
"""

from __future__ import annotations

from collections.abc import Iterable

from securefl.errors import ProtocolError
from securefl.protocol.calls import FetchPackets, Packets
from securefl.protocol.member_records import PacketOpened, PacketsKept
from securefl_client.round_work import Steps
from securefl_client.standing import Standing


def take_packets(own: Standing, senders: Iterable[int]) -> Steps:
    """Fetch the packets of these members, by their index in the cohort, that are not kept yet; open and keep them.

    Raises:
        ProtocolError: if the server answers with those of another attempt.
    """
    # Senders are the server's word, and survivors are checked only after this: some may be of no cohort's place.
    others = set(range(len(own.cohort.members))) - {own.cohort.index(own.member)}
    wanted = others.intersection(senders) - own.opened_packets().keys()
    if own.shares is None or not wanted:
        return
    answer = yield FetchPackets(own.attempt)
    if not isinstance(answer, Packets) or answer.attempt != own.attempt:
        raise ProtocolError("the server answers with packets of another attempt")
    shares, known = own.kept_shares(), own.opened_packets()
    for sender, sealed, body_digest in answer.packets:
        if sender in wanted:
            share = own.shares.opened(sealed, own.cohort, sender=sender, body_digest=body_digest)
            if share is not None:
                shares[sender], known[sender] = share, body_digest
    _keep(own, shares, known)


def _keep(own: Standing, shares: dict[int, bytes], known: dict[int, bytes]) -> None:
    senders, (number, attempt) = sorted(known), own.place
    name = f"round-{number}-{attempt}-{len(senders)}.packets"
    mark = own.journal.keep(name, (shares[sender] for sender in senders))
    own.journal.add(
        PacketsKept(number, attempt, mark, tuple(PacketOpened(each, known[each]) for each in senders))
    )
