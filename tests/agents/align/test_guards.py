"""What must take an update back does so; what pleases a blind verifier is seen by the whole one."""

from __future__ import annotations

import pytest

from agents.align import AlignConfig, Figures
from agents.align.guards import Guards
from wmenv import InputError

GIVEN = Figures(kept_loss=0.1, energy=1.0, sensitivity=0.5, diversity=1.0)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (GIVEN, ()),
        (GIVEN._replace(kept_loss=0.1019), ()),
        (GIVEN._replace(kept_loss=0.1021), ("held-out loss",)),
        (GIVEN._replace(kept_loss=float("nan")), ("held-out loss",)),
        (GIVEN._replace(energy=0.89), ("motion energy",)),
        (GIVEN._replace(sensitivity=0.39), ("action sensitivity",)),
        (Figures(kept_loss=1.0, energy=0.0, sensitivity=0.0, diversity=0.0), ("held-out", "motion", "action")),
    ],
)
def test_each_bound_trips(now: Figures, said: tuple[str, ...]) -> None:
    found = Guards(GIVEN, AlignConfig(), GIVEN.kept_loss).tripped(now)
    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


def test_what_was_won_is_not_given_up() -> None:
    (said,) = Guards(GIVEN, AlignConfig(), 0.05).tripped(GIVEN._replace(kept_loss=0.052))
    assert said.startswith("held-out loss 0.052, expected at most 0.051")


def test_a_model_that_was_poor_is_not_to_blame() -> None:
    still = GIVEN._replace(energy=0.3)
    assert Guards(still, AlignConfig(), still.kept_loss).tripped(still) == ()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"method": "magic"}, "method"),
        ({"exploration": "wild"}, "exploration"),
        ({"updates": 0}, "updates"),
        ({"starts": 3}, "starts"),
        ({"gamma": 1.5}, "gamma"),
        ({"clip": float("nan")}, "clip"),
        ({"recorded_share": 0, "random_share": 0}, "recorded_share, random_share, policy_share"),
        ({"noise_low": 0.2, "noise_high": 0.1}, "noise_low"),
        ({"denoise_steps": True}, "denoise_steps"),
    ],
)
def test_options_out_of_range(options: dict, field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: expected"):
        AlignConfig(**options)
