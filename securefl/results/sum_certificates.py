"""Certificates of a member's sums, kept beside its result: which cohort, which survivors, and who voted for them.

The rule kept here: what is read is held against every limit of the wire; whether signatures hold is an audit's to say.

    certificates/round-1.json   {"format": 1, "cohort": hex, "certificate": hex, "survivors": hex}, each as it was
                                announced; the last one has the survivors' signed headers
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from securefl.errors import RunError, StateError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import Certificate
from securefl.protocol.calls import Certified, CohortClosed, SurvivorsProposed
from securefl.protocol.openings import round_name
from securefl.protocol.wire_announcements import decode_announcement, encode_announcement
from securefl.storage.disk import make_private_folder
from securefl.storage.private import put_whole

FOLDER: Final = "certificates"
FORMAT: Final = 1


def certificate_path(folder: Path, round_number: int) -> Path:
    """File of a round's certificate in the folder of a member's results."""
    return folder / FOLDER / f"{round_name(round_number)}.json"


def write_certificate(
    folder: Path,
    cohort: Cohort,
    certificate: Certificate,
    headers: tuple[Signed[ContributionHeader], ...] = (),
) -> None:
    """Keep a round's cohort and certificate, whole or not at all; an earlier one of the round is replaced.

    Args:
        folder: Of the member's results.
        cohort: The attempt's.
        certificate: Of the survivors whose sum was opened.
        headers: Their signed headers, in the statement's order: receipts of what each was charged for.
    """
    proposed = SurvivorsProposed(certificate.statement, headers)
    content = {
        "format": FORMAT,
        "cohort": encode_announcement(CohortClosed(cohort)).hex(),
        "certificate": encode_announcement(Certified(certificate)).hex(),
        **({"survivors": encode_announcement(proposed).hex()} if headers else {}),
    }
    make_private_folder(folder / FOLDER)
    put_whole(
        certificate_path(folder, cohort.attempt.round_number), (json.dumps(content) + "\n").encode("ascii")
    )


def read_certificate(path: Path) -> tuple[Cohort, Certificate]:
    """A round's cohort and certificate, unverified.

    Raises:
        StateError: if there is none, or it is malformed.
    """
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        cohort = decode_announcement(bytes.fromhex(content["cohort"]))
        certified = decode_announcement(bytes.fromhex(content["certificate"]))
    except OSError:
        raise StateError("there is no certificate", where=str(path)) from None
    except (ValueError, KeyError, TypeError, RecursionError, RunError):
        raise StateError("the certificate is malformed", where=str(path)) from None
    if not isinstance(cohort, CohortClosed) or not isinstance(certified, Certified):
        raise StateError("the certificate is malformed", where=str(path))
    return cohort.cohort, certified.certificate


def read_headers(path: Path) -> tuple[Signed[ContributionHeader], ...]:
    """The survivors' headers beside a certificate, unverified; none in a file that was written without them.

    Raises:
        StateError: if there is no such file, or it is malformed.
    """
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if "survivors" not in content:
            return ()
        proposed = decode_announcement(bytes.fromhex(content["survivors"]))
    except OSError:
        raise StateError("there is no certificate", where=str(path)) from None
    except (ValueError, KeyError, TypeError, RecursionError, RunError):
        raise StateError("the certificate is malformed", where=str(path)) from None
    if not isinstance(proposed, SurvivorsProposed):
        raise StateError("the certificate is malformed", where=str(path))
    return proposed.headers
