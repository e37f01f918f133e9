from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("protocol_version", "federation_digest", "process")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    federation_digest: bytes
    process: bytes
    def __init__(self, protocol_version: _Optional[int] = ..., federation_digest: _Optional[bytes] = ..., process: _Optional[bytes] = ...) -> None: ...

class Announcement(_message.Message):
    __slots__ = ("waiting", "round_opened", "aggregate_ready", "closed", "failed")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    ROUND_OPENED_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_READY_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    waiting: Waiting
    round_opened: RoundOpened
    aggregate_ready: AggregateReady
    closed: FederationClosed
    failed: FederationFailed
    def __init__(self, waiting: _Optional[_Union[Waiting, _Mapping]] = ..., round_opened: _Optional[_Union[RoundOpened, _Mapping]] = ..., aggregate_ready: _Optional[_Union[AggregateReady, _Mapping]] = ..., closed: _Optional[_Union[FederationClosed, _Mapping]] = ..., failed: _Optional[_Union[FederationFailed, _Mapping]] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("missing",)
    MISSING_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, missing: _Optional[_Iterable[str]] = ...) -> None: ...

class RoundOpened(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: Manifest
    def __init__(self, manifest: _Optional[_Union[Manifest, _Mapping]] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("federation_digest", "round_number", "cohort")
    FEDERATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    federation_digest: bytes
    round_number: int
    cohort: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, federation_digest: _Optional[bytes] = ..., round_number: _Optional[int] = ..., cohort: _Optional[_Iterable[str]] = ...) -> None: ...

class AggregateReady(_message.Message):
    __slots__ = ("round_number",)
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    def __init__(self, round_number: _Optional[int] = ...) -> None: ...

class FederationClosed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FederationFailed(_message.Message):
    __slots__ = ("member", "reason")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    member: str
    reason: str
    def __init__(self, member: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SignedHeader(_message.Message):
    __slots__ = ("member", "round_number", "manifest_digest", "seeds_digest", "body_digest", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEEDS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    round_number: int
    manifest_digest: bytes
    seeds_digest: bytes
    body_digest: bytes
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., round_number: _Optional[int] = ..., manifest_digest: _Optional[bytes] = ..., seeds_digest: _Optional[bytes] = ..., body_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ContributionPart(_message.Message):
    __slots__ = ("head", "body", "seeds", "header")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    head: ContributionHead
    body: bytes
    seeds: bytes
    header: SignedHeader
    def __init__(self, head: _Optional[_Union[ContributionHead, _Mapping]] = ..., body: _Optional[bytes] = ..., seeds: _Optional[bytes] = ..., header: _Optional[_Union[SignedHeader, _Mapping]] = ...) -> None: ...

class ContributionHead(_message.Message):
    __slots__ = ("round_number", "seeds_bytes", "body_bytes")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEEDS_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    seeds_bytes: int
    body_bytes: int
    def __init__(self, round_number: _Optional[int] = ..., seeds_bytes: _Optional[int] = ..., body_bytes: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("round_number", "body_digest")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    body_digest: bytes
    def __init__(self, round_number: _Optional[int] = ..., body_digest: _Optional[bytes] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("round_number",)
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    def __init__(self, round_number: _Optional[int] = ...) -> None: ...

class AggregatePart(_message.Message):
    __slots__ = ("head", "contributor", "seeds", "body")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTOR_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    head: AggregateHead
    contributor: SignedHeader
    seeds: bytes
    body: bytes
    def __init__(self, head: _Optional[_Union[AggregateHead, _Mapping]] = ..., contributor: _Optional[_Union[SignedHeader, _Mapping]] = ..., seeds: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class AggregateHead(_message.Message):
    __slots__ = ("round_number", "contributors", "seeds_bytes", "body_bytes", "aggregate_seconds")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    SEEDS_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    contributors: int
    seeds_bytes: int
    body_bytes: int
    aggregate_seconds: float
    def __init__(self, round_number: _Optional[int] = ..., contributors: _Optional[int] = ..., seeds_bytes: _Optional[int] = ..., body_bytes: _Optional[int] = ..., aggregate_seconds: _Optional[float] = ...) -> None: ...

class ConfirmRequest(_message.Message):
    __slots__ = ("round_number", "last")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    last: bool
    def __init__(self, round_number: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class ConfirmReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("finished", "last_words", "process")
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    LAST_WORDS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    finished: bool
    last_words: str
    process: bytes
    def __init__(self, finished: _Optional[bool] = ..., last_words: _Optional[str] = ..., process: _Optional[bytes] = ...) -> None: ...

class LeaveReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
