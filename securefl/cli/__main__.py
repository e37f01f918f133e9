"""``python -m securefl.cli``: the program ``securefl`` where no script of that name is on the PATH."""

import sys

from securefl.cli.main import main

sys.exit(main())
