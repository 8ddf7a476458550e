"""What all tests share: Ctrl-C works in them and in what they start, even where their shell ignores it."""

import signal

# A job that a script puts in the background begins with SIGINT ignored, and so does everything that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
