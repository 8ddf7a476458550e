"""The exception of the estimator: its files, its frames or its arguments are not what was expected."""

from __future__ import annotations

from ..errors import ClipError


class EstimatorError(ClipError):
    """Frames, a file or an argument is not what was expected; the message names the field, the values and the fix."""
