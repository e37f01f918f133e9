"""Names of the files and folders that provisioning makes, and that members read.

DIR/server/      server.json
DIR/lead/        the certificate authority
DIR/client-1/    federation.json, signing.key, kem.key, shared.key, channels.key (keys.refused once an aggregate was
                 refused; rotation/ while its keys are being changed); of a member that made its own keys:
                 federation.json and dealt.keys
"""

from __future__ import annotations

from typing import Final

SERVER_FOLDER: Final = "server"
LEAD_FOLDER: Final = "lead"
SERVER_FILE: Final = "server.json"
FEDERATION_FILE: Final = "federation.json"
SIGNING_KEY_FILE: Final = "signing.key"
KEM_KEY_FILE: Final = "kem.key"
SHARED_KEYS_FILE: Final = "shared.key"
CHANNELS_FILE: Final = "channels.key"
REFUSED_FILE: Final = "keys.refused"
REQUEST_FILE: Final = "request.json"
DEALT_FILE: Final = "dealt.keys"
DEALT_PATTERN: Final = "dealt*.keys"
OWN_DEALS_FILE: Final = "own.deals"
ROTATION_FOLDER: Final = "rotation"
DEALS_FOLDER: Final = "deals"
