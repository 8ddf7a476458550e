"""Run as a script by test_kill: kills writers of a data set at random moments and checks what they left.

Everything is imported once and every writer is a fork, so that a thousand real SIGKILLs take minutes, not hours.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from conftest import assert_same, make_episode, make_info  # noqa: E402

from tests.wmenv.forked import forked, status_of  # noqa: E402
from wmenv.data import EpisodeStore, RepairReport  # noqa: E402
from wmenv.data.folder import remove_leftovers  # noqa: E402


def write(path: Path, seed: int, acknowledge: int) -> None:
    """Appends episodes until killed; tells the number of those acknowledged."""
    rng = random.Random(seed)
    store = EpisodeStore.open(path) if (path / "meta/info.json").exists() else EpisodeStore.create(path, make_info())
    while True:
        first = store.num_episodes
        store.append([make_episode(i) for i in range(first, first + rng.randint(1, 4))])
        os.write(acknowledge, store.num_episodes.to_bytes(8, "little"))


def check(path: Path, acknowledged: int) -> None:
    """Every acknowledged episode is there and right, and a second repair finds nothing."""
    if not (path / "meta/info.json").exists():
        assert acknowledged == 0, "the data set is gone"
        return
    store = EpisodeStore.open(path)
    assert store.num_episodes >= acknowledged, f"{acknowledged} acknowledged, {store.num_episodes} found"
    for i, episode in enumerate(store.load()):
        assert_same(episode, make_episode(i))
    assert EpisodeStore.open(path).opened == RepairReport(), "repair is not idempotent"
    assert remove_leftovers(path, len(list((path / "meta/episodes").glob("*/*.parquet")))) == []


def main(folder: str, kills: int, seed: int) -> None:
    """Kills `kills` writers, each after some appends and a part of the next; a new data set every 25.

    More of them where fewer than three were killed while they wrote files, which takes a small part of an append.
    """
    rng = random.Random(seed)
    path, acknowledged, duration, during, number = Path(folder) / "0", 0, 0.05, 0, 0
    while number < kills or (during < 3 and number < 10 * kills):
        if number % 25 == 0:
            path, acknowledged = Path(folder) / str(number), 0
        reader, writer = os.pipe()
        child = forked(lambda path=path, number=number, writer=writer: write(path, number, writer))
        os.close(writer)
        told = 0
        for _ in range(rng.randint(0, 3)):
            begun = time.monotonic()
            acknowledged = int.from_bytes(os.read(reader, 8), "little")
            duration, told = time.monotonic() - begun, told + 1
        time.sleep(rng.uniform(0.0, 1.2) * duration)  # on a busy machine too, most kills land inside an append
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer failed by itself"
        while select.select([reader], [], [], 0)[0] and (part := os.read(reader, 8)):
            acknowledged = int.from_bytes(part, "little")
        os.close(reader)
        during += left_files(path)
        if status_of(lambda path=path, n=acknowledged: check(path, n)):
            sys.exit(f"kill {number}: what was left is wrong")
        number += 1
    print(f"{number} kills, {during} of them left unfinished files")


def left_files(path: Path) -> bool:
    """Whether the kill left temporary or unacknowledged files."""
    data, commits = (len(list((path / f).glob("*/file-*.parquet"))) for f in ("data", "meta/episodes"))
    return data > commits or any(path.rglob(".tmp-*"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
