"""Fills README's tables from results/*.jsonl and benchmarks/*.json, so that no number in it is typed by hand.

`python -m benchmarks.readme` rewrites the blocks between `<!-- results:begin -->` and `<!-- results:end -->`, and
between `<!-- bench:NAME:begin -->` and `<!-- bench:NAME:end -->`; with `--check` it only says whether they are stale.
results/README.md describes the records.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).parent.parent
ARMS = ("random", "zero", "real_equal_steps", "dream", "real_equal_policy_steps")
REQUIRED = ("task", "modality", "seed", "returns", "command", "hardware")
GOAL = 0.8
EMPTY = "No results yet: `make results` and `make bench` write them."

Run = dict
Key = tuple[str, str, int]


def load_runs(folder: Path) -> dict[Key, Run]:
    """Every run under `folder`, by (task, modality, seed); lines of one run add their arms to each other.

    Raises:
        ValueError: A line is no JSON record or lacks a required field; the message names file and line.
    """
    runs: dict[Key, Run] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            row = _parse(line, f"{path.name}:{number}")
            run = runs.setdefault((row["task"], row["modality"], row["seed"]), {**row, "returns": {}})
            run["returns"].update(row["returns"])
            run.update({key: row[key] for key in ("note", "real_steps", "policy_steps") if key in row})
    return runs


def results_table(runs: Mapping[Key, Run]) -> str:
    """The results by task as a Markdown table, mean over seeds with the standard error between them."""
    if not runs:
        return EMPTY
    header = ("task", "from", "seeds", "real steps", "random", "zero", "PPO, equal real steps")
    header += ("**dream**", "PPO, equal policy steps", "reached", "remark")
    groups: dict[tuple[str, str], list[Run]] = {}
    for (task, modality, _), run in sorted(runs.items()):
        groups.setdefault((task, modality), []).append(run)
    rows = [_result_row(task, modality, group) for (task, modality), group in groups.items()]
    commands = sorted({run["command"] for run in runs.values()})
    machines = sorted({_machine(run["hardware"]) for run in runs.values()})
    explanation = (
        "Returns on the real task, mean ± standard error between seeds. `reached` is how far dreams came from the"
        " better of random and zero action (0%) to PPO with equal policy steps on the real task (100%)."
    )
    return "\n\n".join([_markdown(header, rows), explanation, _made_by(commands, machines)])


def bench_table(report: Mapping) -> str:
    """One benchmark's rows as a Markdown table, with its command and hardware."""
    header = list(report["rows"][0]) if report["rows"] else []
    rows = [[_cell(row.get(key)) for key in header] for row in report["rows"]]
    parts = [_markdown([key.replace("_", " ") for key in header], rows)] if rows else [EMPTY]
    parts += [report["notes"]] if report.get("notes") else []
    return "\n\n".join([*parts, _made_by([report["command"]], [_machine(report["hardware"])])])


def render(text: str, root: Path = ROOT) -> str:
    """The README `text` with every generated block filled from the files under `root`."""
    text = _fill(text, "results", results_table(load_runs(root / "results")))
    for name in re.findall(r"<!-- bench:(\w+):begin -->", text):
        path = root / "benchmarks" / f"{name}.json"
        table = bench_table(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else EMPTY
        text = _fill(text, f"bench:{name}", table)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrites README.md, or with `--check` returns 1 when its tables are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table is stale")
    check = parser.parse_args(arguments).check
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = render(old)
    if check and new != old:
        print("README.md: its tables differ from results/ and benchmarks/; run: make readme", file=sys.stderr)
        return 1
    if new != old:
        readme.write_text(new, encoding="utf-8")
    return 0


def _parse(line: str, where: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: expected one JSON record, got {line[:60]!r}; remove the line") from error
    missing = [key for key in REQUIRED if key not in row]
    unknown = sorted(set(row.get("returns", ())) - set(ARMS))
    if missing or unknown:
        raise ValueError(f"{where}: expected fields {REQUIRED} and arms {ARMS}, lacks {missing}, unknown {unknown}")
    return row


def _result_row(task: str, modality: str, runs: Sequence[Run]) -> list[str]:
    arms = {arm: [run["returns"][arm]["mean"] for run in runs if arm in run["returns"]] for arm in ARMS}
    notes = sorted({run["note"] for run in runs if run.get("note")})
    steps = sorted({run["real_steps"] for run in runs if "real_steps" in run})
    cells = [task.removeprefix("wmenv/"), modality, str(len(runs)), ", ".join(f"{step:,}" for step in steps) or "–"]
    cells += [_interval(arms[arm]) for arm in ("random", "zero", "real_equal_steps")]
    cells += [f"**{_interval(arms['dream'])}**", _interval(arms["real_equal_policy_steps"])]
    return [*cells, _reached(arms), "; ".join([*_misses(arms), *notes]) or "–"]


def _share(arms: Mapping[str, Sequence[float]]) -> float | None:
    if not all(arms[arm] for arm in ("random", "zero", "dream", "real_equal_policy_steps")):
        return None
    floor = max(mean(arms["random"]), mean(arms["zero"]))
    ceiling = mean(arms["real_equal_policy_steps"])
    return (mean(arms["dream"]) - floor) / (ceiling - floor) if ceiling > floor else None


def _reached(arms: Mapping[str, Sequence[float]]) -> str:
    share = _share(arms)
    return "–" if share is None else f"{100 * share:.0f}%"


def _misses(arms: Mapping[str, Sequence[float]]) -> list[str]:
    misses = []
    if arms["dream"] and arms["real_equal_steps"] and mean(arms["dream"]) <= mean(arms["real_equal_steps"]):
        misses.append("does not beat PPO with equal real steps")
    share = _share(arms)
    if share is not None and share < GOAL:
        misses.append(f"below {100 * GOAL:.0f}%")
    return misses


def _interval(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {_number(stdev(values) / sqrt(len(values)))}" if len(values) > 1 else ""
    return _number(mean(values)) + spread


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _machine(hardware: Mapping) -> str:
    gpu = hardware.get("gpu") or "no GPU"
    return f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB, {gpu}"


def _made_by(commands: Iterable[str], machines: Iterable[str]) -> str:
    return f"Made by {', '.join(f'`{command}`' for command in commands)} on {'; '.join(machines)}."


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _fill(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"README.md: expected one pair of {begin} and {end}, in this order")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    sys.exit(main())
