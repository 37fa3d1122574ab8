"""`p2n2sim` and `python -m p2n2sim`."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Runs the command line; Ctrl-C is answered from the first moment on, while it is still imported."""
    try:
        importlib.import_module("p2n2sim.cli").main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
