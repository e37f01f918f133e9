"""What a federation is, from its TOML file.

``load``        files to validated objects
``syntax``      files to tables, and what to write where a file is no TOML
``paths``       paths that count from the file's folder, and ``~``
``federation``  the sections of ``FED.toml``
``member``      the sections of ``client.toml``
``names``       names and addresses
``values``      values as people write them
``explain``     what is wrong, in one sentence
``examples``    what a key may hold, with an example to copy
"""

from securefl.config.federation import FederationConfig
from securefl.config.load import load_federation

__all__ = ["FederationConfig", "load_federation"]
