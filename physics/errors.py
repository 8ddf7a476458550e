"""The exception that physics raises, so that a caller can tell a bad argument from a fault of the program."""


class TaskError(ValueError):
    """A task, world, camera or action is not what was expected; the message names the field, the values and the fix."""


class ClipError(ValueError):
    """A motion clip or its file is not what was expected; the message names the field, the values and the fix."""
