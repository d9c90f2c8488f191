"""Partners: orders and answers, and what becomes of a partner that fails, dies, or is left. All in a bare process."""

from __future__ import annotations

import os

import channel_workers as workers
import pytest
from test_channels import bare

BOTH = [name for name in workers.PARTNERS if not name.startswith("dies")]
DYING = [name for name in workers.PARTNERS if name.startswith("dies")]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


@pytest.mark.parametrize("between", ["threads", "processes"])
def test_a_partner_obeys_or_says_why_not_and_leaves_nothing(between):
    told, left = bare("partners", between, BOTH)
    assert told.pop("obedient") is True
    assert told.pop("unread") == "done"
    assert told.pop("silent")[:2] == ["EOFError", "the partner ended without an answer"]
    for when, said in (("at once", "ValueError: at once"), ("then", "SystemExit: then")):
        kind, text, _ = told.pop(f"raises {when}")
        assert (kind, text.splitlines()[0], text.splitlines()[-1]) == ("RuntimeError", "the partner failed:", said)
    kind, text, _ = told.pop("raises at the end")
    assert (kind, text.splitlines()[-1]) == ("RuntimeError", "SystemExit: at the end")
    assert told.pop("left by KeyError")[:2] == ["KeyError", "'k'"]
    assert told.pop("left by OSError")[:2] == ["OSError", "o"]
    assert told.pop("left by KeyboardInterrupt")[0] == "KeyboardInterrupt"
    assert told == {}
    assert left == []


def test_a_process_that_was_killed_is_told_by_its_signal():
    told, left = bare("partners", "processes", DYING)
    assert len(told) == 3
    for kind, text, _ in told.values():
        assert (kind, text) == ("RuntimeError", "the partner was killed by SIGKILL")
    assert told["dies then"][2] == "EOFError"
    assert told["dies ordered"][2] == "BrokenPipeError"
    assert left == []
