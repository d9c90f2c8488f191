"""Plan trials, run each in a supervised child, know this machine, keep recordings.

Not called `run`: that name is the function.
"""
