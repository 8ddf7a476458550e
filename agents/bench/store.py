"""How measurements are kept: one JSON file with the command, the hardware and the versions that made them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmenv import InputError, atomic

from ..machine import hardware, versions


def rounded(value: Any) -> Any:
    """A float with four significant digits, so that a rerun changes only what was measured; all else as it is.

    Raises:
        ValueError: it is not finite.
    """
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError(f"benchmark value: expected a finite number, got {value}; mend the measurement")
    return float(f"{value:.4g}")


def report(name: str, command: str, notes: str, rows: Iterable[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """What a file of measurements holds. No date and no path of this machine enters it.

    Args:
        name: The benchmark's name.
        command: What a reader types to repeat it.
        notes: What a reader needs beside the table.
        rows: Flat records, one a line of the table; the first row's keys are its columns.
        **more: What else is kept.
    """
    kept = [{key: rounded(value) for key, value in row.items()} for row in rows]
    machine = {"hardware": hardware(), "versions": versions()}
    return {"name": name, "command": command, **machine, "notes": notes, "rows": kept, **more}


@dataclass(kw_only=True, slots=True)
class Store:
    """The measurements of one device in one folder.

    Attributes:
        folder: Where they lie.
        device: "cpu" or "cuda", which names the file.
        command: What made them.
        rows: Of the table.
        points: Of the charts: (ratio, chart, preset, line, x, y).
        failed: Why a ratio was not measured, by its id.
    """

    folder: Path
    device: str
    command: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    points: list[Sequence[Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def opened(cls, folder: Path, device: str, command: str, *, keep: Collection[str]) -> Store:
        """A store in `folder`, which is made if need be, with what it holds of the ratios `keep`.

        Raises:
            InputError: what is to be kept was measured on another machine or with other versions.
        """
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder=folder, device=device, command=command)
        if not keep or not store.path.exists():
            return store
        old = json.loads(store.path.read_text(encoding="utf-8"))
        for what, here in (("hardware", hardware()), ("versions", versions())):
            if old[what] != here:
                raise InputError(
                    f"out: expected a folder for {what} {here}, got {store.path} of {old[what]}; "
                    "measure all ratios, or give --out another folder"
                )
        store.rows = [row for row in old["rows"] if row["id"] in keep]
        store.points = [point for point in old["points"] if point[0] in keep]
        store.failed = {name: why for name, why in old["failed"].items() if name in keep}
        if store.rows:
            store.command = " and ".join(dict.fromkeys((*old["command"].split(" and "), command)))
        return store

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.device}.json"

    def write(self, notes: str, order: Sequence[str]) -> None:
        """Writes the file, its rows by the ratios in `order`."""
        rows = sorted(self.rows, key=lambda row: order.index(row["id"]))
        points = [[rounded(entry) for entry in point] for point in self.points]
        content = report(self.device, self.command, notes, rows, points=points, failed=self.failed)
        atomic.write_json(self.path, content)
