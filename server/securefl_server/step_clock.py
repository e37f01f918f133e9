"""Deadlines of the server's steps, and which members count as there.

The rule kept here: time is a value that the caller gives; deadlines start anew with every step and with every start of
the server, and after a start everybody counts as there until it could have come back.
"""

from __future__ import annotations

from collections.abc import Callable

from securefl.protocol.serving.decisions import Circumstances, short_of_members, step_seconds
from securefl.protocol.serving.server_state import ServerRules, ServerState


class StepClock:
    """The clock of one server.

    Args:
        rules: The limits.
        now: Seconds, from any start, that only grow.
        expected: Members that are to be taken for present until they could have come back: after a restart.
    """

    def __init__(self, rules: ServerRules, now: Callable[[], float], *, expected: frozenset[str]) -> None:
        self._rules = rules
        self._now = now
        self._connected: set[str] = set()
        self._expected = set(expected)
        self._expected_until = now() + rules.limits.reconnect_grace_s
        self._step: object = None
        self._since = now()
        self._short_since: float | None = None
        self._awaited: float | None = None

    @property
    def connected(self) -> frozenset[str]:
        """Members that are connected."""
        return frozenset(self._connected)

    @property
    def present(self) -> frozenset[str]:
        """Members that count as there."""
        return frozenset(self._connected | self._expected)

    def arrive(self, member: str) -> None:
        """Note that a member is connected."""
        self._connected.add(member)
        self._expected.discard(member)

    def depart(self, member: str) -> None:
        """Note that a member is out of reach, for longer than it may be."""
        self._connected.discard(member)
        self._expected.discard(member)

    def circumstances(self, state: ServerState) -> Circumstances:
        """Everything that a decision about this state depends on, now."""
        self._observe(state)
        now, overdue_at = self._now(), self._since + step_seconds(state, self._rules)
        return Circumstances(
            present=self.present, overdue=now >= overdue_at, expired=now >= self._expires_at(overdue_at)
        )

    def next_deadline(self, state: ServerState) -> float | None:
        """The time at which something may be due though nobody says anything; None if nothing will be."""
        if state.over:
            return None
        self._observe(state)
        overdue_at = self._since + step_seconds(state, self._rules)
        times = [overdue_at, self._expires_at(overdue_at)]
        if self._expected:
            times.append(self._expected_until)
        # A deadline that has passed and changed nothing is none any more.
        self._awaited = min((time for time in times if time > self._now()), default=None)
        return self._awaited

    def _observe(self, state: ServerState) -> None:
        self._pass_over_sleep()
        if self._now() >= self._expected_until:
            self._expected.clear()
        # A reveal or a farewell gives the others their time again.
        step = (
            *(state.phase, state.round_number, state.number, state.spoiled_asked),
            *(len(state.revealed), len(state.finished)),
        )
        if step != self._step:
            self._step, self._since, self._short_since = step, self._now(), None
        if not short_of_members(state, self.present, self._rules):
            self._short_since = None
        elif self._short_since is None:
            self._short_since = self._now()

    def _pass_over_sleep(self) -> None:
        """Give the step its time anew where this process wakes long behind the time that it asked for.

        A machine that was suspended, or a clock that was set, would else end the step before any member can be heard.
        """
        awaited, self._awaited = self._awaited, None
        now, grace_s = self._now(), self._rules.limits.reconnect_grace_s
        if awaited is not None and now > awaited + grace_s:
            self._since, self._expected_until = now, now + grace_s
            self._short_since = None if self._short_since is None else now

    def _expires_at(self, overdue_at: float) -> float:
        late = overdue_at + self._rules.limits.round_timeout_s
        if self._short_since is None:
            return late
        return min(late, self._short_since + self._rules.limits.join_timeout_s)
