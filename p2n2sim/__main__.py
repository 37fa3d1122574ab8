"""`p2n2sim` and `python -m p2n2sim`."""

from __future__ import annotations

import importlib
import sys

from p2n2sim.interrupt import INTERRUPTED, ending_at_once


def main() -> None:
    """Runs the command line; Ctrl-C is answered from the first moment on, while it is still imported."""
    try:
        with ending_at_once():
            cli = importlib.import_module("p2n2sim.cli")
        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
