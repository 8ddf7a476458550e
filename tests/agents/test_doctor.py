"""Shows that the doctor finds each known trap when it is there, and says how to mend it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import pytest

from agents.doctor import Diagnosis, Finding

module = import_module("agents.doctor")  # the face's `doctor` is the function

Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Makes the doctor believe that only the given distributions are installed, in these versions."""

    def only(versions: dict[str, str]) -> None:
        monkeypatch.setattr(module, "version_of", versions.get)

    return only


def broken(findings: Iterable[Finding]) -> list[str]:
    """Details of what is broken; everything broken must come with a fix."""
    bad = [finding for finding in findings if finding.status == "broken"]
    assert all(finding.fix for finding in bad)
    return [finding.detail for finding in bad]


def test_a_healthy_machine_has_nothing_broken():
    diagnosis = module.doctor()
    assert broken(diagnosis.findings) == []
    assert diagnosis.exit_code == 0 and str(diagnosis).endswith("all is well")
    topics = {finding.topic for finding in diagnosis.findings}
    assert {"python", "versions", "device", "GL", "disk"} <= topics


def test_something_broken_sets_the_exit_code_and_shows_its_fix():
    finding = Finding(topic="disk", status="broken", detail="full", fix="free some")
    diagnosis = Diagnosis(findings=(finding,))
    assert diagnosis.exit_code == 1
    assert "fix: free some" in str(diagnosis) and "1 broken" in str(diagnosis)


def test_mujoco_4_0_0_is_named(pretend: Pretend):
    pretend({"mujoco": "4.0.0"})
    assert "solves large sparse models wrongly" in broken(module.check_mujoco())[0]


def test_dm_control_beside_mujoco_4_is_named(pretend: Pretend):
    pretend({"mujoco": "4.0.1", "dm_control": "1.0.50"})
    assert "dm_control does not work" in broken(module.check_mujoco())[0]
    pretend({"mujoco": "4.0.1"})
    assert broken(module.check_mujoco()) == []


@pytest.mark.parametrize(("version", "bad"), [("2.9.1", True), ("2.10.0", False), ("2.13.0+cpu", False)])
def test_old_torch_is_named(pretend: Pretend, version: str, bad: bool):
    pretend({"torch": version})
    assert bool(broken(module.check_torch())) is bad


@pytest.mark.parametrize("units", [True, False])
def test_a_processor_without_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch, units: bool):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("wmenv.device.multiplies_bfloat16", lambda device: units)
    told = [finding for finding in module.check_device() if finding.topic == "bfloat16"]
    assert [finding.status for finding in told] == ([] if units else ["note"])


def test_torchvision_beside_cpu_torch_is_named(pretend: Pretend):
    pretend({"torch": "2.13.0+cpu", "torchvision": "0.28.0"})
    assert [finding.topic for finding in module.check_torch()] == ["torchvision"]
    pretend({"torch": "2.13.0+cpu", "torchvision": "0.28.0+cpu"})
    assert list(module.check_torch()) == []


def test_missing_dependency_is_named(pretend: Pretend):
    pretend({name: "1.0" for name in module.PACKAGES if name != "av"})
    assert broken(module.check_versions()) == ["missing: av"]


def test_packages_that_shadow_ours_are_named(pretend: Pretend, monkeypatch: pytest.MonkeyPatch):
    pretend({"openai-agents": "1.0"})
    owners = {"agents": ["openai-agents", "wmenv"], "kernels": ["wmenv"]}
    monkeypatch.setattr(module.metadata, "packages_distributions", lambda: owners)
    assert any("openai-agents also installs" in detail for detail in broken(module.check_names()))
    assert any("virtual environment" in finding.fix for finding in module.check_names())


def test_a_drawing_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "no-such-backend")
    assert "drawing failed" in broken(module.check_drawing())[0]


def test_a_drawing_that_crashes_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DRAW", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "killed by signal 11" in broken(module.check_drawing())[0]


def test_triton_that_crashes_after_drawing_is_a_finding(pretend: Pretend, monkeypatch: pytest.MonkeyPatch):
    pretend({"triton": "3.7.0"})
    monkeypatch.setattr(module, "DRAW_THEN_OPTIMIZE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "killed by signal 11" in broken(module.check_triton())[0]


def test_drawing_and_then_optimising_works():
    """Where triton is installed, this order ends in a segmentation fault unless physics imports triton first."""
    child = subprocess.run(
        [sys.executable, "-c", module.DRAW_THEN_OPTIMIZE], capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr


def test_missing_venv_module_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert any(f"python3.{sys.version_info.minor}-venv" in finding.fix for finding in module.check_python())


@pytest.mark.parametrize(("free", "status"), [(50.0, "ok"), (1.0, "note"), (0.1, "broken")])
def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, status: str):
    usage = type("Usage", (), {"free": int(free * module.GIB)})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    finding = next(iter(module.check_room(tmp_path / "not" / "yet")))
    assert finding.status == status and str(tmp_path) in finding.detail
    assert bool(finding.fix) is (status != "ok")
