"""Keeps README honest: its tables come from stored results, its commands exist, and its code compiles."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import pytest
import tyro

from agents import cli
from benchmarks import common, readme

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HARDWARE = {"cpu": "Test", "cores": 2, "memory_gib": 8, "gpu": None}


def line(**fields: object) -> str:
    row = {"task": "wmenv/Toy-v0", "modality": "state", "seed": 0, "command": "wmenv demo", "hardware": HARDWARE}
    return json.dumps(row | {"returns": {}} | fields) + "\n"


def arm(mean: float) -> dict[str, float]:
    return {"mean": mean, "sem": 1.0, "episodes": 50}


def test_tables_are_in_sync():
    assert readme.render(TEXT) == TEXT, "run: make readme"


def test_every_make_target_named_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        assert set(re.findall(r"(?:`|^ *)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets


def test_ci_runs_the_readme_command():
    assert re.search(r"^make test\b", TEXT, flags=re.MULTILINE)
    assert re.search(r"^exec make test$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_python_examples_compile():
    examples = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert examples
    for example in examples:
        compile(example, "README.md", "exec")


def test_commands_parse():
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL))
    commands = re.findall(r"^wmenv (.*?)\s*(?:#.*)?$", blocks, flags=re.MULTILINE)
    verbs = {shlex.split(command)[0] for command in commands}
    assert {"record", "train", "imagine", "evaluate", "loop"} <= verbs
    for command in commands:
        parsed = tyro.extras.subcommand_cli_from_dict(cli.VERBS, args=shlex.split(command))
        assert isinstance(parsed, cli.VERBS[shlex.split(command)[0]])


def test_links_within_the_project_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target


def test_runs_join_their_arms_and_average_over_seeds(tmp_path: Path):
    returns = {"random": arm(-40), "zero": arm(0), "dream": arm(8), "real_equal_steps": arm(2)}
    lines = [line(seed=0, returns=returns, real_steps=1000), line(seed=0, returns={"real_equal_policy_steps": arm(10)})]
    lines += [line(seed=1, returns=returns | {"dream": arm(10), "real_equal_policy_steps": arm(10)})]
    (tmp_path / "toy.jsonl").write_text("".join(lines), encoding="utf-8")
    row = readme.results_table(readme.load_runs(tmp_path)).splitlines()[2]
    # floor 0 (zero action, the better one), ceiling 10, dream (8 + 10) / 2; its standard error is sqrt(2) / sqrt(2)
    assert "| Toy-v0 | state | 2 | 1,000 |" in row
    assert "**9.00 ± 1.00**" in row and "| 90% | 2 of 3 seeds so far |" in row


def test_a_missed_bar_is_said_in_the_table(tmp_path: Path):
    arms = {"random": arm(0), "zero": arm(-1), "dream": arm(1), "real_equal_steps": arm(2)}
    text = line(returns=arms | {"real_equal_policy_steps": arm(10)}, note="too few seeds")
    (tmp_path / "toy.jsonl").write_text(text, encoding="utf-8")
    row = readme.results_table(readme.load_runs(tmp_path)).splitlines()[2]
    assert "| 10% | does not beat PPO with equal real steps; below 80%; 1 of 3 seeds so far; too few seeds |" in row


def test_a_lead_within_the_noise_is_no_win(tmp_path: Path):
    arms = {"random": arm(0), "zero": arm(0), "real_equal_policy_steps": arm(10)}
    pairs = ((9, 8), (8, 9), (10, 8))  # (dream, equal real steps): ahead by 2/3, standard errors of 1/3 and 0.58
    rows = [
        line(seed=i, returns=arms | {"dream": arm(a), "real_equal_steps": arm(b)}) for i, (a, b) in enumerate(pairs)
    ]
    (tmp_path / "toy.jsonl").write_text("".join(rows), encoding="utf-8")
    row = readme.results_table(readme.load_runs(tmp_path)).splitlines()[2]
    assert "| 90% | not clearly above PPO with equal real steps |" in row


def test_errors_and_probes_have_tables(tmp_path: Path):
    def errors(dream: float) -> dict:
        known = {"horizons": [1, 50], "dream": [dream, 0.5], "one_dream": [0.29, 0.7]}
        return known | {"linear": [0.3, 2e7], "copy_last": [1.0, 0.6]}

    probe = {"names": ["qpos:x [m]", "qvel:x [m/s]"], "r2": [0.99, 0.9], "rmse": [0.01, 0.2]}
    rows = [line(seed=i, horizon_error=errors(0.1 + i / 5), below_rivals_to=50 - i, probe=probe) for i in (0, 1)]
    (tmp_path / "toy.jsonl").write_text("".join(rows), encoding="utf-8")
    runs = readme.load_runs(tmp_path)
    quality = readme.quality_table(runs)
    assert "| Toy-v0 | state | 2 | forecast | 49, 50 | 0.200 ± 0.100 | – | 0.500 ± 0.000 |" in quality
    assert "|  |  |  | one dream | 1 | 0.290 ± 0.000 | – | 0.700 ± 0.000 |" in quality
    assert "linear model | – | 0.300 ± 0.000 | – | 2e+07" in quality and "known at steps 1, 50 only" in quality
    assert "| Toy-v0 | qvel:x [m/s] | 2 | 0.900 ± 0.000 | 0.200 ± 0.000 |" in readme.probe_table(runs)
    assert readme.quality_table({}) == readme.probe_table({}) == readme.EMPTY


@pytest.mark.parametrize("text", ["{", line(returns={"dreams": arm(1)}), '{"task": "x"}'])
def test_a_bad_result_line_is_named(tmp_path: Path, text: str):
    (tmp_path / "bad.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.jsonl:1: expected"):
        readme.load_runs(tmp_path)


def test_benchmarks_are_stored_with_command_and_hardware(tmp_path: Path):
    path = common.write("speed", [{"what": "step", "per_second": 1234.5678, "cached": True}], folder=tmp_path)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["rows"] == [{"what": "step", "per_second": 1235.0, "cached": True}]
    assert report["command"].startswith("python -m benchmarks.speed") and report["hardware"]["cores"] >= 1
    table = readme.bench_table(report)
    assert "| step | 1,235 | True |" in table and report["hardware"]["cpu"] in table
    with pytest.raises(ValueError, match="finite"):
        common.write("speed", [{"per_second": float("nan")}], folder=tmp_path)


def test_an_appended_result_is_in_the_table(tmp_path: Path):
    for seed in (0, 1):
        common.append_result(
            "toy", task="wmenv/Toy-v0", modality="state", seed=seed, returns={"dream": arm(5.0)},
            begun=time.monotonic() - 5, real_steps=1000, folder=tmp_path,
        )  # fmt: skip
    table = readme.results_table(readme.load_runs(tmp_path))
    assert "| Toy-v0 | state | 2 | 1,000 |" in table and "Made by `python -m benchmarks.toy` on" in table
    row = json.loads((tmp_path / "toy.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["wall_seconds"] >= 5 and row["threads"] >= 1


def test_rate_counts_units():
    assert common.rate(lambda: None, units=1000, seconds=0.01) > 1000


def test_stored_benchmarks_are_readable():
    for path in sorted((ROOT / "benchmarks").glob("*.json")):
        assert readme.bench_table(json.loads(path.read_text(encoding="utf-8"))).startswith("|"), path.name


@pytest.mark.parametrize("path", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda path: path.name)
def test_lines_fit_an_editor(path: Path):
    """Tables excepted, which cannot be wrapped."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > 130 and not line.startswith("|")]


def test_what_is_filled_in_is_wrapped_and_tables_are_not():
    row = "| " + "a very long cell " * 20 + "|"
    filled = readme._fill("<!-- x:begin -->\n<!-- x:end -->", "x", f"{row}\n\n{'some words ' * 30}\n\nEnd.")
    first, *rest = filled.splitlines()[1:-1]
    assert first == row and len(rest) == 6 and max(map(len, rest)) <= 120 and rest[-1] == "End."
