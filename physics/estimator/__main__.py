"""`python -m physics.estimator TASK...` trains the estimators that come with the package, a few minutes each."""

from __future__ import annotations

import sys

from .build import train_estimator
from .estimator import SHIPPED

if __name__ == "__main__":
    for name in sys.argv[1:]:
        train_estimator(name, SHIPPED / name.removeprefix("wmenv/"))
