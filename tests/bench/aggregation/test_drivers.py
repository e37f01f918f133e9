"""The peers' drivers print what securefl reads; what is tested here is the part that all of them share."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from securefl.bench.aggregation.benchmark import DRIVERS
from securefl.bench.aggregation.measurement import Job, Measurement, read_measurement

DRIVER = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from harness import Laps, Round, measure

def run(job, vector):
    print("The peer says something.")
    laps, total = Laps(), 0.0
    for client in range(job["cohort"]):
        with laps.lap("client"):
            own = vector(client).astype(np.float64)
        with laps.lap("server_add"):
            total = total + own
    with laps.lap("server_finish"):
        mean = total / job["cohort"]
    with laps.lap("decrypt"):
        mean[3] += {error}
    return Round(laps, [own.nbytes] * job["cohort"], mean.nbytes, mean)

measure(run, packages=("numpy",), settings={{"kind": "plain"}}, warm_up={{}})
"""


@pytest.fixture
def driven(job: Callable[..., Job]) -> Callable[[float], Measurement]:
    """Run a driver that adds in float64 and errs in one value as it is told."""

    def call(error: float) -> Measurement:
        source = DRIVER.format(folder=str(DRIVERS), error=error)
        done = subprocess.run(
            [sys.executable, "-c", source],
            input=job(values=1000).model_dump_json().encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return read_measurement(done.stdout, cohort=3)

    return call


@pytest.mark.slow
def test_a_drivers_measurement_is_read(driven: Callable[[float], Measurement]) -> None:
    measured = driven(0.0)
    assert measured.up_bytes == (8000,) * 3
    assert measured.settings == {"kind": "plain"}
    assert measured.max_error < 1e-15


@pytest.mark.slow
def test_a_drivers_error_is_its_largest_difference_from_the_exact_mean(
    driven: Callable[[float], Measurement],
) -> None:
    assert driven(0.25).max_error == pytest.approx(0.25)


@pytest.mark.parametrize("driver", sorted(path.name for path in DRIVERS.glob("*.py")))
def test_drivers_import_nothing_of_ours(driver: str) -> None:
    source = (DRIVERS / driver).read_text()
    assert "import securefl" not in source
    assert "from securefl" not in source
