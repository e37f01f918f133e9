"""The base of every section: frozen, closed against unknown keys, and lenient only where intent is plain."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from securefl.config.values import converted


class Section(BaseModel):
    """A section of the file: frozen, and closed against keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_intent(cls, table: object) -> object:
        """A single text for a list of texts, a word for a table that it chooses: see ``values``."""
        return converted(cls.model_fields, table)
