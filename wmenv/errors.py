"""The exceptions that wmenv raises, so that a caller can tell a bad argument from a damaged file.

Every message names the field, what was expected, what came and the fix.
"""


class WmenvError(Exception):
    """Base class of everything that wmenv raises on purpose."""


class InputError(WmenvError, ValueError):
    """An argument has the wrong type, shape, range or value."""


class DataError(WmenvError):
    """A data set on disk is damaged, incomplete or belongs to another task."""


class CheckpointError(WmenvError):
    """A stored model, policy or training checkpoint is damaged or of another kind."""


class TrainingError(WmenvError):
    """Training cannot go on: a loss or a gradient is not finite."""
