"""What a federation is: the sections of ``FED.toml`` as frozen, validated objects.

The rule kept here: a value that reaches the rest of the library has been checked, and an option that this
version does not implement is refused, never ignored. Names that Hugging Face has for a thing are kept.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from securefl.config.names import Address, Name, is_everywhere, join_host_port, split_host_port
from securefl.config.values import MAY_BE_EMPTY, converted, shown

Rank = Annotated[int, Field(ge=1, le=1024)]
Pooling = Literal["mean", "cls", "last"]
"""Hidden states to one feature: the mean over the tokens, the first token's (encoders), or the last one's."""
ALL_LINEAR = "all-linear"
"""PEFT's word for every linear module but the head."""
RESERVED_IDS = ("lead", "server")
"""Names of folders that ``securefl init`` makes beside the clients'."""
PayloadName = Literal["dense", "sketch", "basis", "core"]
"""What a client sends of its update; see ``adapters.payloads``."""
MIN_COHORT = 3
"""With two members each would read the other's update out of the sum."""
MAX_COHORT = 1000
"""What adds up within 64 bits before anything is reduced; see ``crypto.profiles``."""


class Section(BaseModel):
    """A section of the file: frozen, and closed against keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_intent(cls, table: object) -> object:
        """A single text for a list of texts, a word for a table that it chooses: see ``values``."""
        return converted(cls.model_fields, table)


class FederationSection(Section):
    """``[federation]``: the name, the number of rounds, what drives the reproducible randomness."""

    name: Name
    rounds: int = Field(default=3, ge=1, le=10_000)
    seed: int = Field(default=7, ge=0, lt=2**63)
    labels: Path | tuple[str, ...] | None = None
    """A file with one label a line, or the list itself; without it, the sorted labels of the training data."""

    @field_validator("labels")
    @classmethod
    def _labels_are_distinct(cls, labels: Path | tuple[str, ...] | None) -> Path | tuple[str, ...] | None:
        if isinstance(labels, tuple) and (len(labels) < 2 or len(set(labels)) != len(labels)):
            raise ValueError(
                'labels must be at least two different names, such as labels = ["no", "yes"], or one file'
            )
        return labels


class ModelSection(Section):
    """``[model]``: the base model that every member has the same bytes of."""

    path: str
    """A folder, or a hub id such as ``sentence-transformers/all-MiniLM-L6-v2``."""
    task: Literal["sequence-classification"] = "sequence-classification"
    pooling: Pooling = "mean"
    max_length: int = Field(default=64, ge=4, le=8192)


class NoSplit(Section):
    """Every client has files of its own."""

    by: Literal["none"] = "none"


class IidSplit(Section):
    """One file, dealt out at random in equal parts."""

    by: Literal["iid"]


class DirichletSplit(Section):
    """One file, label proportions of each client drawn from Dirichlet(alpha): small alpha, unlike clients."""

    by: Literal["dirichlet"]
    alpha: float = Field(default=0.5, gt=0, le=1000)


class ColumnSplit(Section):
    """One file, each client taking the rows that carry its values of a column."""

    by: Literal["column"]
    column: str


Split = Annotated[NoSplit | IidSplit | DirichletSplit | ColumnSplit, Field(discriminator="by")]


class DataSection(Section):
    """``[data]``: files (csv, tsv and jsonl, also gzipped, and parquet) and the columns in them."""

    train: str | None = None
    test: str | None = None
    text: tuple[str, ...] = ("text",)
    """One column, or two for sentence pairs."""
    label: str = "label"
    encoding: str = "utf-8"
    """Of text files, in Python's names: ``latin-1``, ``cp1252``, ``utf-16``."""
    delimiter: Annotated[str | None, MAY_BE_EMPTY] = None
    """Of csv and tsv files; without it a tab for tsv, else a comma, or a semicolon if only that fits the header."""
    quotes: bool = True
    """False where a double quote at the start of a cell of a csv or tsv file is an ordinary character."""
    split: Split = IidSplit(by="iid")
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.9)
    """Held out of a client's training rows for the fusion; the model never trains on them."""
    test_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    """Held out of a client's rows where there is no test file."""
    max_samples: int | None = Field(default=None, ge=10)
    """At most so many training rows a client (validation included), drawn with the seed."""

    @field_validator("text", mode="before")
    @classmethod
    def _one_column_may_stand_alone(cls, text: object) -> object:
        return (text,) if isinstance(text, str) else text

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str) -> str:
        try:
            # An empty text is refused by codecs that turn bytes into bytes, such as hex.
            "".encode(encoding)
        except (LookupError, UnicodeError, ValueError):
            raise ValueError(
                f"'{encoding}' is no encoding: name one such as utf-8, latin-1 or utf-16"
            ) from None
        return encoding

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one_sign(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0\ufeff'):
            raise ValueError('delimiter is one character, such as ";" or "\\t", and no quote or end of line')
        return delimiter

    @field_validator("text")
    @classmethod
    def _one_or_two_columns(cls, text: tuple[str, ...]) -> tuple[str, ...]:
        if len(text) not in (1, 2):
            raise ValueError("text names one column, or two for sentence pairs")
        return text


class LoraSection(Section):
    """``[lora]``: the adapters, in PEFT's own words."""

    r: Rank = 8
    lora_alpha: float = Field(default=16, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = ("query", "value")
    """Names of linear modules, or ends of their paths; a name may stand alone, and so may ``all-linear``."""

    @field_validator("target_modules", mode="before")
    @classmethod
    def _one_name_may_stand_alone(cls, names: object) -> object:
        return (names,) if isinstance(names, str) else names

    @field_validator("target_modules")
    @classmethod
    def _some_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or not all(name.strip() for name in names):
            raise ValueError(f'name at least one module, or write target_modules = "{ALL_LINEAR}"')
        if ALL_LINEAR in names and len(set(names)) > 1:
            raise ValueError(f'"{ALL_LINEAR}" stands for every linear module: leave the other names out')
        return tuple(dict.fromkeys(names))


class TrainingSection(Section):
    """``[training]``: the local work of one round, in transformers' own words."""

    learning_rate: float = Field(default=2e-3, gt=0)
    head_learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    per_device_train_batch_size: int = Field(default=32, ge=1)
    per_device_eval_batch_size: int = Field(default=64, ge=1)
    num_train_epochs: float = Field(default=1.0, gt=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"


class PrivacySection(Section):
    """``[privacy]``: without differential privacy, the ledger says epsilon = infinity."""

    unit: Literal["none"] = "none"


class FusionSection(Section):
    """``[fusion]``: the search for how much of each adapter a client uses (FDLoRA's AdaFusion)."""

    space: Literal["product", "factor"] = "product"
    budget: int = Field(default=24, ge=2, le=1000)
    l1: float = Field(default=0.05, ge=0)
    max_samples: int = Field(default=160, ge=8)
    """At most so many of a client's validation rows, drawn with the seed: every candidate is measured on them."""


class SketchSection(Section):
    """``[sketch]``: how much of an update the payload ``sketch`` sends."""

    rank: int | None = Field(default=None, ge=2, le=4096)
    """k: the mean is exact up to this rank, and near the best approximation of half of it; without it, twice the
    largest rank of the cohort. A weight whose sketch would not be smaller than itself is sent whole."""


class RecipeSection(Section):
    """``[recipe]``: a row of ``config.recipes``; the keys beside the name replace one choice of the row."""

    name: Name = "default"
    payload: PayloadName | None = None
    personal: bool | None = None
    outer_learning_rate: float | None = Field(default=None, gt=0, le=4)
    fusion: FusionSection = FusionSection()


class SelectSection(Section):
    """``[encryption] select``: ``"all"``, or the share of the values that is encrypted from the second round on."""

    fraction: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _all_is_a_fraction_of_one(cls, select: object) -> object:
        match select:
            case "all":
                return {}
            case dict() | SelectSection():
                return select
            case _:
                raise ValueError(
                    f'it is {shown(select)}; select is "all", or a table such as {{ fraction = 0.1 }}'
                )

    @property
    def share(self) -> Fraction:
        """The fraction as it is written: 0.1 is a tenth, not the float next to it."""
        return Fraction(repr(self.fraction))


class EncryptionSection(Section):
    """``[encryption]``: the cipher, what it is used on, and the integer grid the values are put on."""

    scheme: Literal["bfv", "none"] = "bfv"
    """``none`` is the integer twin: the same integers without a cipher, for comparison only."""
    select: SelectSection = SelectSection()
    allow_plaintext: bool = False
    """Accepts that the server reads what ``select`` leaves out, of every client and in every round after the first."""
    precision_bits: int = Field(default=16, ge=8, le=24)
    adapter_bound: float = Field(default=0.25, gt=0)
    """Largest magnitude of one entry of a weight's change, or of a LoRA factor in it, times its client's weight; what
    exceeds it is clipped. Sketches and cores have bounds of their own that follow from it."""
    head_bound: float = Field(default=2.0, gt=0)
    """The same for a value of the classification head."""

    @model_validator(mode="after")
    def _plaintext_is_allowed_by_name(self) -> Self:
        if self.select.share < 1 and not self.allow_plaintext:
            raise ValueError(
                f"select = {{ fraction = {self.select.fraction} }} shows the server the other values of every client; "
                'set allow_plaintext = true to accept that, or select = "all"'
            )
        return self


class MemberSection(Section):
    """One entry of ``[cohort] clients``."""

    id: Name | None = None
    r: Rank | None = None
    train: str | None = None
    test: str | None = None
    column_values: Annotated[tuple[str, ...] | None, MAY_BE_EMPTY] = None
    """For ``split.by = "column"``: the values whose rows are this client's."""


class CohortSection(Section):
    """``[cohort]``: who takes part, and with which rank."""

    clients: tuple[MemberSection, ...] = Field(default=(MemberSection(),) * 4, validate_default=True)
    samples_cap: int | None = Field(default=None, ge=1)
    """Weight of a client = min(samples / cap, 1), sent encrypted; without it, the equal share of the training file."""

    @field_validator("clients")
    @classmethod
    def _enough_and_distinct(cls, clients: tuple[MemberSection, ...]) -> tuple[MemberSection, ...]:
        if not MIN_COHORT <= len(clients) <= MAX_COHORT:
            raise ValueError(
                f"{len(clients)} clients: a federation has {MIN_COHORT} to {MAX_COHORT}, because in a sum of two "
                "each member reads the other's update; write clients = [{ r = 2 }, { r = 4 }, { r = 8 }]"
            )
        named = tuple(
            member.model_copy(update={"id": member.id or f"client-{number}"})
            for number, member in enumerate(clients, start=1)
        )
        ids = [member.id for member in named]
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise ValueError(
                f"two clients carry the same id, '{twice}'; give each its own, such as id = \"bank\" (a client without "
                "id is called client-1, client-2, ... by its place)"
            )
        reserved = [str(name) for name in ids if name in RESERVED_IDS]
        if reserved:
            raise ValueError(
                f"a client is called '{reserved[0]}', but the folders 'lead' and 'server' are not clients'; "
                'write another id, such as id = "client-1"'
            )
        return named


class ServerSection(Section):
    """``[server]``: where the aggregator listens, where clients find it, and its limits."""

    address: Address = "127.0.0.1:7443"
    """Where the server listens; the host 0.0.0.0 or [::] is every address of its machine."""
    client_address: Address | None = None
    """Where clients find the server, if not at ``address``; its host is in the server's certificate."""
    join_timeout_s: float = Field(default=600, gt=0)
    """How long the server waits for the whole roster before it gives up."""
    round_timeout_s: float = Field(default=7200, gt=0)
    """How long a round may take before the server ends the run and names who is missing."""
    reconnect_grace_s: float = Field(default=15, ge=0)
    """How long a member may be out of reach before it counts as lost."""

    @property
    def can_be_reached(self) -> bool:
        """Whether clients on other machines could know from this section where to connect."""
        host, port = split_host_port(self.client_address or self.address)
        return port > 0 and not is_everywhere(host)

    @property
    def reached_at(self) -> str:
        """Where clients connect to; a server that listens everywhere is found over loopback unless it says more."""
        host, port = split_host_port(self.client_address or self.address)
        return join_host_port("127.0.0.1" if is_everywhere(host) else host, port)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Hosts that the server's certificate is for: where clients find it, where it listens, and loopback."""
        hosts = (split_host_port(self.reached_at)[0], split_host_port(self.address)[0])
        loopback = ("localhost", "127.0.0.1", "::1")
        return tuple(dict.fromkeys(host for host in (*hosts, *loopback) if not is_everywhere(host)))

    @field_validator("client_address")
    @classmethod
    def _clients_can_connect_there(cls, address: str | None) -> str | None:
        if address is None:
            return None
        host, port = split_host_port(address)
        if not port or is_everywhere(host):
            raise ValueError(
                f"no client can connect to '{address}'; write the name or address of the server's machine, and a port"
            )
        return address


class FederationConfig(Section):
    """A whole ``FED.toml``.

    Relative paths in it have been made absolute against the file's folder by ``config.load``.
    """

    federation: FederationSection
    model: ModelSection
    data: DataSection = DataSection()
    lora: LoraSection = LoraSection()
    training: TrainingSection = TrainingSection()
    recipe: RecipeSection = RecipeSection()
    sketch: SketchSection = SketchSection()
    privacy: PrivacySection = PrivacySection()
    encryption: EncryptionSection = EncryptionSection()
    cohort: CohortSection = CohortSection()
    server: ServerSection = ServerSection()

    @property
    def ranks(self) -> dict[str, int]:
        """Every client's rank, in the roster's order."""
        return {str(member.id): member.r or self.lora.r for member in self.cohort.clients}
