"""The verifier: measures every signal of a motion, in units of real clips, and says what is wrong with it."""
