"""What ``make quickstart`` runs: a corpus made by this project, and a federation of four sites on a real encoder.

``corpus``      the rows, from a seed; ``phrasing`` and ``sites`` hold the words
``quickstart``  writes corpus and federation file into a folder, and checks the model's digest
"""

from securefl.demo.quickstart import prepare

__all__ = ["prepare"]
