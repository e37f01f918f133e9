"""Two recipes at equal bytes: each as far as the smaller upload of both brings it.

The rule kept here: a recipe's figure at so many bytes is that of its global adapter after the last round which a
client's uploads, openings included, allow, on the clients' validation rows: of test rows there is no curve.
"""

from __future__ import annotations

from itertools import accumulate
from statistics import mean

from securefl.bench.quality.measurement import CellMeasurement
from securefl.bench.quality.recipe_figures import Entry
from securefl.bench.quality.targets import merit


def difference_at_equal_bytes(ours: Entry, theirs: Entry) -> float | None:
    """The mean over their common seeds of the difference, more is better; None where a curve is missing.

    Both are cut at the smaller one of their whole uploads, the mean over clients.
    """
    seeds = {cell.job.seed: cell.measured for cell in ours.cells}
    pairs = [(seeds[cell.job.seed], cell.measured) for cell in theirs.cells if cell.job.seed in seeds]
    found = [_difference(*pair) for pair in pairs]
    known = [each for each in found if each is not None]
    return mean(known) if known and len(known) == len(found) else None


def _difference(ours: CellMeasurement, theirs: CellMeasurement) -> float | None:
    budget = min(_sent(ours)[-1], _sent(theirs)[-1])
    one, other = (_figure(each, budget) for each in (ours, theirs))
    return None if one is None or other is None else merit(ours, one) - merit(theirs, other)


def _sent(measured: CellMeasurement) -> list[float]:
    """Bytes of a client, mean over all, after the openings and after every round."""
    clients = measured.clients.values()
    rounds = zip(*(client.up_bytes for client in clients), strict=True)
    openings = mean(client.opening_bytes for client in clients)
    return list(accumulate((mean(each) for each in rounds), initial=openings))


def _figure(measured: CellMeasurement, budget: float) -> float | None:
    number = max((place for place, sent in enumerate(_sent(measured)) if sent <= budget), default=None)
    if number is None:
        return None
    found = [client.curve.get(str(number)) for client in measured.clients.values()]
    known = [each for each in found if each is not None]
    return mean(known) if len(known) == len(found) else None
