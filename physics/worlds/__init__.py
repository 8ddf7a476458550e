"""Three simulators instead of one, so that a verifier which was optimised against cannot be its own judge.

- D, the data world (`physics.worlds.data`): stands for the real robot. Clips are recorded in it, nobody else knows it.
- V, the verifier's worlds (here): an ensemble around a centre, which identification may move towards D.
- J, the judge (`physics.worlds.judge`): other constants, another integrator; it scores reports and never a reward.

D and J are exported from their own modules only: tests/physics/worlds/test_judge.py walks the imports of all that
makes a reward.
Source: RLPF (arXiv 2506.12769) reports .97 success in the simulator it trained against and .61 to .75 in another.
"""

from .copies import Consensus, consensus, ensemble, replay

__all__ = ["Consensus", "consensus", "ensemble", "replay"]
