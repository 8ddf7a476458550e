"""The process that steps real environments for a recording; run as a script, it imports nothing of ours by itself.

So it starts in a second (no torch, no stable-baselines3), and the camera's OpenGL never meets torch in one process. It
gets actions for many steps at once and answers with streams of observations: one message instead of one a step.

# K steps, M rows of one environment's stream: K steps and, after each end, the next episode's first observation
"""

import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

_FLAGS = ("first", "terminated", "truncated", "diverged")


class EnvStream:
    """One environment, reset on the spot when an episode ends, with a seed of its own for every episode."""

    def __init__(self, env: Any, entropy: tuple[int, ...]) -> None:
        """Takes a Gymnasium environment and what its seeds derive from."""
        self._env = env
        self._seeds = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
        self._rows: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Begins an episode and emits its first row."""
        seed = int(self._seeds.integers(2**31))
        obs, info = self._env.reset(seed=seed)
        self._emit(obs, info, first=True, seed=seed)

    def step(self, action: np.ndarray) -> None:
        """Emits the observation that `action` leads to, be it the last, and the next episode's first one after it."""
        obs, reward, terminated, truncated, info = self._env.step(action)
        diverged = bool(info.get("diverged", False))
        self._emit(obs, info, reward=reward, terminated=terminated, truncated=truncated, diverged=diverged)
        if terminated or truncated:
            self.reset()

    def take(self) -> dict[str, np.ndarray]:
        """The rows since the last call, column by column, (M, ...)."""
        rows, self._rows = self._rows, []
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]} if rows else {}

    def _emit(self, obs: Any, info: dict[str, Any], *, reward: float = 0.0, seed: int = -1, **flags: bool) -> None:
        row: dict[str, Any] = {flag: np.bool_(flags.get(flag, False)) for flag in _FLAGS}
        row |= {"reward": np.float64(reward), "seed": np.int64(seed)}
        row |= {"qpos": info["qpos"], "qvel": info["qvel"]}
        if obs.dtype == np.uint8:
            row |= {"frames": obs, "state": info["state"]}
        else:
            row["state"] = obs
        self._rows.append(row)


def serve(connection: Connection) -> None:
    """Answers the parent until it hangs up, which also happens when it is killed.

    Messages are ("ok", one dict of rows for each environment) or ("error", text).
    """
    envs: list[Any] = []
    try:
        setup = pickle.loads(connection.recv_bytes())
        sys.path[:] = setup["path"]
        import gymnasium

        spec = pickle.loads(setup["spec"])
        envs = [gymnasium.make(spec, disable_env_checker=True, **setup["options"]) for _ in setup["entropy"]]
        streams = [EnvStream(env, entropy) for env, entropy in zip(envs, setup["entropy"], strict=True)]
        for stream in streams:
            stream.reset()
        while True:
            answer = ("ok", [stream.take() for stream in streams])
            connection.send_bytes(pickle.dumps(answer, protocol=5))  # protocol 5 copies an array once, not twice
            actions = connection.recv()  # (K, envs, A)
            for step in actions:
                for stream, action in zip(streams, step, strict=True):
                    stream.step(action)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is done
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        connection.send_bytes(pickle.dumps(("error", text, traceback.format_exc())))
    finally:
        for env in envs:
            env.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    serve(Connection(int(sys.argv[1])))
