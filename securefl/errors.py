"""The error tree: every error says what is wrong, where, and what to do about it.

    SecureFLError
    ├── UsageError               exit code 2: something the person who started the command can mend
    │   ├── ConfigError          a TOML file, one of its keys, an option
    │   ├── DataError            a data file, a column, a label
    │   ├── ModelError           a model folder, a target module
    │   ├── IdentityError        a key, a certificate, a member's folder
    │   └── CapacityError        numbers that would not fit, so that a sum would not be exact
    └── RunError                 exit code 1: a run that cannot go on
        ├── WireError            bytes of a peer that are not what the layout says
        ├── ProtocolError        a peer or this program broke the round's order
        ├── AuthenticationError  a signature, a digest or an identity does not hold
        │   └── ForgeryError     an aggregate is not the sum it claims to be
        ├── TransportError       a peer cannot be reached (a retry can help)
        ├── TrainingError        training went wrong: not finite, nothing trained
        ├── StateError           a ledger or file of a run that does not hold together
        ├── BudgetError          a round would spend more privacy than is left
        ├── DiskError            a disk is full, read-only, or closed to this user
        └── MemberLost           a member ended, and the federation with it

Messages never carry a peer's bytes, plaintext values or keys.
"""

from __future__ import annotations

from typing import ClassVar


class SecureFLError(Exception):
    """The base of all errors of this project.

    Args:
        what: What is wrong, with its name: the start of a sentence, without a full stop.
        where: File, key or member it was found at; empty where ``what`` says it already.
        hint: What to do about it: a clause, without a full stop.

    Attributes:
        code: A stable name for programs to compare.
        exit_code: What a command ends with when this error reaches its edge.
        retryable: Whether the same call may succeed later without anybody mending anything.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f": {self.hint}" if self.hint else ""
        return f"{self.what}{place}{advice}."


class UsageError(SecureFLError):
    """Something the person who started the command can mend."""

    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A TOML file, one of its keys, or a command's option is wrong."""

    code = "config"


class DataError(UsageError):
    """A data file is missing, unreadable, or holds a row that does not fit."""

    code = "data"


class ModelError(UsageError):
    """A base model cannot be loaded or has no such module."""

    code = "model"


class IdentityError(UsageError):
    """A key, a certificate or a member's folder is missing, foreign or expired."""

    code = "identity"


class CapacityError(UsageError):
    """The numbers asked for would not fit the encryption's profile, so that sums would not be exact."""

    code = "capacity"


class RunError(SecureFLError):
    """A run that cannot go on."""

    code = "run"


class WireError(RunError):
    """Bytes that arrived do not have the form the layout prescribes."""

    code = "wire"


class ProtocolError(RunError):
    """A message or event that the round's state table has no row for."""

    code = "protocol"


class AuthenticationError(RunError):
    """A signature, a digest or an identity does not hold."""

    code = "authentication"


class ForgeryError(AuthenticationError):
    """An aggregate is not the sum of what its contributors sent; always in the same words, whatever failed.

    Attributes:
        refuses_keys: True where the keys must not be used again: the MAC of a ciphertext failed, so the next verdicts
            could tell about a key that lasts. A tag that fails ends its round alone.
    """

    code = "forgery"

    def __init__(self, what: str, *, where: str = "", hint: str = "", refuses_keys: bool = False) -> None:
        super().__init__(what, where=where, hint=hint)
        self.refuses_keys = refuses_keys


class TransportError(RunError):
    """A peer cannot be reached, or the connection broke."""

    code = "transport"
    retryable = True


class TrainingError(RunError):
    """Training produced something that must not be sent: not finite, or nothing trained."""

    code = "training"


class StateError(RunError):
    """A file of a run does not hold together: a ledger's chain, a result that is not complete."""

    code = "state"


class BudgetError(RunError):
    """A round would spend more privacy than a client's budget has left."""

    code = "budget"


class DiskError(RunError):
    """A disk is full, read-only, or closed to this user."""

    code = "disk"


class MemberLost(RunError):  # noqa: N818 - the field's word for it
    """A member ended before the federation did.

    Attributes:
        member: The member's id.
    """

    code = "member-lost"

    def __init__(self, member: str, last_words: str) -> None:
        super().__init__(f"{member} left the federation", hint=last_words.rstrip("."))
        self.member = member


def plain_reason(error: OSError | UnicodeDecodeError) -> str:
    """Reason for which a file could not be read or written, without Python's numbers and without its path.

    Returns:
        A clause, fit for a hint.
    """
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    return str(error.strerror or type(error).__name__)
