"""Several policies of one round of the loop: each acts in its share of the next recording, and the best goes on.

Where PPO ends in a dream is partly luck, which no dream shows: from one policy, in one model, five seeds led to agents
that balance the pendulum for 946, 421, 264, 270 and 108 real steps (docs/design.md, Known limits). Reality tells them
apart with steps that the loop records anyway, and those show the next model what PPO made of this one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from wmenv import Episode, EpisodeStore, InputError

from .policy import Policy
from .rows import append_row, read_rows

LOG_NAME = "candidates.jsonl"


def best_candidate(
    here: Path,
    count: int,
    data: Path,
    imagine: Callable[[int, Path], object],
    record: Callable[[int, Path], object],
    incumbent: Path | None,
) -> Policy:
    """Dreams `count` policies, records each, and keeps the best of them as `here / "policy"`.

    A call that was killed goes on with the candidate that it was at.

    Args:
        here: The round's folder; gets `policy-0`, `policy-1`, ... and `candidates.jsonl`, a row for each.
        count: How many.
        data: Folder of the data set.
        imagine: Called as imagine(k, folder): dreams candidate k and stores it there.
        record: Called as record(k, folder) after it: records what is still missing of its share.
        incumbent: The policy that came from the round before, recorded as candidate `count`; None in the first round.

    Returns:
        The best, by the reward that it recorded for each episode it ended, one added: recordings stop in the midst of
        episodes, and who ends none in as many steps is the better the more reward there was.

    Raises:
        InputError: This round was begun with another `count`.
    """
    rows = read_rows(here / LOG_NAME)
    begun_with = {row["policies"] for row in rows} - {count}
    if begun_with:
        known = begun_with.pop()
        raise InputError(f"policies: expected {known}, with which the round in {here} was begun, got {count}")
    first = {row["candidate"]: row["first_episode"] for row in rows}
    folders = [here / f"policy-{k}" for k in range(count)] + ([incumbent] if incumbent else [])
    for k, folder in enumerate(folders):
        if k not in first:
            if folder != incumbent:
                imagine(k, folder)
            first[k] = EpisodeStore.open(data).num_episodes
            append_row(here / LOG_NAME, {"candidate": k, "policies": count, "first_episode": first[k]})
        record(k, folder)
    store = EpisodeStore.open(data)
    ends = [*(first[k] for k in range(1, len(folders))), store.num_episodes]
    best = max(range(len(folders)), key=lambda k: _worth([store.episode(i) for i in range(first[k], ends[k])]))
    shutil.copytree(folders[best], here / "policy", dirs_exist_ok=True)
    return Policy.load(here / "policy")


def _worth(episodes: Sequence[Episode]) -> float:
    ended = sum(episode.terminated or episode.truncated for episode in episodes)
    return sum(float(episode.reward.sum()) for episode in episodes) / (ended + 1)
