"""What holds for all tests."""

import os
import signal

from hypothesis import settings

# How long an example takes depends on the machine, and says nothing of whether it is right.
settings.register_profile("sightseek", deadline=None)
settings.load_profile("sightseek")

# A shell starts what runs in the background deaf to Ctrl-C, which is what some tests are about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the tests expect is English, on any developer's machine.
os.environ["SIGHTSEEK_LANG"] = "en"
