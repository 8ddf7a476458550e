"""Records of one JSON object a line, appended as they come: a killed run keeps every whole row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_row(path: str | Path, row: Mapping[str, Any]) -> None:
    """Appends one row; its folder is made if missing.

    Raises:
        ValueError: A number is not finite.
    """
    path = Path(path)
    text = json.dumps(row, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + text if cut_off else text)  # a kill cut the last row; this one is not to be lost with it


def published_rows(path: str | Path) -> list[dict[str, Any]]:
    """Every row, for tables: none may be lost without a word; where there is no file there are none.

    Raises:
        ValueError: A line is no JSON record; the message names file and line.
    """
    path = Path(path)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            where = f"{path.name}:{number}"
            raise ValueError(f"{where}: expected one JSON record, got {line[:60]!r}; remove the line") from error
    return rows


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The whole rows, to go on from; one that a kill cut off is left out, and where there is no file there are none."""
    path = Path(path)
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
