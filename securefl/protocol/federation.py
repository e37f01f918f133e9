"""The pinned federation file, and the server's view of it.

The rule kept here: everything that members must agree on before a round stands in one file with one digest, which
every contribution is bound to; the server gets only what it needs to route and to add: no rank, no label, no bound
and no secret.

Terms: the *roster* is the list of members in a fixed order; the *terms* are the sections of the TOML file that hold
for everybody (paths, devices and data are each member's own business).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, ValidationError

from securefl.adapters.contribution import PayloadName, PayloadPlan
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.selection import encrypted_count, feature_count
from securefl.config.federation import (
    EncryptionSection,
    FederationConfig,
    FederationSection,
    FusionSection,
    LoraSection,
    Pooling,
    PrivacySection,
    Rank,
    ServerSection,
    SketchSection,
)
from securefl.config.federation import Section as ConfigSection
from securefl.config.names import Name
from securefl.crypto.profiles import Profile, profile_for, profile_named
from securefl.crypto.wireform import Scheme, WireForm, wire_form
from securefl.errors import AuthenticationError, ConfigError, IdentityError, SecureFLError
from securefl.protocol.round_kind import RoundKind
from securefl.protocol.sections import Section

FILE_VERSION = 1
_DOMAIN = b"securefl/v1/federation\x00"
Parsed = TypeVar("Parsed", bound=BaseModel)


def _from_hex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


Digest = Annotated[
    bytes,
    BeforeValidator(_from_hex),
    Field(min_length=32, max_length=32),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""32 bytes, written as hexadecimal digits."""


class ModelTerms(ConfigSection):
    """The base model as every member must have it; where it lies is each member's business."""

    digest: Digest
    task: Literal["sequence-classification"]
    pooling: Pooling
    max_length: int


class TrainingTerms(ConfigSection):
    """How long and how fast every member trains in a round."""

    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    per_device_train_batch_size: int
    num_train_epochs: float


class RecipeTerms(ConfigSection):
    """The recipe with every choice resolved."""

    name: Name
    payload: PayloadName
    personal: bool
    outer_learning_rate: float
    fusion: FusionSection


class Terms(ConfigSection):
    """What holds for every member."""

    federation: FederationSection
    model: ModelTerms
    lora: LoraSection
    training: TrainingTerms
    recipe: RecipeTerms
    sketch: SketchSection
    privacy: PrivacySection
    encryption: EncryptionSection
    samples_cap: int = Field(ge=1)


class RosterEntry(ConfigSection):
    """What the server knows of a member.

    Attributes:
        id: Name within the federation.
        signing_key: Ed25519 public key (32 bytes).
        certificate: SHA-256 of its TLS certificate in DER (32 bytes); it routes, it does not authenticate content.
    """

    id: Name
    signing_key: Digest
    certificate: Digest


class Member(RosterEntry):
    """What members know of each other: the entry, and the rank of its global adapter."""

    rank: Rank

    @property
    def entry(self) -> RosterEntry:
        """The part that the server may see."""
        return RosterEntry(id=self.id, signing_key=self.signing_key, certificate=self.certificate)


class _FederationFile(ConfigSection):
    version: int = Field(default=FILE_VERSION, ge=FILE_VERSION, le=FILE_VERSION)
    federation_id: Digest
    terms: Terms
    labels: tuple[str, ...]
    layout: list[dict[str, str | int]]
    profile: str
    roster: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Federation:
    """The pinned federation.

    Attributes:
        federation_id: 32 random bytes, so that two federations of the same terms never share a digest.
        terms: What holds for every member.
        labels: The class names, in the order of the head's rows.
        layout: The shared tensors.
        profile: The encryption's parameters.
        roster: All members, in order.
    """

    federation_id: bytes
    terms: Terms
    labels: tuple[str, ...]
    layout: Layout
    profile: Profile
    roster: tuple[Member, ...]

    @property
    def cohort(self) -> tuple[str, ...]:
        """Every member's id, in the roster's order."""
        return tuple(member.id for member in self.roster)

    @property
    def plan(self) -> PayloadPlan:
        """How an update becomes integers."""
        return PayloadPlan(
            payload=self.terms.recipe.payload,
            layout=self.layout,
            ranks=RankTable(tuple(member.rank for member in self.roster)),
            bits=self.terms.encryption.precision_bits,
            adapter_bound=self.terms.encryption.adapter_bound,
            head_bound=self.terms.encryption.head_bound,
            samples_cap=self.terms.samples_cap,
            seed=self.terms.federation.seed,
            sketch_rank=self.terms.sketch.rank,
        )

    @property
    def form(self) -> WireForm:
        """What travels of a ciphertext."""
        return wire_form(self.terms.encryption.scheme, self.profile)

    def kind_of(self, round_number: int) -> RoundKind:
        """What the contributions to this round carry."""
        plan, share = self.plan, self.terms.encryption.select.share
        segments = plan.segments(round_number)
        values = sum(segment.size for segment in segments)
        weights = plan.length(round_number) - values
        if share == 1:
            return RoundKind(values=values, weights=weights)
        if round_number == 1:
            # The scores that the later rounds select by are summed first, and nothing is selected before that.
            return RoundKind(values=values, weights=weights, scores=feature_count(self.layout))
        return RoundKind(values=values, weights=weights, plain=values - encrypted_count(segments, share))

    def section_schemes(self, round_number: int) -> tuple[Scheme, ...]:
        """The cipher of each section of a contribution to this round."""
        scheme = self.terms.encryption.scheme
        return (scheme, "none") if self.kind_of(round_number).selective else (scheme,)

    def sections(self, round_number: int) -> tuple[Section, ...]:
        """What a contribution to this round consists of."""
        schemes, counts = self.section_schemes(round_number), self.kind_of(round_number).section_values
        return tuple(
            Section(wire_form(scheme, self.profile), self.profile.ciphertexts_for(values))
            for scheme, values in zip(schemes, counts, strict=True)
        )

    def ciphertexts(self, round_number: int) -> int:
        """How many ciphertexts one contribution to this round has, in all sections."""
        return sum(section.ciphertexts for section in self.sections(round_number))

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over the canonical form: what every manifest and contribution is bound to."""
        return hashlib.sha256(_DOMAIN + _canonical(self._file())).digest()

    def member(self, name: str) -> Member:
        """One entry of the roster.

        Raises:
            IdentityError: if there is no such member.
        """
        for member in self.roster:
            if member.id == name:
                return member
        raise IdentityError(f"{name} is not in the roster", hint=f"members are {', '.join(self.cohort)}")

    def server_view(self, server: ServerSection) -> ServerView:
        """What the server's folder holds."""
        return ServerView(
            federation_digest=self.digest,
            name=self.terms.federation.name,
            rounds=self.terms.federation.rounds,
            profile=self.profile.name,
            # One round stands for each kind that there can be: the first may carry what later ones do not, and
            # `basis` trains one factor in odd rounds and the other in even ones.
            first_round=self._section_entries(1),
            odd_rounds=self._section_entries(3),
            even_rounds=self._section_entries(2),
            roster=tuple(member.entry for member in self.roster),
            server=server,
        )

    def _section_entries(self, round_number: int) -> tuple[SectionEntry, ...]:
        schemes, sections = self.section_schemes(round_number), self.sections(round_number)
        return tuple(
            SectionEntry(scheme=scheme, ciphertexts=section.ciphertexts)
            for scheme, section in zip(schemes, sections, strict=True)
        )

    def to_json_text(self) -> str:
        """The federation file's text."""
        return json.dumps(self._file().model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json_text(cls, text: str, *, where: str) -> Federation:
        """Reads a federation file.

        Raises:
            IdentityError: if it is malformed, of another version, or does not fit itself.
        """
        file = _parsed(_FederationFile, text, where=where)
        try:
            federation = cls(
                federation_id=file.federation_id,
                terms=file.terms,
                labels=file.labels,
                layout=Layout.from_json(list(file.layout)),
                profile=profile_named(file.profile),
                roster=file.roster,
            )
            needed = profile_for(len(file.roster), file.terms.encryption.precision_bits)
        except SecureFLError as error:
            raise IdentityError(
                "the federation file does not hold together", where=where, hint=str(error)
            ) from None
        if needed != federation.profile:
            # A narrower profile than the founder's rule gives would overflow: never take the file's word.
            raise IdentityError(
                f"the federation file names profile {federation.profile.name}, its terms need {needed.name}",
                where=where,
            )
        if len(set(federation.cohort)) != len(federation.cohort):
            raise IdentityError("the federation file lists a member twice", where=where)
        return federation

    def _file(self) -> _FederationFile:
        return _FederationFile(
            federation_id=self.federation_id,
            terms=self.terms,
            labels=self.labels,
            layout=self.layout.to_json(),
            profile=self.profile.name,
            roster=self.roster,
        )


class SectionEntry(ConfigSection):
    """A section of every contribution to some rounds: ``bfv`` or, not encrypted, ``none``; and its ciphertexts."""

    scheme: Scheme
    ciphertexts: int = Field(ge=1)


class ServerView(ConfigSection):
    """What the server knows of a federation.

    Attributes:
        federation_digest: Digest of the members' federation file (32 bytes).
        name: The federation's name.
        rounds: Number of rounds.
        profile: Name of the encryption's profile.
        first_round: Sections of a contribution in the first round.
        odd_rounds: The same in later odd rounds.
        even_rounds: The same in even ones.
        roster: All members, in order.
        server: Address and limits.
    """

    federation_digest: Digest
    name: Name
    rounds: int = Field(ge=1)
    profile: str
    first_round: Annotated[tuple[SectionEntry, ...], Field(min_length=1)]
    odd_rounds: Annotated[tuple[SectionEntry, ...], Field(min_length=1)]
    even_rounds: Annotated[tuple[SectionEntry, ...], Field(min_length=1)]
    roster: tuple[RosterEntry, ...]
    server: ServerSection

    @property
    def cohort(self) -> tuple[str, ...]:
        """Every member's id, in the roster's order."""
        return tuple(entry.id for entry in self.roster)

    def sections(self, round_number: int) -> tuple[Section, ...]:
        """What a contribution to this round consists of."""
        profile = profile_named(self.profile)
        later = self.odd_rounds if round_number % 2 else self.even_rounds
        entries = self.first_round if round_number == 1 else later
        return tuple(Section(wire_form(entry.scheme, profile), entry.ciphertexts) for entry in entries)

    def entry(self, name: str) -> RosterEntry:
        """One entry of the roster.

        Raises:
            AuthenticationError: if there is no such member.
        """
        for entry in self.roster:
            if entry.id == name:
                return entry
        raise AuthenticationError(f"{name} is not in the roster")

    def by_certificate(self, fingerprint: bytes) -> RosterEntry:
        """The member that a TLS certificate (SHA-256 of its DER, 32 bytes) belongs to.

        Raises:
            AuthenticationError: if no member has this certificate.
        """
        for entry in self.roster:
            if entry.certificate == fingerprint:
                return entry
        raise AuthenticationError(
            "the certificate belongs to no member of this federation",
            hint="use the member folder that 'securefl init' wrote for this federation",
        )

    def to_json_text(self) -> str:
        """The text of the server's file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json_text(cls, text: str, *, where: str) -> ServerView:
        """Reads the server's file.

        Raises:
            IdentityError: if it is malformed or names what this version does not know.
        """
        view = _parsed(cls, text, where=where)
        try:
            profile_named(view.profile)
        except SecureFLError as error:
            raise IdentityError(
                "the server's file does not hold together", where=where, hint=str(error)
            ) from None
        return view


def terms_of(
    config: FederationConfig, *, model_digest: bytes, recipe: RecipeTerms, samples_cap: int
) -> Terms:
    """What of a ``FED.toml`` holds for every member.

    Raises:
        ConfigError: if a section describes another payload than the recipe's.
    """
    if config.sketch.rank is not None and recipe.payload != "sketch":
        raise ConfigError(
            f"'sketch.rank' is set, but the recipe's payload is '{recipe.payload}'",
            hint='set recipe.payload = "sketch", or leave [sketch] out',
        )
    training = config.training
    return Terms(
        # The labels stand in the federation itself, resolved; a path to them would mean nothing to other members.
        federation=config.federation.model_copy(update={"labels": None}),
        model=ModelTerms(
            digest=model_digest,
            task=config.model.task,
            pooling=config.model.pooling,
            max_length=config.model.max_length,
        ),
        lora=config.lora,
        training=TrainingTerms(**{name: getattr(training, name) for name in TrainingTerms.model_fields}),
        recipe=recipe,
        sketch=config.sketch,
        privacy=config.privacy,
        encryption=config.encryption,
        samples_cap=samples_cap,
    )


def _canonical(model: BaseModel) -> bytes:
    """One byte string for one object: sorted keys, no spaces, ASCII; floats in Python's shortest round-trip form."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode("ascii")


def _parsed(model: type[Parsed], text: str, *, where: str) -> Parsed:
    try:
        value: Any = json.loads(text)
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise IdentityError(
            f"'{key}' is wrong in a federation's file", where=where, hint=first["msg"]
        ) from None
    except ValueError as error:
        raise IdentityError("a federation's file is no JSON", where=where, hint=str(error)) from None
