"""``[data]``: the files, the columns in them, and the way in which rows are dealt out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from securefl.config.section import Section
from securefl.config.values import MAY_BE_EMPTY


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
    """``[data]``: files (csv, tsv, jsonl and json, also gzipped, parquet, folders of ``datasets``), and columns."""

    train: str | None = None
    test: str | None = None
    text: tuple[str, ...] = ("text",)
    """One column, or two for sentence pairs."""
    label: str = "label"
    messages: str | None = None
    """Column of conversations for a language model, lists of role and content; without it, ``messages``, as for the
    other five, each by its own name. A file has one of three forms (messages; prompt and completion; instruction,
    input and output); where a column is named here, its form alone is looked for."""
    prompt: str | None = None
    completion: str | None = None
    instruction: str | None = None
    input: str | None = None
    """Column of the text that an instruction is about; the column, or its cells, may be empty."""
    output: str | None = None
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
