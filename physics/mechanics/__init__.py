"""What MuJoCo knows of a task's model and derives from its states, for many at once: steps, contacts, bodies."""
