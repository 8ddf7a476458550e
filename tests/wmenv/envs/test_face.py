"""The face of wmenv.envs: what it names exists, and naming it costs nothing."""

import subprocess
import sys

import wmenv.envs


def test_every_public_name_exists() -> None:
    for name in wmenv.envs.__all__:
        assert getattr(wmenv.envs, name) is not None
    assert sorted(wmenv.envs._PLACES) == sorted(wmenv.envs.__all__)
    assert not hasattr(wmenv.envs, "nonsense")


def test_registering_does_not_wait_for_torch() -> None:
    code = "import sys, wmenv.envs.registration as r; r.register_all(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
