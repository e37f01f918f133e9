"""Files of ``make quickstart``: a corpus made by this project, and a federation of four sites on a real encoder.

``phrasing``    the intents, and the sentences that every site shares
``sites``       the words of each site
``corpus``      the rows, from a seed
``quickstart``  corpus and federation file in a folder, and the model's digest checked
"""

from securefl.demo.quickstart import prepare

__all__ = ["prepare"]
