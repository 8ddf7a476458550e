"""Every example runs as it stands, on the public API alone."""

import ast
import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def _load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_uses_faces_only(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("agents", "physics", "kernels"):
            assert "." not in node.module


def test_dream_steps(road, capsys):
    _load("dream_steps").main(str(road / "model"))
    out = capsys.readouterr().out
    assert "64 dreams" in out and "gives the same rewards: True" in out


def test_train_in_dreams(road, capsys):
    _load("train_in_dreams").main(str(road / "model"), "2048")
    assert "on the real task: " in capsys.readouterr().out


def test_evaluate_policy(road, capsys):
    _load("evaluate_policy").main(str(road / "policy"), "3")
    out = capsys.readouterr().out
    assert "(real)" in out and "(dream)" in out and "the dream promises" in out


def test_own_task(tmp_path, capsys, monkeypatch, quick):
    from wmenv.presets import PRESETS

    monkeypatch.setitem(PRESETS, "tiny", quick)
    _load("own_task").main(str(tmp_path), record_steps=600, imagine_steps=2048)
    out = capsys.readouterr().out
    assert "600 steps" in out and "random: " in out and "dreamed: " in out
