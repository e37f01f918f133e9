"""What a federation is, from its TOML file."""

from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation

__all__ = ["FederationConfig", "load_federation"]
