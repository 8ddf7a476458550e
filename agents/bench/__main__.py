"""The bench without the command line's libraries, for a machine with a GPU and little else.

`python -m agents.bench --device cuda` needs torch, NumPy, Gymnasium and safetensors, and Triton for R6. With all of
wmenv installed it is `wmenv bench`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial

from wmenv import WmenvError

from .run import bench


def main() -> int:
    """Measures, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agents.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/bench", help="folder of <device>.json and bench.html")
    parser.add_argument("--only", help="some of the ratios, such as R1,R5")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that all works")
    options = parser.parse_args()
    command = shlex.join(["python", "-m", "agents.bench", *sys.argv[1:]])
    try:
        failed = bench(command=command, say=partial(print, flush=True), **vars(options))
    except WmenvError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
