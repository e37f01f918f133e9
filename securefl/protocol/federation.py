"""The pinned federation file.

The rule kept here: everything that members must agree on before a round stands in one file with one digest, which
every contribution is bound to. The server gets ``server_view`` of it.

Terms: the *roster* is the list of members in a fixed order; ``terms`` holds what the TOML file says for everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, assert_never

from pydantic import BeforeValidator, Field, PlainSerializer

from securefl.adapters.gradient_sketch import GradientSketch
from securefl.adapters.head_starts import class_count, start_count, statistics_width
from securefl.adapters.head_statistics import HeadStatistics
from securefl.adapters.layer_owners import LayerOwners, RoundOwners, layer_owners, layers_of
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads.facts import Mixing, Trains
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.selection import encrypted_count, feature_count
from securefl.config.model import Rank
from securefl.config.payload import (
    core_heads_of,
    frozen_from_of,
    is_aligned,
    shares_of,
    sides_of,
    sketch_rank_of,
    sums_of,
)
from securefl.config.section import Section as ConfigSection
from securefl.config.server import ServerSection
from securefl.config.trained_sides import rounds_of_all_kinds
from securefl.crypto.fingerprints import fingerprint
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme, profile_for, profile_named
from securefl.crypto.sealed_box import PUBLIC_KEY_BYTES, check_public_key
from securefl.crypto.thresholds import RosterConstants, default_min_clients
from securefl.crypto.wireform import WireForm, wire_form
from securefl.errors import IdentityError, SecureFLError
from securefl.protocol.file_format import canonical, file_text, parsed
from securefl.protocol.openings import Opening, first_round, opening_in
from securefl.protocol.owner_rule import ClassHolders, OwnerRule, single_partition
from securefl.protocol.round_kind import RoundKind
from securefl.protocol.sections import Section
from securefl.protocol.server_view import Digest, RosterEntry, SectionEntry, ServerView, from_hex
from securefl.protocol.terms import Terms

_DOMAIN = b"securefl/v2/federation\x00"


KemPublicKey = Annotated[
    bytes,
    BeforeValidator(from_hex),
    Field(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES),
    PlainSerializer(lambda value: value.hex(), return_type=str),
]
"""Public key that boxes are sealed for, written as hexadecimal digits."""


class Member(RosterEntry):
    """A member as the others know it: the entry, the rank of its global adapter, and its public KEM key."""

    rank: Rank
    kem_key: KemPublicKey

    @property
    def fingerprint(self) -> str:
        """Fingerprint of its public keys, for people to compare."""
        return fingerprint(self.id.encode(), self.signing_key, self.kem_key)

    @property
    def entry(self) -> RosterEntry:
        """The part that the server may see."""
        return RosterEntry(id=self.id, signing_key=self.signing_key, certificate=self.certificate)


class _FederationFile(ConfigSection):
    federation_id: Digest
    terms: Terms
    layout: list[dict[str, str | int]]
    profile: str
    roster: tuple[Member, ...]


@dataclass(frozen=True)
class Federation:
    """The pinned federation; no slots, so that what follows from it is computed once.

    Attributes:
        federation_id: 32 random bytes, so that two federations of the same terms never share a digest.
        terms: What holds for every member.
        layout: The shared tensors.
        profile: The encryption's parameters.
        roster: All members, in order.
    """

    federation_id: bytes
    terms: Terms
    layout: Layout
    profile: Profile
    roster: tuple[Member, ...]

    @property
    def cohort(self) -> tuple[str, ...]:
        """Every member's id, in the roster's order."""
        return tuple(member.id for member in self.roster)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the whole file, for people to compare."""
        return fingerprint(self.digest)

    def index_of(self, member: str) -> int:
        """Index of a member in the roster, from 0; its keys with others are numbered by it.

        Raises:
            IdentityError: if the roster does not list it.
        """
        return self.roster.index(self.member(member))

    @property
    def constants(self) -> RosterConstants:
        """Constants of the roster: the smallest cohort m, c_max and what follows from them.

        Raises:
            ConfigError: if the terms name some that this roster has not.
        """
        roster, terms = len(self.roster), self.terms
        return RosterConstants.of(
            roster,
            min_clients=terms.federation.min_clients or default_min_clients(roster),
            max_colluders=terms.encryption.max_colluders,
        )

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The sums before the first round of training, in their order."""
        return self.terms.openings

    @property
    def first_round(self) -> int:
        """Number of the first round, openings included: 1 without them."""
        return first_round(self.openings)

    @property
    def classes(self) -> int:
        """C, the rows that the head has: one for each class.

        Raises:
            ConfigError: if the shared tensors have no such head.
        """
        return class_count(self.layout)

    @cached_property
    def plan(self) -> PayloadPlan:
        """The way from an update to integers."""
        return PayloadPlan(
            payload=self.terms.payload.name,
            layout=self.layout,
            ranks=RankTable(
                tuple(member.rank for member in self.roster),
                colluders=self.constants.max_colluders,
                single=self.terms.training.rank_pruning,
            ),
            bits=self.terms.grid.precision_bits,
            adapter_bound=self.terms.grid.adapter_bound,
            head_bound=self.terms.grid.head_bound,
            samples_cap=self.terms.samples_cap,
            seed=self.terms.federation.seed,
            sketch_rank=sketch_rank_of(self.terms.payload),
            sums=sums_of(self.terms.payload),
            weights=self.terms.aggregation.weights,
            norm_cap=self.terms.aggregation.norm_cap,
            split=self.terms.aggregation.split,
            sides=sides_of(self.terms.payload),
            shares=shares_of(self.terms.payload),
            aligned=is_aligned(self.terms.payload),
            core_heads=core_heads_of(self.terms.payload),
            frozen_from=frozen_from_of(self.terms.payload),
            weighs_first=Opening.STATISTICS not in self.openings,
        )

    @property
    def gradient_sketch(self) -> GradientSketch:
        """Sketches of the gradients that rounds begin from, where a file asks for it."""
        return GradientSketch(
            self.layout,
            rank=self.plan.frozen_rank,
            both=self.plan.facts.trains is Trains.CORE,
            seed=self.terms.federation.seed,
        )

    def personal_rank(self, rank: int) -> int:
        """Rank of the personal adapter of a client of this rank, where the recipe has one."""
        chosen = self.terms.recipe.private_rank(rank)
        return self.plan.personal_rank(rank) if chosen is None else chosen

    @property
    def layer_owners(self) -> LayerOwners | None:
        """Owners of every layer; None where every member trains every layer."""
        section = self.terms.layers
        if section.allocation == "all":
            return None
        ranks = self.plan.ranks
        return layer_owners(
            section,
            self.layout,
            members=len(self.roster),
            least=ranks.least_owners,
            seed=self.terms.federation.seed,
        )

    def owner_rule(
        self,
        round_number: int,
        *,
        layers: RoundOwners | None = None,
        classes: ClassHolders | None = None,
        ranks: Mapping[str, int] | None = None,
    ) -> OwnerRule:
        """Owners of everything that a round can sum.

        Args:
            round_number: The round.
            layers: Owners of each layer in it; None where every member trains every layer, and in openings.
            classes: Holders of each class; None where rows of heads have no owners, and before their sum.
            ranks: Rank that each member has in it, in the roster's order; None for the pinned ones.
        """
        plan = self.plan
        ranked = plan.facts.mixing is Mixing.PARTITIONS and round_number > 0
        return OwnerRule(
            self.constants,
            ranks or {member.id: member.rank for member in self.roster},
            plan.ranks.partitions if ranked else single_partition(len(self.roster)),
            layers,
            classes,
            noised=self.terms.privacy.unit == "client",
        )

    @property
    def form(self) -> WireForm:
        """The part of a ciphertext that travels."""
        return wire_form(self.terms.encryption.scheme, self.profile)

    def kind_of(self, round_number: int) -> RoundKind:
        """The kind of this round: what its contributions carry."""
        if round_number not in self._kinds:
            self._kinds[round_number] = self._kind_of(round_number)
        return self._kinds[round_number]

    @property
    def rounds_of_all_kinds(self) -> tuple[int, int, int]:
        """Numbers of rounds that stand for every kind that there can be, though a federation may have fewer.

        The first may carry what later ones do not, and where adapters' sides have turns, a contribution to one side is
        of another length than one to the other.
        """
        return rounds_of_all_kinds(every=self.plan.sides.every)

    @cached_property
    def _kinds(self) -> dict[int, RoundKind]:
        """Kinds that were asked for: the server asks with every piece of a body, and laying out takes longer."""
        return {}

    def _kind_of(self, round_number: int) -> RoundKind:
        opening = opening_in(self.openings, round_number)
        if opening is not None:
            return self._opening_kind(opening)
        plan, share = self.plan, self.terms.encryption.select.share
        segments = plan.segments(round_number)
        values = sum(segment.size for segment in segments)
        weights = plan.length(round_number) - values
        whole = RoundKind(
            values=values,
            weights=weights,
            losses=0 if self.terms.training.early_stopping_rounds is None else 1,
            layer_scores=len(layers_of(self.layout)) if self.terms.layers.allocation == "fisher" else 0,
            ranks=len(self.roster) if self.terms.training.rank_pruning else 0,
        )
        if share == 1:
            return whole
        if round_number == 1:
            # The scores that the later rounds select by are summed first, and nothing is selected before that.
            return replace(whole, scores=feature_count(self.layout))
        return replace(whole, plain=values - encrypted_count(segments, share))

    def _opening_kind(self, opening: Opening) -> RoundKind:
        match opening:
            case Opening.HOLDERS:
                return RoundKind(values=self.classes + 1, weights=0, opening=opening)
            case Opening.STATISTICS:
                width = statistics_width(self.terms.head, self.layout)
                blocks = HeadStatistics.bounds(self.classes, width)
                statistics = sum(block.values for block in blocks)
                return RoundKind(values=statistics, weights=self.classes, opening=opening)
            case Opening.TRIALS:
                return RoundKind(values=start_count(self.terms.head), weights=0, opening=opening)
            case Opening.GRADIENT:
                return RoundKind(values=self.gradient_sketch.size, weights=0, opening=opening)
            case _:
                assert_never(opening)

    def section_schemes(self, round_number: int) -> tuple[Scheme, ...]:
        """The cipher of each section of a contribution to this round."""
        scheme = self.terms.encryption.scheme
        return (scheme, "none") if self.kind_of(round_number).selective else (scheme,)

    def sections(self, round_number: int) -> tuple[Section, ...]:
        """Sections of a contribution to this round."""
        schemes, counts = self.section_schemes(round_number), self.kind_of(round_number).section_values
        return tuple(
            Section(wire_form(scheme, self.profile), self.profile.ciphertexts_for(values))
            for scheme, values in zip(schemes, counts, strict=True)
        )

    def ciphertexts(self, round_number: int) -> int:
        """Number of ciphertexts of one contribution to this round, in all sections."""
        return sum(section.ciphertexts for section in self.sections(round_number))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over the canonical form: what every manifest and contribution is bound to."""
        return hashlib.sha256(_DOMAIN + canonical(self._file())).digest()

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
        """The file of the server's folder."""
        first, odd, even = self.rounds_of_all_kinds
        return ServerView(
            federation_digest=self.digest,
            name=self.terms.federation.name,
            min_clients=self.constants.min_clients,
            max_colluders=self.constants.max_colluders,
            rounds=self.terms.federation.rounds,
            profile=self.profile.name,
            openings=tuple(self._section_entries(number) for number in range(self.first_round, 1)),
            round_one=self._section_entries(first),
            every=self.plan.sides.every,
            odd_turns=self._section_entries(odd),
            even_turns=self._section_entries(even),
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
        return file_text(self._file())

    @classmethod
    def from_json_text(cls, text: str, *, where: str) -> Federation:
        """Reads a federation file.

        Raises:
            IdentityError: if it is malformed, of another version, or does not fit itself.
        """
        file = parsed(_FederationFile, text, where=where)
        try:
            federation = cls(
                federation_id=file.federation_id,
                terms=file.terms,
                layout=Layout.from_json(list(file.layout)),
                profile=profile_named(file.profile),
                roster=file.roster,
            )
            federation.constants.cohort(len(federation.roster))
            needed = profile_for(
                len(file.roster), file.terms.grid.precision_bits, scheme=file.terms.encryption.scheme
            )
            for number in range(federation.first_round, 1):
                federation.kind_of(number)
            for member in file.roster:
                check_public_key(member.kem_key)
        except SecureFLError as error:
            raise IdentityError(
                "the federation file does not hold together", where=where, hint=str(error)
            ) from None
        if needed != federation.profile:
            # A narrower profile than the lead's rule gives would overflow: never take the file's word.
            raise IdentityError(
                f"the federation file names profile {federation.profile.name}, its terms need {needed.name}",
                where=where,
            )
        if file.terms.own_models != (file.terms.model.digest == federation.layout.digest):
            raise IdentityError("the federation file's task and its base model do not fit", where=where)
        if len(set(federation.cohort)) != len(federation.cohort):
            raise IdentityError("the federation file lists a member twice", where=where)
        return federation

    def _file(self) -> _FederationFile:
        return _FederationFile(
            federation_id=self.federation_id,
            terms=self.terms,
            layout=self.layout.to_json(),
            profile=self.profile.name,
            roster=self.roster,
        )
