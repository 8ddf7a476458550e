"""The face of agents: every public name is there, and no module hides the function of its name."""

import subprocess
import sys

import pytest

import agents


@pytest.mark.parametrize("name", agents.__all__)
def test_a_public_name_exists(name):
    assert callable(getattr(agents, name))


def test_importing_a_module_does_not_hide_the_function_of_its_name():
    code = "import agents\n"
    for name in ("demo", "doctor", "evaluate", "imagine", "loop"):
        code += f"import agents.{name}\nfrom agents.{name} import {name} as same\nassert agents.{name} is same\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = agents.nothing


def test_help_needs_neither_torch_nor_the_simulator():
    code = "import sys\nfrom agents import cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit as end:\n    pass\n"
    code += "assert not {'torch', 'mujoco', 'stable_baselines3'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for verb in ("record", "train", "imagine", "evaluate", "loop", "demo", "doctor"):
        assert verb in done.stdout
