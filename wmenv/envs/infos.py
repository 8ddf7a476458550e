"""The info of many environments as Gymnasium wants it: arrays over all of them, with a mask beside each.

# N envs, K rows begun
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def start_info(start: Array, index: Array, num_envs: int) -> dict[str, Array]:
    """The recorded contexts `start` (K,) that the rows `index` (K,) have begun from."""
    starts, begun = np.zeros(num_envs, dtype=np.int64), np.zeros(num_envs, dtype=bool)
    starts[index], begun[index] = start, True
    return {"start": starts, "_start": begun}


def verdict_info(score: Array, impossible: NDArray[np.bool_]) -> dict[str, Array]:
    """What a verifier said of each row's step (N,), and which of them were impossible, if any were."""
    info = {"physics": score, "_physics": np.ones(len(score), dtype=bool)}
    return info | ({"impossible": impossible, "_impossible": impossible.copy()} if impossible.any() else {})


def end_info(obs: Array, step_info: dict[str, Any], ended: NDArray[np.bool_]) -> dict[str, Any]:
    """What SAME_STEP autoreset keeps of the rows `ended` (N,): their last observations and infos.

    Args:
        obs: (N, ...) observations before any row is begun anew.
        step_info: that of the step, of all rows.
        ended: (N,).
    """
    final_obs = np.zeros_like(obs)
    final_obs[ended] = obs[ended]
    info = {"final_obs": final_obs, "_final_obs": ended.copy(), "final_info": step_info, "_final_info": ended.copy()}
    if "physics" in step_info:  # the score of every row's step; in the rows that ended, their last info says so
        info |= {"physics": step_info["physics"].copy(), "_physics": ~ended}
        step_info["_physics"] = ended.copy()
    return info
