"""`python -m physics.verifier` makes the calibrations that come with the package, minutes each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import shipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes those of the shipped calibrations that are missing; to make one anew, remove its file."""
    parser = argparse.ArgumentParser(prog="python -m physics.verifier", description=main.__doc__)
    parser.add_argument("--tasks", nargs="+", default=shipped.TASKS, help="ids; all of the benchmark by default")
    parser.add_argument("--noise", nargs="+", type=float, default=shipped.NOISE, help="in spreads of real states")
    chosen = parser.parse_args(arguments)
    shipped.FOLDER.mkdir(exist_ok=True)
    for noise in chosen.noise:
        for task in chosen.tasks:
            path = shipped.calibration_path(task, noise)
            if not path.exists():
                shipped.fresh_calibration(task, noise).save(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
