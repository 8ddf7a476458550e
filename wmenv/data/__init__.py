"""Episodes on disk and in memory.

The store needs pyarrow and PyAV and is imported when it is first used, so that the records alone need only numpy.
"""

from typing import TYPE_CHECKING, Any

from .episode import Episode
from .info import DataInfo

if TYPE_CHECKING:
    from .folder import RepairReport
    from .store import EpisodeStore

__all__ = ["DataInfo", "Episode", "EpisodeStore", "RepairReport"]


def __getattr__(name: str) -> Any:
    """Imports the store late."""
    if name == "EpisodeStore":
        from .store import EpisodeStore

        return EpisodeStore
    if name == "RepairReport":
        from .folder import RepairReport

        return RepairReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
