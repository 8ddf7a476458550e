"""`wmenv bench` as a person runs it: what it writes, what its page says, what it refuses, and what it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from agents.bench import page, run
from agents.bench.plan import RATIOS, Plan, plan_for
from agents.bench.process import MeasurementFailed, apart
from agents.bench.rows import Point, Row, line
from agents.bench.store import Store
from agents.cli import FAULTY, main
from wmenv import InputError

ROOT = Path(__file__).parents[3]
COLUMNS = ["id", "part", "setting", "value", "unit", "low", "high", "target", "reached", "error", "plain", "ours"]
ABSENT = ["mujoco", "dm_control", "stable_baselines3", "gymnasium_robotics", "pyarrow", "av", "tyro", "rich", "wandb"]

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
"""


def stored(folder: Path, names: list[str], device: str = "cpu", command: str = "wmenv bench") -> Store:
    """A store of made-up rows of some ratios."""
    store = Store.opened(folder, device, command, keep=())
    store.rows = [line(name, f"<part> of {name}", "tiny", [2.0, 3.0], target=2.0, error=1e-3) for name in names]
    store.points = [(name, "batch", "tiny", "cached, S=1", 1.0 + i, 5.0) for name in names for i in range(2)]
    store.write("notes", list(RATIOS))
    return store


def broken(_: str) -> Iterator[Row | Point]:
    yield line("R1", "part", "setting", [1.0])
    raise RuntimeError("out of memory")


def killed() -> Iterator[Row]:
    yield line("R1", "part", "setting", [1.0])
    os._exit(7)


def test_it_runs_without_simulators_agents_and_tables(tmp_path: Path):
    """As on a machine with a GPU and little else; the blocked imports hold in the measuring processes too."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(absent=ABSENT), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "agents.bench", "--quick", "--only", "R7", "--out", str(tmp_path)]
    child = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert child.returncode == 0, child.stderr
    report = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert report["name"] == "cpu" and report["hardware"]["cores"] >= 1 and "torch" in report["versions"]
    assert report["command"].startswith("python -m agents.bench --quick --only R7") and report["failed"] == {}
    assert [list(row) for row in report["rows"]] == [COLUMNS] * 2
    assert "shared prefix" in child.stdout and "R7" in (tmp_path / "bench.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "R1,R99"], "wmenv: only: expected some of R1,R2"),
        (["--only", "R6"], "wmenv: only: expected ratios of 'cpu', got R6; it needs --device cuda"),
        (["--device", "cuda"], "wmenv: device: expected a CUDA GPU for 'cuda', got none; use 'cpu'"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["bench", "--out", str(tmp_path / "out"), *arguments]) == FAULTY
    assert capsys.readouterr().err.startswith(said) and not (tmp_path / "out").exists()


def test_the_verb_measures_anew_what_is_named_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "apart", lambda _, name, plan: iter([line(name, "new", "tiny", [1.0])]))
    stored(tmp_path, ["R1", "R5"], command="wmenv bench --quick")
    assert main(["bench", "--out", str(tmp_path), "--only", "r5, R2"]) == 0
    report = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert [(row["id"], row["part"]) for row in report["rows"]] == [
        ("R1", "<part> of R1"), ("R2", "new"), ("R5", "new"),
    ]  # fmt: skip
    assert {point[0] for point in report["points"]} == {"R1"} and report["command"].startswith(
        "wmenv bench --quick and"
    )
    assert main(["bench", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in report["rows"]] == [name for name in RATIOS if name != "R6"]


def test_another_machines_rows_are_not_mixed_in(tmp_path: Path):
    path = stored(tmp_path, ["R1"]).path
    report = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(report | {"hardware": report["hardware"] | {"cores": 999}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"out: expected a folder for hardware .* give --out another folder"):
        Store.opened(tmp_path, "cpu", "wmenv bench", keep=["R1"])
    assert Store.opened(tmp_path, "cpu", "wmenv bench", keep=()).rows == []


def test_a_failure_is_told_and_costs_no_other_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(_: object, name: str, plan: Plan) -> Iterator[Row]:
        if name == "R2":
            yield line("R2", "part", "tiny", [1.0])
            raise MeasurementFailed("RuntimeError: no memory")
        yield line(name, "part", "tiny", [1.0])

    monkeypatch.setattr(run, "apart", failing)
    told: list[str] = []
    failed = run.bench(tmp_path, command="wmenv bench", only="R1,R2,R3", say=told.append)
    assert failed == {"R2": "RuntimeError: no memory"} and "  failed: RuntimeError: no memory" in told
    report = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in report["rows"]] == ["R1", "R2", "R3"] and report["failed"] == failed
    assert main(["bench", "--out", str(tmp_path), "--only", "R2"]) == 1


@pytest.mark.parametrize(
    ("measure", "args", "said"),
    [(broken, ("x",), "RuntimeError: out of memory"), (killed, (), "its process ended with code 7")],
)
def test_what_was_measured_before_a_process_failed_arrives(measure, args: tuple, said: str):
    got: list[Row] = []
    with pytest.raises(MeasurementFailed, match=said):
        for row in apart(measure, *args):
            got.append(row)
    assert [row["id"] for row in got] == ["R1"]


def test_the_page_shows_every_ratio_and_what_was_not_measured(tmp_path: Path):
    stored(tmp_path, [name for name in RATIOS if name != "R6"])
    text = page.write_page(tmp_path).read_text(encoding="utf-8")
    cells = {name: text.partition(f"<tr><td>{name}</td>")[2].partition("</tr>")[0] for name in RATIOS}
    assert cells["R6"].count(page.NOT_MEASURED) == 2  # on neither device
    for name in RATIOS:
        assert name == "R6" or ("2.5×; &gt;= 2 in 1 of 1" in cells[name] and cells[name].count(page.NOT_MEASURED) == 1)
    assert "GPU: not measured." in text and f"<b>{len(RATIOS) - 1}</b>" in text and "<svg" in text
    assert "<part>" not in text and "http" not in text and "<script" not in text
    HTMLParser().feed(text)
    path = stored(tmp_path, ["R6"], device="cuda").path
    report = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(report | {"hardware": report["hardware"] | {"gpu": "H200"}}), encoding="utf-8")
    assert "GPU: not measured." not in page.write_page(tmp_path).read_text(encoding="utf-8")


def test_a_gpu_gets_all_ratios_at_its_own_sizes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    plan = plan_for("cuda", quick=False)
    assert max(plan.batches["base"]) == 1024 and 256 in plan.batches["base"] and max(plan.kernel_rows) >= 1024
    assert run.read_ids(None, "cuda") == list(RATIOS) == list(run.MEASURES)


def test_plans_are_checked():
    assert plan_for("cpu", quick=True).seconds < plan_for("cpu", quick=False).seconds
    with pytest.raises(InputError, match="device: expected 'cpu' or 'cuda', got 'tpu'"):
        plan_for("tpu", quick=True)
