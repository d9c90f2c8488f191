"""Replays witnesses of the classics on any interpreter. Rule: standard library only, run as a script elsewhere.

In: {name of a form: token} as JSON. Out: {name: how it ends and each step} as JSON.
"""

from __future__ import annotations

import json
import sys

from classics import FORMS

from labkit.interleave.explore import explore

__all__ = ["replay", "summary"]


def replay(name, token):
    """Return the result of one witness, run again."""
    form = FORMS[name]
    return explore(form.functions, setup=form.setup, check=form.check, outcome=form.outcome, token=token)


def summary(result):
    """Return what a replay must show again, in a form that survives JSON: how it ends, and each step."""
    steps = [[step.thread, step.kind, step.name, step.value, step.text] for step in result.witness]
    return [result.kind, steps]


if __name__ == "__main__":
    json.dump({name: summary(replay(name, token)) for name, token in json.load(sys.stdin).items()}, sys.stdout)
