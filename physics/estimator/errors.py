"""The exception of the estimator: its files, its frames or its arguments are not what was expected."""


class EstimatorError(ValueError):
    """Frames, a file or an argument is not what was expected; the message names the field, the values and the fix."""
