"""Reads results that were committed with the project: baselines too slow for a demo, never typed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .rows import read_rows

FOLDER = Path(__file__).parent.parent / "results"
"""Beside the packages in a clone; an installed wheel has none."""

NONE = {"mean": None, "sem": None, "episodes": None, "steps": None, "source": None}


def stored_arm(task: str, modality: str, arm: str, folder: Path = FOLDER) -> dict[str, Any]:
    """One arm of a task's committed runs, averaged over their seeds.

    Args:
        task: Id of the task.
        modality: "frames" or "state".
        arm: Such as "real_equal_policy_steps".
        folder: Holds `*.jsonl`, see results/README.md.

    Returns:
        `mean`, `sem` (between seeds; of the episodes where there is one seed), `episodes`, `seeds`, `steps` (dreamed in
        those runs, on average) and `source`, which names file, command and processor; all None if there is no such
        result.
    """
    found: dict[int, tuple[dict[str, Any], str, int | None]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for row in read_rows(path):
            result = row.get("returns", {}).get(arm)
            if row["task"] == task and row["modality"] == modality and result and result.get("mean") is not None:
                source = f"results/{path.name}, made by “{row['command']}” on {row['hardware']['cpu']}"
                found[row["seed"]] = (result, source, row.get("policy_steps"))
    if not found:
        return dict(NONE)
    results = [result for result, _, _ in found.values()]
    steps = [number for _, _, number in found.values() if number]
    means = [result["mean"] for result in results]
    mean = sum(means) / len(means)
    if len(means) > 1:
        sem = (sum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means)) ** 0.5
    else:
        sem = results[0].get("sem")
    return {
        "mean": mean,
        "sem": sem,
        "episodes": sum(result.get("episodes") or 0 for result in results),
        "seeds": len(results),
        "steps": round(sum(steps) / len(steps)) if steps else None,
        "source": "; ".join(sorted({source for _, source, _ in found.values()})),
    }
