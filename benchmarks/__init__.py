"""Scripts that measure; `python -m benchmarks.NAME` writes benchmarks/NAME.json. They are not in the wheel."""
