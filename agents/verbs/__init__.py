"""The verbs of the command line that have files of their own; `agents.cli` gathers all."""
