"""The policies of a round of the loop meet the one they began from in the recording that comes next; the best goes on.

Where PPO ends in a dream is partly luck, which no dream shows: from one policy, in one model, five seeds led to agents
that balance the pendulum for 946, 421, 264, 270 and 108 real steps (docs/design.md, Known limits). Reality tells them
apart with steps that the loop records anyway, and those show the next model what PPO made of this one.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wmenv import Episode, EpisodeStore, InputError

from .policy import Policy
from .rows import append_row, read_rows

LOG_NAME = "candidates.jsonl"
BEFORE = "before"
Part = tuple[int, int]


@dataclass(kw_only=True, slots=True)
class Contest:
    """One round's candidates: half of the recording are heats of the new ones, half a final of two.

    In the final the best of the new, or the only one, meets the policy of the round before; in the first round there is
    none, and the two best of the new meet. An only one has nobody to meet there and does not record yet. A policy's
    worth is the return that its recording foretells, see `foretold_returns`. What it recorded in earlier rounds counts
    too, so that one lucky stretch does not replace what has proved itself.

    Attributes:
        here: The round's folder; gets `policy-0`, `policy-1`, ..., `policy`, and a row in `candidates.jsonl` for each
            stretch of the recording.
        count: How many policies are dreamed.
        data: Folder of the data set.
        imagine: Called as imagine(k, folder): dreams candidate k and stores it there.
        record: Called as record(share, folder, name): that policy records until this share of the recording is done.
        before: Folder of the round before, or None in the first.
    """

    here: Path
    count: int
    data: Path
    imagine: Callable[[int, Path], object]
    record: Callable[[float, Path, str], object]
    before: Path | None
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> Policy:
        """Holds heats and final, and copies the best to `here / "policy"`; a killed contest goes on where it was."""
        self._rows = read_rows(self.here / LOG_NAME)
        names = [f"policy-{k}" for k in range(self.count)]
        kept = self._hold(names) if self.before or self.count > 1 else self._walk_over(names[0])
        shutil.copytree(self._folder(kept), self.here / "policy", dirs_exist_ok=True)
        return Policy.load(self.here / "policy")

    def _hold(self, names: Sequence[str]) -> str:
        for k, name in enumerate(names):
            if len(self._rows) <= k:
                self.imagine(k, self.here / name)
            self._stretch(k, name, (k + 1) / (2 * self.count))
        heats = self._worths({name: [self._part(k)] for k, name in enumerate(names)})
        best = sorted(names, key=heats.__getitem__, reverse=True)
        finalists = [BEFORE, best[0]] if self.before else best[:2]
        for i, name in enumerate(finalists):
            self._stretch(self.count + i, name, (i + 3) / 4)
        worths = self._worths({name: self._parts(name) for name in finalists})
        kept = max(finalists, key=worths.__getitem__)  # the policy before, if they are equal
        if len(self._rows) == self.count + 2:
            end = {"kept": kept, "first_episode": EpisodeStore.open(self.data).num_episodes}
            self._log(end | {"episodes": self._parts(kept)})
        return kept

    def _walk_over(self, name: str) -> str:
        if not self._rows:
            self.imagine(0, self.here / name)
            self._log({"kept": name, "first_episode": EpisodeStore.open(self.data).num_episodes, "episodes": []})
        return name

    def _stretch(self, index: int, name: str, share: float) -> None:
        if len(self._rows) <= index:
            self._log({"policy": name, "first_episode": EpisodeStore.open(self.data).num_episodes})
        if len(self._rows) == index + 1:  # the last one that was begun
            self.record(share, self._folder(name), name)

    def _log(self, row: dict[str, Any]) -> None:
        row = {"policies": self.count, **row}
        append_row(self.here / LOG_NAME, row)
        self._rows.append(row)

    def _folder(self, name: str) -> Path:
        return self.before / "policy" if name == BEFORE and self.before else self.here / name

    def _part(self, index: int) -> Part:
        """The episodes of a stretch."""
        begin, *after = (row["first_episode"] for row in self._rows[index : index + 2])
        return begin, after[0] if after else EpisodeStore.open(self.data).num_episodes

    def _parts(self, name: str) -> list[Part]:
        """The episodes that a policy has recorded, in this round and in those before."""
        own = [self._part(i) for i, row in enumerate(self._rows) if row.get("policy") == name]
        if name == BEFORE and self.before:
            earlier = read_rows(self.before / LOG_NAME)[-1:]  # none if that round is of a loop without contests
            since = [(row["first_episode"], self._rows[0]["first_episode"]) for row in earlier]
            own = [part for part in since if part[0] < part[1]] + own
            return [tuple(part) for row in earlier for part in row["episodes"]] + own
        return own

    def _worths(self, parts: Mapping[str, Sequence[Part]]) -> dict[str, float]:
        """What each policy is worth by these episodes."""
        store = EpisodeStore.open(self.data)
        recorded = {
            name: [store.episode(i) for begin, end in ranges for i in range(begin, end)]
            for name, ranges in parts.items()
        }
        return foretold_returns(recorded, store.info.max_episode_steps)


def check_begun(here: Path, count: int) -> None:
    """Refuses to go on with `count` policies in a round's folder where it was begun with more or fewer.

    Raises:
        InputError: It was.
    """
    others = {row["policies"] for row in read_rows(here / LOG_NAME)} - {count}
    if others:
        raise InputError(f"policies: expected {others.pop()}, with which the round in {here} was begun, got {count}")


def foretold_returns(recorded: Mapping[str, Sequence[Episode]], limit: int | None) -> dict[str, float]:
    """What each policy would earn in a whole episode, foretold from its recorded ones, of which many were cut off.

    It is the reward of a step times the steps that an episode goes on: as many as were recorded for each time that the
    task ended one (one added, so that who was never ended goes on the longer, the longer it was watched), and at most
    `limit`. Where the task ended none of them, all go on equally long. So of one policy more may be recorded than of
    another.
    """
    falls = {name: sum(episode.terminated for episode in episodes) for name, episodes in recorded.items()}
    foretold = {}
    for name, episodes in recorded.items():
        rewards = np.concatenate([episode.reward for episode in episodes])
        length = min(len(rewards) / (1 + falls[name]), limit or math.inf) if any(falls.values()) else limit or 1
        foretold[name] = float(rewards.mean()) * length
    return foretold
