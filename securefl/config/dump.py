"""A federation's configuration as the text of a ``FED.toml`` that loads to the same configuration.

The rule kept here: what nobody set stays unset where being set has a meaning of its own (the server's address: a
run on one machine takes a free port unless the file names one), or where it would be refused (keys that nothing reads).
"""

from __future__ import annotations

import tomli_w

from securefl.config.federation import FederationConfig
from securefl.config.unread import unread_keys


def federation_toml(config: FederationConfig) -> str:
    """Text of a ``FED.toml`` for a configuration; its paths stay as they are, so they should be absolute."""
    values = config.model_dump(mode="json", exclude_none=True)
    if "server" in values and "address" not in config.server.model_fields_set:
        del values["server"]["address"]
    for unread in unread_keys(config):
        if not unread.written(config):
            values.get(unread.section, {}).pop(unread.key, None)
    return tomli_w.dumps(values)
