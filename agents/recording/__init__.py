"""Recording real tasks: many environments side by side, whole episodes to the disk."""
