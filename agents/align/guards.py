"""What takes an update back: forgetting real data, standing still, not heeding the actions.

Each is a known way to please a verifier without better physics (see docs/alignment.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import AlignConfig
from .figures import Figures


@dataclass(frozen=True, slots=True)
class Guards:
    """Compares a model with the one that was given, and its held-out loss with the least that there was.

    Args:
        given: Figures of the model before any update.
        config: Holds the bounds.
        least: Held-out loss of the best model so far, so that nothing won is given up again.
    """

    given: Figures
    config: AlignConfig
    least: float

    def tripped(self, now: Figures) -> tuple[str, ...]:
        """A sentence for each bound that is broken; none where all hold.

        A figure that is not finite breaks its bound. A model that moved less than real clips before is not to blame
        for that: the floor is then a share of what it had.
        """
        c, given = self.config, self.given
        most = self.least * (1 + c.gate)
        energy = c.energy_floor * min(1.0, given.energy)
        sensitivity = c.sensitivity_floor * given.sensitivity
        found = []
        if not now.kept_loss <= most:
            found.append(f"held-out loss {now.kept_loss:.4g}, expected at most {most:.4g}")
        if not now.energy >= energy:
            found.append(f"motion energy {now.energy:.3g} of real clips', expected at least {energy:.3g}")
        if not now.sensitivity >= sensitivity:
            found.append(f"action sensitivity {now.sensitivity:.3g}, expected at least {sensitivity:.3g}")
        return tuple(found)
