"""Motions to be judged: clips of states and actions, where they come from, and what is derived from them once."""
