"""The verbs of physics: judge a clip, measure how blind the judge is, find a recording's world, learn to track."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import tyro

from ..progress import progress_bar, say


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Judge a motion clip by physics and draw why: OUT gets verdict.svg and verdict.json.

    Attributes:
        clip: A file that MotionClip.save wrote.
        out: Folder.
        noise: Size of the errors that the clip's states are expected to have, in spreads of real states.
    """

    clip: tyro.conf.Positional[Path]
    out: Path
    noise: float = 0.02

    def run(self) -> int:
        """Judges."""
        from ..report.verdict import verify

        report = verify(self.clip, self.out, noise=self.noise)
        verdict = "could be real" if report.plausible else "is not physics"
        print(f"{report.task}: {verdict}, score {report.clip_score:.3g} (at least 95 of 100 real clips are below 1)")
        for sentence in report.sentences:
            print(f"  {sentence}")
        say(f"{self.out / 'verdict.svg'}: the picture")
        return 0


@dataclass(frozen=True, kw_only=True)
class Verifierbench:
    """Measure the verifier on known corruptions of real clips; goes on where it was stopped.

    Attributes:
        out: Folder; gets verifierbench.jsonl and verifierbench.md.
        tasks: Ids; all of the benchmark by default.
        noise: Sizes of the errors in all clips, in spreads of real states.
        films: Tasks that are also judged by films of them, through their shipped estimators.
        clips: Real clips, and clips to corrupt, of each task.
    """

    out: Path
    tasks: tuple[str, ...] = ()
    noise: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05)
    films: tuple[str, ...] = ()
    clips: int = 64

    def run(self) -> int:
        """Measures."""
        from physics import BenchConfig, run_verifierbench, summary_tables
        from wmenv import atomic

        from ..machine import hardware, versions

        config = BenchConfig(noise=self.noise, films=self.films, clips=self.clips)
        config = replace(config, tasks=self.tasks) if self.tasks else config
        about = {"command": self._command(), "hardware": hardware(), "versions": versions()}
        rows = run_verifierbench(config, self.out, progress=say, about=about)
        shown = 0.02 if 0.02 in self.noise else self.noise[0]
        text = "\n\n".join(f"{title}\n\n{table}" for title, table in summary_tables(rows, shown).items())
        atomic.write_bytes(self.out / "verifierbench.md", f"{text}\n".encode())
        print(text)
        return 0

    def _command(self) -> str:
        """What makes these rows again, in any folder."""
        chosen = {"tasks": self.tasks, "noise": map(str, self.noise), "films": self.films, "clips": [str(self.clips)]}
        parts = [[f"--{name}", *values] for name, each in chosen.items() if (values := list(each))]
        return shlex.join(["wmenv", "verifierbench", *chain(*parts)])


@dataclass(frozen=True, kw_only=True)
class Identify:
    """Find out in which world a data set was recorded: its mass, friction, damping and gear against the nominal ones.

    Attributes:
        data: Folder of the data set.
        out: A JSON file for the result.
        parameters: What may differ.
        clips: Stretches of episodes that are replayed.
    """

    data: tyro.conf.Positional[Path]
    out: Path | None = None
    parameters: tuple[str, ...] = ("mass", "friction", "damping", "gear")
    clips: int = 128

    def run(self) -> int:
        """Identifies."""
        from ..identify import identify_data

        found = identify_data(self.data, self.out, parameters=self.parameters, clips=self.clips)
        for name in self.parameters:
            print(f"{name}: {getattr(found.world, name):.4g} (standard deviation {found.std[name]:.2g})")
        for group in found.undetermined:
            told = "nothing about" if len(group) == 1 else "only ratios of"
            print(f"these clips tell {told} {', '.join(group)}")
        print(
            f"replay error, in spreads of real states: {found.error_before:.4g} before, {found.error_after:.4g} after"
        )
        return 0


@dataclass(frozen=True, kw_only=True)
class Track:
    """Train a policy that follows the clips of a robot within its motors' limits; OUT gets it and track.json.

    Attributes:
        task: Id of the task.
        out: Folder of the tracker.
        steps: Simulated steps of PPO.
        seed: Seed of weights, clips and noise.
        residual: Learn what to add to computed torque instead of the actions themselves.
    """

    task: tyro.conf.Positional[str]
    out: Path
    steps: int = 1_000_000
    seed: int = 0
    residual: bool = False

    def run(self) -> int:
        """Trains."""
        from ..tracking.track import track

        with progress_bar("track") as progress:
            track(self.task, self.out, self.steps, seed=self.seed, residual=self.residual, progress=progress)
        say(f"{self.out}: a tracker for {self.task}, and track.json with its success beside the others'")
        return 0
