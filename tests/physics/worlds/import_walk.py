"""Which modules a file can see, by reading imports: names are followed to where they come from, not whole packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def reachable(root: Path, start: Path) -> dict[str, list[str]]:
    """Dotted names of all modules that `start` reaches within `root`, with the way there.

    A package's face is not followed as a whole, since importing any module runs it: only the modules from which the
    names asked for come. A face that is asked for a name it does not show counts as a whole.
    """
    first = _name(root, start)
    found, todo = {first: [first]}, [first]
    while todo:
        module = todo.pop()
        for other in _imports(root, module):
            if other not in found:
                found[other] = [*found[module], other]
                todo.append(other)
    return found


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imports(root: Path, module: str) -> Iterator[str]:
    path = _file(root, module)
    if path is None:
        return
    nodes = _nodes(path)
    whole = {a.asname or a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            source = _absolute(package, node.level, node.module or "")
            for alias in node.names:
                yield from _origins(root, source, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _file(root, alias.name) is not None and "." in alias.name:
                    yield alias.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in whole:  # physics.judge(...) after `import physics`
                yield from _origins(root, node.value.id, node.attr)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
                name = str(node.args[0].value)
                yield _absolute(package.partition(".")[0], 1, name[1:]) if name.startswith(".") else name


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """The nodes that matter; a path is read once, as files do not change during a test."""
    kinds = (ast.Import, ast.ImportFrom, ast.Attribute, ast.Call, ast.Dict)
    return tuple(n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, kinds))


def _absolute(package: str, level: int, module: str) -> str:
    if not level:
        return module
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def _origins(root: Path, source: str, name: str) -> list[str]:
    """The modules from which `from source import name` brings its name."""
    path = _file(root, source)
    if path is None:
        return []
    if path.name != "__init__.py":
        return [source]
    if _file(root, f"{source}.{name}") is not None and not _shown(root, source, path, name):
        return [f"{source}.{name}"]
    return _shown(root, source, path, name) or [source]


def _shown(root: Path, source: str, path: Path, name: str) -> list[str]:
    """Where a face has `name` from: an import in it, or an entry of a dictionary of places."""
    found = []
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == name for a in node.names):
            found.append(_absolute(source, node.level, node.module or ""))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name and isinstance(value, ast.Constant):
                    found.append(f"{source}.{str(value.value).lstrip('.')}")
    return [module for module in found if _file(root, module) is not None]
