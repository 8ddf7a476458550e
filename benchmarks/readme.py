"""Fills the documents' tables from results/ and benchmarks/*.json, so that no number in them is typed by hand.

`python -m benchmarks.readme` rewrites the blocks between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, where NAME is
`results`, `quality`, `probe`, a study's (`rlpf`, `fewsteps`, `codecs`), `ratios`, `bench:` and a benchmark, or
`verifier:` and one of the verifier's tables, and draws benchmarks/bench.html anew; with `--check` it only says whether
they are stale.
results/README.md describes the records.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from agents.bench import page
from agents.rows import published_rows
from benchmarks import codecs_table, fewsteps_table, rlpf_table

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/verifier.md", "docs/alignment.md", "docs/fewsteps.md", "docs/engine.md")
PAGE = "benchmarks/bench.html"
VERIFIER = "results/verifierbench/verifierbench.jsonl"
STUDIES: Mapping[str, Any] = {"rlpf": rlpf_table, "fewsteps": fewsteps_table, "codecs": codecs_table}
FORECASTS = {"forecast": "dream", "one dream": "one_dream", "linear model": "linear", "copy the last": "copy_last"}
ARMS = ("random", "zero", "real_equal_steps", "dream", "real_equal_policy_steps")
REQUIRED = ("task", "modality", "seed", "returns", "command", "hardware")
OPTIONAL = ("note", "real_steps", "policy_steps", "horizon_error", "below_rivals_to", "probe")
GOAL = 0.8
SEEDS = 3
SHOWN_STEPS = (1, 10, 50)
COLUMNS = 120  # of a line of prose
NO_GPU = "Not measured: no GPU has run it yet."
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
        for number, row in enumerate(published_rows(path), start=1):
            _check(row, f"{path.name}:{number}")
            run = runs.setdefault((row["task"], row["modality"], row["seed"]), {**row, "returns": {}, "made": []})
            run["made"].append((row["command"], _machine(row["hardware"])))
            run["returns"].update(row["returns"])
            run.update({key: row[key] for key in OPTIONAL if key in row})
    return runs


def results_table(runs: Mapping[Key, Run]) -> str:
    """The results by task as a Markdown table, mean over seeds with the standard error between them."""
    if not runs:
        return EMPTY
    header = ("task", "from", "seeds", "real steps", "random", "zero", "PPO, equal real steps")
    header += ("**dream**", "PPO, equal policy steps", "reached", "remark")
    rows = [_result_row(task, modality, group) for (task, modality), group in _by_task(runs.values()).items()]
    made = [source for run in runs.values() for source in run["made"]]
    commands, machines = (sorted(set(sources)) for sources in zip(*made, strict=True))
    explanation = (
        "Returns on the real task, mean ± standard error between seeds. `reached` is how far dreams came from the"
        " better of random and zero action (0%) to PPO with equal policy steps on the real task (100%)."
    )
    return "\n\n".join([_markdown(header, rows), explanation, _made_by(commands, machines)])


def quality_table(runs: Mapping[Key, Run]) -> str:
    """How far the models can be trusted, as a Markdown table: errors on held-out episodes, mean over seeds."""
    groups = _by_task(run for run in runs.values() if "horizon_error" in run)
    if not groups:
        return EMPTY
    header = ["task", "from", "seeds", "error of", "below both guesses up to step", *(f"step {h}" for h in SHOWN_STEPS)]
    rows = []
    for (task, modality), group in groups.items():
        first = [task.removeprefix("wmenv/"), modality, str(len(group))]
        reach = {"dream": sorted({run["below_rivals_to"] for run in group})}
        reach["one_dream"] = sorted({_reach(run["horizon_error"], "one_dream") for run in group})
        for name, key in FORECASTS.items():
            errors = [run["horizon_error"] for run in group if key in run["horizon_error"]]
            below = ", ".join(map(str, reach.get(key, ()))) or "–"
            rows.append([*first, name, below, *(_interval(_at(errors, key, step), 3) for step in SHOWN_STEPS)])
            first = [""] * 3
    explanation = (
        "Root mean square error of the latent in units of its spread, open loop, given the real actions (1: always"
        " guessing the mean). The forecast is the mean of 16 dreams whose starts differ by the model's one-step error."
        " How far one dream stays below both guesses is known at steps "
        + ", ".join(map(str, next(iter(groups.values()))[0]["horizon_error"]["horizons"]))
        + " only."
    )
    return "\n\n".join([_markdown(header, rows), explanation])


def probe_table(runs: Mapping[Key, Run]) -> str:
    """What the latents of frames hold, as a Markdown table: R2 of every state coordinate, mean over seeds."""
    groups = _by_task(run for run in runs.values() if "probe" in run)
    rows = [
        [task.removeprefix("wmenv/"), name, str(len(group)), _interval([run["probe"]["r2"][i] for run in group], 3)]
        + [_interval([run["probe"]["rmse"][i] for run in group], 3)]
        for (task, _), group in groups.items()
        for i, name in enumerate(group[0]["probe"]["names"])
    ]
    return _markdown(("task", "coordinate", "seeds", "R2", "error"), rows) if rows else EMPTY


def bench_table(report: Mapping) -> str:
    """One benchmark's rows as a Markdown table, with its command and hardware."""
    header = list(report["rows"][0]) if report["rows"] else []
    rows = [[_cell(row.get(key)) for key in header] for row in report["rows"]]
    parts = [_markdown([key.replace("_", " ") for key in header], rows)] if rows else [EMPTY]
    parts += [report["notes"]] if report.get("notes") else []
    return "\n\n".join([*parts, _made_by([report["command"]], [_machine(report["hardware"])])])


def ratios_block(folder: Path) -> str:
    """The engine's ratios as a Markdown table, a line for each part and a column for each device."""
    reports = page.read_reports(folder)
    if not reports:
        return EMPTY
    machines = {device: _machine(report["hardware"]) for device, report in reports.items()}
    made = [_made_by([report["command"]], [machines[device]]) for device, report in reports.items()]
    return "\n\n".join([_markdown(*page.summary(reports)), *made])


def study_block(name: str, path: Path) -> str:
    """The rows of a study as a Markdown table."""
    made = STUDIES[name]
    rows = made.load(path)
    if not rows:
        return f"No results yet: `python -m benchmarks.{name}` writes them."
    header, *lines = made.table(rows)
    machines = sorted({_machine(row["hardware"]) for row in rows})
    return "\n\n".join([_markdown(header, lines), made.NOTE, _made_by({rows[0]["command"]}, machines)])


def verifier_tables(path: Path) -> dict[str, str]:
    """The tables of `wmenv verifierbench`, by name; none where it has not been run."""
    if not path.exists():
        return {}
    from physics import summary_rows, summary_tables

    rows = published_rows(path)
    sources = {name: _sources(used) for name, used in summary_rows(rows).items()}
    return {name: f"{table}\n\n{sources[name]}".rstrip() for name, table in summary_tables(rows).items()}


def _sources(rows: Sequence[Mapping]) -> str:
    """What made the rows; empty where they do not say."""
    made = [row for row in rows if "command" in row]
    machines = {_machine(row["hardware"]) for row in made}
    return _made_by(sorted({row["command"] for row in made}), sorted(machines)) if made else ""


def render(text: str, root: Path = ROOT) -> str:
    """The document `text` with every generated block filled from the files under `root`."""
    runs = load_runs(root / "results")
    for name, table in (("results", results_table), ("quality", quality_table), ("probe", probe_table)):
        if f"<!-- {name}:" in text:
            text = _fill(text, name, table(runs))
    for name in STUDIES:
        if f"<!-- {name}:begin -->" in text:
            text = _fill(text, name, study_block(name, root / "results" / name / f"{name}.jsonl"))
    if "<!-- ratios:begin -->" in text:
        text = _fill(text, "ratios", ratios_block(root / "benchmarks"))
    named = re.findall(r"<!-- verifier:(\w+):begin -->", text)
    tables = verifier_tables(root / VERIFIER) if named else {}
    for name in named:
        text = _fill(text, f"verifier:{name}", tables.get(name) or EMPTY)
    for name in re.findall(r"<!-- bench:(\w+):begin -->", text):
        path = root / "benchmarks" / f"{name}.json"
        absent = NO_GPU if name == "cuda" else EMPTY
        table = bench_table(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else absent
        text = _fill(text, f"bench:{name}", table)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrites the documents, or with `--check` returns 1 when a table is stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table is stale")
    check = parser.parse_args(arguments).check
    for document in (*DOCUMENTS, PAGE):
        old = (ROOT / document).read_text(encoding="utf-8")
        new = page.render(page.read_reports(ROOT / "benchmarks")) if document == PAGE else render(old)
        if check and new != old:
            print(f"{document}: its tables differ from results/ and benchmarks/; run: make readme", file=sys.stderr)
            return 1
        if new != old:
            (ROOT / document).write_text(new, encoding="utf-8")
    return 0


def _check(row: Mapping, where: str) -> None:
    missing = [key for key in REQUIRED if key not in row]
    unknown = sorted(set(row.get("returns", ())) - set(ARMS))
    if missing or unknown:
        raise ValueError(f"{where}: expected fields {REQUIRED} and arms {ARMS}, lacks {missing}, unknown {unknown}")


def _result_row(task: str, modality: str, runs: Sequence[Run]) -> list[str]:
    arms = {arm: [run["returns"][arm]["mean"] for run in runs if arm in run["returns"]] for arm in ARMS}
    notes = sorted({run["note"] for run in runs if run.get("note")})
    steps = sorted({run["real_steps"] for run in runs if "real_steps" in run})
    cells = [task.removeprefix("wmenv/"), modality, str(len(runs)), ", ".join(f"{step:,}" for step in steps) or "–"]
    cells += [_interval(arms[arm]) for arm in ("random", "zero", "real_equal_steps")]
    cells += [f"**{_interval(arms['dream'])}**", _interval(arms["real_equal_policy_steps"])]
    few = [f"{len(runs)} of {SEEDS} seeds so far"] if len(runs) < SEEDS else []
    return [*cells, _reached(arms), "; ".join([*_misses(arms), *few, *notes]) or "–"]


def _by_task(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run["task"], run["modality"], run["seed"])):
        groups.setdefault((run["task"], run["modality"]), []).append(run)
    return groups


def _at(errors: Sequence[Mapping], key: str, step: int) -> list[float]:
    return [e[key][e["horizons"].index(step)] for e in errors if step in e["horizons"]]


def _reach(errors: Mapping, key: str) -> int:
    """The last stored step up to which `key` is below both cheap guesses; 0 for none."""
    reach = 0
    for step, own, *rivals in zip(*(errors[k] for k in ("horizons", key, "copy_last", "linear")), strict=True):
        if own >= min(rivals):
            break
        reach = step
    return reach


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
    if arms["dream"] and arms["real_equal_steps"]:
        lead = mean(arms["dream"]) - mean(arms["real_equal_steps"])
        if lead <= 0:
            misses.append("does not beat PPO with equal real steps")
        elif lead < 2 * _error(arms["dream"], arms["real_equal_steps"]):
            misses.append("not clearly above PPO with equal real steps")
    share = _share(arms)
    if share is not None and share < GOAL:
        misses.append(f"below {100 * GOAL:.0f}%")
    return misses


def _error(*arms: Sequence[float]) -> float:
    """Standard error of a difference of means; 0 for one seed, which has none."""
    return sqrt(sum(stdev(values) ** 2 / len(values) for values in arms if len(values) > 1))


def _interval(values: Sequence[float], digits: int | None = None) -> str:
    if not values:
        return "–"
    spread = f" ± {_number(stdev(values) / sqrt(len(values)), digits)}" if len(values) > 1 else ""
    return _number(mean(values), digits) + spread


def _number(value: float, digits: int | None = None) -> str:
    if digits is not None and abs(value) < 100:
        return f"{value:.{digits}f}"
    if abs(value) >= 1e6:
        return f"{value:.0e}"
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
        raise ValueError(f"document: expected one pair of {begin} and {end}, in this order")
    before, rest = text.split(begin)
    wrapped = "\n".join(line if line.startswith("|") else _wrapped(line) for line in content.split("\n"))
    return f"{before}{begin}\n{wrapped}\n{end}{rest.split(end)[1]}"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main())
