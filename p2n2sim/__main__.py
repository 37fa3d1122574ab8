"""`python -m p2n2sim`."""

from p2n2sim.cli import main

if __name__ == "__main__":
    main()
