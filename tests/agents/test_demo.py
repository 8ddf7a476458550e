"""The demo from end to end, on frames, with almost no training: what it leaves behind is whole and says what it is."""

import json
import sys
from unittest.mock import create_autospec

import pytest
import tyro

from agents import cli
from agents.baselines import train_real
from agents.config import DemoConfig, ImagineConfig, command_options
from agents.demo import demo, prepare, summary
from agents.policy import Policy
from physics import TaskError
from wmenv import InputError

RETURNS = ("random", "zero", "dream", "real_equal_steps", "real_equal_policy_steps")


@pytest.fixture(scope="module")
def run(tmp_path_factory, quick):
    from wmenv.presets import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "quick", quick)
        out = tmp_path_factory.mktemp("demo")
        config = DemoConfig(
            preset="quick",
            record_steps=200,
            heldout_steps=60,
            imagine_steps=512,
            rounds=2,
            policies=2,
            episodes=3,
            seed=1,
        )
        ppo = ImagineConfig(num_envs=16, rollout=8, minibatches=2, epochs=1, hidden=(8,), horizon=20, gamma=0.98)
        rival = create_autospec(train_real, side_effect=train_real)
        patch.setattr(sys.modules[demo.__module__], "train_real", rival)
        report = demo(out, config=config, ppo=ppo, progress=False)
        assert rival.call_args.kwargs["gamma"] == 0.98, "who is compared wants the same"
    return out, report


def test_report_json_holds_what_was_promised(run):
    out, report = run
    assert json.loads((out / "report.json").read_text()) == report
    assert report["task"] == "wmenv/InvertedPendulum-v0" and report["seed"] == 1 and report["modality"] == "frames"
    assert set(report["returns"]) == set(RETURNS)
    for arm in RETURNS:
        assert {"mean", "sem", "episodes"} <= set(report["returns"][arm])
    assert report["returns"]["dream"]["episodes"] == 3
    assert set(report["speed"]) >= {"real_camera_fps", "dream_fps", "ratio"}
    errors = report["horizon_error"]
    assert len(errors["horizons"]) == len(errors["dream"]) == len(errors["copy_last"]) == len(errors["linear"]) > 0
    assert {"record", "train", "imagine", "evaluate", "baseline", "measure", "align", "total"} == set(
        report["wall_seconds"]
    )
    assert (
        198 <= report["real_steps"] < 220
        and report["policy_steps"] == 512
        and report["policies"] == 2
        and report["peak_memory_gib"] > 0.1
    )
    assert {"python", "torch", "mujoco"} <= set(report["versions"])


def test_its_commands_are_understood_and_say_all_options(run):
    line = next(line for line in run[1]["commands"] if line.startswith("wmenv loop"))
    loop = tyro.cli(cli.Loop, args=line.split()[2:])
    assert (loop.ppo.num_envs, loop.ppo.hidden, loop.ppo.horizon, loop.ppo.epochs) == (16, (8,), 20, 1)
    assert loop.ppo.gamma == 0.98 and loop.policies == 2 and loop.seed == 1
    odd = ImagineConfig(num_envs=16, verify=True, starts="initial", target_kl=0.1, hidden=(8, 9))
    parsed = tyro.cli(cli.Imagine, args=["m", "--steps", "1", "--out", "o", *command_options(odd).split()])
    assert parsed.ppo == odd and command_options(ImagineConfig()) == ""


def test_the_artefacts_lie_where_they_should(run):
    out, _ = run
    assert {"data", "model", "policy", "report.json", "report.html"} <= {path.name for path in out.iterdir()}
    assert Policy.load(out / "policy").config.trained_on == "dream"
    assert Policy.load(out / "policy_real").config.steps <= 220
    page = (out / "report.html").read_text()
    assert page.count("<video") == 3 and page.count("<img") >= 2


def test_the_table_names_every_policy(run):
    text = summary(run[1])
    for words in ("random actions", "no action at all", "PPO in dreams", "PPO, same real steps"):
        assert words in text


WRONG = [
    ({"task": "wmenv/No-v0"}, {}),
    ({"preset": "huge"}, {}),
    ({"behaviour": "random:0"}, {}),
    ({}, {"device": "tpu"}),
    ({}, {"verify": True}),
    ({}, {"activation": "step"}),
    ({}, {"hidden": (0,)}),
]


@pytest.mark.parametrize(("wrong", "ppo"), WRONG)
def test_a_demo_that_cannot_run_leaves_the_one_before(tmp_path, wrong, ppo):
    prepare(tmp_path)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises((InputError, TaskError)):
        demo(tmp_path, config=DemoConfig(**wrong), ppo=ImagineConfig(**ppo), progress=False)
    assert (tmp_path / "report.json").exists()


def test_a_second_demo_replaces_the_first_but_nothing_else(run, tmp_path):
    assert prepare(tmp_path / "new").exists()
    (tmp_path / "new" / "data").mkdir()
    (tmp_path / "new" / "notes.txt").write_text("mine")
    prepare(tmp_path / "new")
    assert not (tmp_path / "new" / "data").exists() and (tmp_path / "new" / "notes.txt").exists()
    foreign = tmp_path / "foreign"
    (foreign / "data").mkdir(parents=True)
    with pytest.raises(InputError, match="out: expected an empty folder or one of a demo"):
        prepare(foreign)
    assert cli.main(["demo", "--out", str(foreign)]) == 2 and (foreign / "data").exists()


def test_a_demo_of_too_few_steps_is_refused():
    with pytest.raises(InputError, match="record_steps: expected at least 240 for 4 rounds and 3 policies, got 99"):
        DemoConfig(record_steps=99)
    with pytest.raises(InputError, match="imagine_steps: expected at least 12 for 4 rounds and 3 policies, got 11"):
        DemoConfig(imagine_steps=11)
