"""RLPF: tuning a world model by what physics says of its dreams."""
