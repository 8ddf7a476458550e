"""Work in a child process that shares what is imported: kill drivers start one in milliseconds."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """Runs `work` in a child, which then exits with 0, or with 1 and its traceback; the child's process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def status_of(work: Callable[[], None]) -> int:
    """Runs `work` in a child to its end; how it ended, as `os.waitpid` tells it."""
    return os.waitpid(forked(work), 0)[1]
