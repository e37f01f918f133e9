"""What a run is expected to cost, written down before any member starts.

The rule kept here: the plan is made of the provisioned federation's own file, the one that the members hold, and is in
the run's folder before there is anything that it could be fitted to.
"""

from __future__ import annotations

from securefl.cli.output import write_json
from securefl.planning.as_json import plan_json
from securefl.planning.forecast import Forecast, forecast
from securefl.planning.speed_process import measure_speed_apart
from securefl.protocol.federation import Federation
from securefl.results.folder import RunFolder


def forecast_run(folder: RunFolder, member: str) -> Forecast:
    """Plans the provisioned federation, measuring this machine, and writes ``plan.json``.

    Args:
        folder: The run's.
        member: Whose federation file is read; all are the same.

    Raises:
        IdentityError: if the file does not hold together.
        RunError: if this machine cannot be measured.
    """
    path = folder.member_file(member)
    federation = Federation.from_json_text(path.read_text(encoding="utf-8"), where=str(path))
    found = forecast(federation, speed=measure_speed_apart(federation))
    write_json(plan_json(found), str(folder.plan))
    return found
