"""How blind is a verifier? Known corruptions of real clips, and how well each signal tells them from real ones."""

from .baselines import phys_err
from .run import BenchConfig, run_verifierbench
from .tables import summary_rows, summary_tables

__all__ = ["BenchConfig", "phys_err", "run_verifierbench", "summary_rows", "summary_tables"]
