"""wmenv: Gymnasium environments whose steps are dreamed by a world model and checked by physics."""
