from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("protocol_version", "federation_digest", "process", "applied")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    federation_digest: bytes
    process: bytes
    applied: int
    def __init__(self, protocol_version: _Optional[int] = ..., federation_digest: _Optional[bytes] = ..., process: _Optional[bytes] = ..., applied: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("federation_digest", "key_epoch", "round_number", "number")
    FEDERATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    federation_digest: bytes
    key_epoch: int
    round_number: int
    number: int
    def __init__(self, federation_digest: _Optional[bytes] = ..., key_epoch: _Optional[int] = ..., round_number: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("attempt", "invited", "settled")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INVITED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    invited: _containers.RepeatedScalarFieldContainer[str]
    settled: bytes
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., invited: _Optional[_Iterable[str]] = ..., settled: _Optional[bytes] = ...) -> None: ...

class SignedAdvert(_message.Message):
    __slots__ = ("member", "manifest_digest", "nonce", "state", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    manifest_digest: bytes
    nonce: bytes
    state: bytes
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., manifest_digest: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., state: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Cohort(_message.Message):
    __slots__ = ("manifest", "adverts")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    ADVERTS_FIELD_NUMBER: _ClassVar[int]
    manifest: Manifest
    adverts: _containers.RepeatedCompositeFieldContainer[SignedAdvert]
    def __init__(self, manifest: _Optional[_Union[Manifest, _Mapping]] = ..., adverts: _Optional[_Iterable[_Union[SignedAdvert, _Mapping]]] = ...) -> None: ...

class SignedHeader(_message.Message):
    __slots__ = ("member", "cohort_digest", "salt", "seeds_digest", "body_digest", "packets_digest", "signature", "budget_head")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    SEEDS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PACKETS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_HEAD_FIELD_NUMBER: _ClassVar[int]
    member: str
    cohort_digest: bytes
    salt: bytes
    seeds_digest: bytes
    body_digest: bytes
    packets_digest: bytes
    signature: bytes
    budget_head: bytes
    def __init__(self, member: _Optional[str] = ..., cohort_digest: _Optional[bytes] = ..., salt: _Optional[bytes] = ..., seeds_digest: _Optional[bytes] = ..., body_digest: _Optional[bytes] = ..., packets_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., budget_head: _Optional[bytes] = ...) -> None: ...

class Survivor(_message.Message):
    __slots__ = ("index", "header_digest")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HEADER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    index: int
    header_digest: bytes
    def __init__(self, index: _Optional[int] = ..., header_digest: _Optional[bytes] = ...) -> None: ...

class Survivors(_message.Message):
    __slots__ = ("attempt", "cohort_digest", "survivors", "total_digest")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    cohort_digest: bytes
    survivors: _containers.RepeatedCompositeFieldContainer[Survivor]
    total_digest: bytes
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., cohort_digest: _Optional[bytes] = ..., survivors: _Optional[_Iterable[_Union[Survivor, _Mapping]]] = ..., total_digest: _Optional[bytes] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("member", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("statement", "votes")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    statement: Survivors
    votes: _containers.RepeatedCompositeFieldContainer[Signature]
    def __init__(self, statement: _Optional[_Union[Survivors, _Mapping]] = ..., votes: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ...) -> None: ...

class VoidProof(_message.Message):
    __slots__ = ("attempt", "cohort_digest", "votes")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    cohort_digest: bytes
    votes: _containers.RepeatedCompositeFieldContainer[Signature]
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., cohort_digest: _Optional[bytes] = ..., votes: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ...) -> None: ...

class SpoiledProof(_message.Message):
    __slots__ = ("certificate", "votes")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    certificate: Certificate
    votes: _containers.RepeatedCompositeFieldContainer[Signature]
    def __init__(self, certificate: _Optional[_Union[Certificate, _Mapping]] = ..., votes: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ...) -> None: ...

class SettledAttempt(_message.Message):
    __slots__ = ("cohort", "certificate", "void_proof", "spoiled")
    COHORT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    VOID_PROOF_FIELD_NUMBER: _ClassVar[int]
    SPOILED_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    certificate: Certificate
    void_proof: VoidProof
    spoiled: SpoiledProof
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ..., certificate: _Optional[_Union[Certificate, _Mapping]] = ..., void_proof: _Optional[_Union[VoidProof, _Mapping]] = ..., spoiled: _Optional[_Union[SpoiledProof, _Mapping]] = ...) -> None: ...

class SignedReveal(_message.Message):
    __slots__ = ("member", "statement_digest", "sealed", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    statement_digest: bytes
    sealed: bytes
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., statement_digest: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Announcement(_message.Message):
    __slots__ = ("waiting", "round_opened", "cohort_closed", "commit_asked", "survivors_proposed", "void_asked", "certified", "aggregate_ready", "spoiled_asked", "closed", "failed")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    ROUND_OPENED_FIELD_NUMBER: _ClassVar[int]
    COHORT_CLOSED_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ASKED_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_PROPOSED_FIELD_NUMBER: _ClassVar[int]
    VOID_ASKED_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_READY_FIELD_NUMBER: _ClassVar[int]
    SPOILED_ASKED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    waiting: Waiting
    round_opened: RoundOpened
    cohort_closed: CohortClosed
    commit_asked: CommitAsked
    survivors_proposed: SurvivorsProposed
    void_asked: VoidAsked
    certified: Certified
    aggregate_ready: AggregateReady
    spoiled_asked: SpoiledAsked
    closed: FederationClosed
    failed: FederationFailed
    def __init__(self, waiting: _Optional[_Union[Waiting, _Mapping]] = ..., round_opened: _Optional[_Union[RoundOpened, _Mapping]] = ..., cohort_closed: _Optional[_Union[CohortClosed, _Mapping]] = ..., commit_asked: _Optional[_Union[CommitAsked, _Mapping]] = ..., survivors_proposed: _Optional[_Union[SurvivorsProposed, _Mapping]] = ..., void_asked: _Optional[_Union[VoidAsked, _Mapping]] = ..., certified: _Optional[_Union[Certified, _Mapping]] = ..., aggregate_ready: _Optional[_Union[AggregateReady, _Mapping]] = ..., spoiled_asked: _Optional[_Union[SpoiledAsked, _Mapping]] = ..., closed: _Optional[_Union[FederationClosed, _Mapping]] = ..., failed: _Optional[_Union[FederationFailed, _Mapping]] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("missing",)
    MISSING_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, missing: _Optional[_Iterable[str]] = ...) -> None: ...

class RoundOpened(_message.Message):
    __slots__ = ("manifest", "settled")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    manifest: Manifest
    settled: _containers.RepeatedCompositeFieldContainer[SettledAttempt]
    def __init__(self, manifest: _Optional[_Union[Manifest, _Mapping]] = ..., settled: _Optional[_Iterable[_Union[SettledAttempt, _Mapping]]] = ...) -> None: ...

class CohortClosed(_message.Message):
    __slots__ = ("cohort",)
    COHORT_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ...) -> None: ...

class CommitAsked(_message.Message):
    __slots__ = ("cohort_digest", "staged")
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STAGED_FIELD_NUMBER: _ClassVar[int]
    cohort_digest: bytes
    staged: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, cohort_digest: _Optional[bytes] = ..., staged: _Optional[_Iterable[int]] = ...) -> None: ...

class SurvivorsProposed(_message.Message):
    __slots__ = ("statement", "headers")
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    statement: Survivors
    headers: _containers.RepeatedCompositeFieldContainer[SignedHeader]
    def __init__(self, statement: _Optional[_Union[Survivors, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[SignedHeader, _Mapping]]] = ...) -> None: ...

class VoidAsked(_message.Message):
    __slots__ = ("cohort_digest",)
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    cohort_digest: bytes
    def __init__(self, cohort_digest: _Optional[bytes] = ...) -> None: ...

class Certified(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: Certificate
    def __init__(self, certificate: _Optional[_Union[Certificate, _Mapping]] = ...) -> None: ...

class AggregateReady(_message.Message):
    __slots__ = ("round_number", "reveals")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REVEALS_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    reveals: int
    def __init__(self, round_number: _Optional[int] = ..., reveals: _Optional[int] = ...) -> None: ...

class SpoiledAsked(_message.Message):
    __slots__ = ("statement_digest",)
    STATEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    statement_digest: bytes
    def __init__(self, statement_digest: _Optional[bytes] = ...) -> None: ...

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

class AdvertRequest(_message.Message):
    __slots__ = ("attempt", "advert", "sits_out")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ADVERT_FIELD_NUMBER: _ClassVar[int]
    SITS_OUT_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    advert: SignedAdvert
    sits_out: bool
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., advert: _Optional[_Union[SignedAdvert, _Mapping]] = ..., sits_out: _Optional[bool] = ...) -> None: ...

class ContributionPart(_message.Message):
    __slots__ = ("head", "packets", "seeds", "body")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    head: ContributionHead
    packets: PacketsChunk
    seeds: bytes
    body: bytes
    def __init__(self, head: _Optional[_Union[ContributionHead, _Mapping]] = ..., packets: _Optional[_Union[PacketsChunk, _Mapping]] = ..., seeds: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class ContributionHead(_message.Message):
    __slots__ = ("attempt", "cohort_digest", "body_digest", "packets", "seeds_bytes", "body_offset")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    SEEDS_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_OFFSET_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    cohort_digest: bytes
    body_digest: bytes
    packets: int
    seeds_bytes: int
    body_offset: int
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., cohort_digest: _Optional[bytes] = ..., body_digest: _Optional[bytes] = ..., packets: _Optional[int] = ..., seeds_bytes: _Optional[int] = ..., body_offset: _Optional[int] = ...) -> None: ...

class PacketsChunk(_message.Message):
    __slots__ = ("packets",)
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    packets: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, packets: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StagedRequest(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ...) -> None: ...

class Staged(_message.Message):
    __slots__ = ("received", "complete")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    received: int
    complete: bool
    def __init__(self, received: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class CohortRequest(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ...) -> None: ...

class PacketsRequest(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ...) -> None: ...

class PacketsPart(_message.Message):
    __slots__ = ("attempt", "packets")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    packets: _containers.RepeatedCompositeFieldContainer[Packet]
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., packets: _Optional[_Iterable[_Union[Packet, _Mapping]]] = ...) -> None: ...

class Packet(_message.Message):
    __slots__ = ("sender", "sealed", "body_digest")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    BODY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    sender: int
    sealed: bytes
    body_digest: bytes
    def __init__(self, sender: _Optional[int] = ..., sealed: _Optional[bytes] = ..., body_digest: _Optional[bytes] = ...) -> None: ...

class AcknowledgeRequest(_message.Message):
    __slots__ = ("attempt", "opened", "header")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    opened: _containers.RepeatedScalarFieldContainer[int]
    header: SignedHeader
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., opened: _Optional[_Iterable[int]] = ..., header: _Optional[_Union[SignedHeader, _Mapping]] = ...) -> None: ...

class VoteRequest(_message.Message):
    __slots__ = ("attempt", "survivors", "void_vote", "spoiled", "sealed_reason")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    VOID_VOTE_FIELD_NUMBER: _ClassVar[int]
    SPOILED_FIELD_NUMBER: _ClassVar[int]
    SEALED_REASON_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    survivors: StatementVote
    void_vote: VoidVote
    spoiled: StatementVote
    sealed_reason: bytes
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., survivors: _Optional[_Union[StatementVote, _Mapping]] = ..., void_vote: _Optional[_Union[VoidVote, _Mapping]] = ..., spoiled: _Optional[_Union[StatementVote, _Mapping]] = ..., sealed_reason: _Optional[bytes] = ...) -> None: ...

class StatementVote(_message.Message):
    __slots__ = ("member", "statement_digest", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    statement_digest: bytes
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., statement_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class VoidVote(_message.Message):
    __slots__ = ("member", "cohort_digest", "signature")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    COHORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    member: str
    cohort_digest: bytes
    signature: bytes
    def __init__(self, member: _Optional[str] = ..., cohort_digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class RevealRequest(_message.Message):
    __slots__ = ("attempt", "reveal")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    attempt: Attempt
    reveal: SignedReveal
    def __init__(self, attempt: _Optional[_Union[Attempt, _Mapping]] = ..., reveal: _Optional[_Union[SignedReveal, _Mapping]] = ...) -> None: ...

class AggregateRequest(_message.Message):
    __slots__ = ("round_number", "offset")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    offset: int
    def __init__(self, round_number: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class AggregatePart(_message.Message):
    __slots__ = ("head", "seeds", "body")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    head: AggregateHead
    seeds: bytes
    body: bytes
    def __init__(self, head: _Optional[_Union[AggregateHead, _Mapping]] = ..., seeds: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class AggregateHead(_message.Message):
    __slots__ = ("cohort", "certificate", "headers", "reveals", "seeds_bytes", "body_bytes", "aggregate_seconds", "settled")
    COHORT_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    REVEALS_FIELD_NUMBER: _ClassVar[int]
    SEEDS_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    cohort: Cohort
    certificate: Certificate
    headers: _containers.RepeatedCompositeFieldContainer[SignedHeader]
    reveals: _containers.RepeatedCompositeFieldContainer[SignedReveal]
    seeds_bytes: int
    body_bytes: int
    aggregate_seconds: float
    settled: _containers.RepeatedCompositeFieldContainer[SettledAttempt]
    def __init__(self, cohort: _Optional[_Union[Cohort, _Mapping]] = ..., certificate: _Optional[_Union[Certificate, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[SignedHeader, _Mapping]]] = ..., reveals: _Optional[_Iterable[_Union[SignedReveal, _Mapping]]] = ..., seeds_bytes: _Optional[int] = ..., body_bytes: _Optional[int] = ..., aggregate_seconds: _Optional[float] = ..., settled: _Optional[_Iterable[_Union[SettledAttempt, _Mapping]]] = ...) -> None: ...

class ConfirmRequest(_message.Message):
    __slots__ = ("round_number", "last")
    ROUND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    round_number: int
    last: bool
    def __init__(self, round_number: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class LeaveRequest(_message.Message):
    __slots__ = ("finished", "last_words", "process")
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    LAST_WORDS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    finished: bool
    last_words: str
    process: bytes
    def __init__(self, finished: _Optional[bool] = ..., last_words: _Optional[str] = ..., process: _Optional[bytes] = ...) -> None: ...
