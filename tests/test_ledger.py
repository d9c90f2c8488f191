"""The claims of the article: a strict file, and a judge for each that is measured."""

from __future__ import annotations

import pytest

from labkit import ledger
from labkit.errors import BadRecording
from labkit.experiments import load_all
from labkit.model import Verdict
from labkit.tables import frame

HEADER = "id,article_section,claim,lesson,measured_by\n"
GOOD = 'a.b,Section,"A claim, with a comma",lesson,how\n'


def test_the_ledger_of_the_project_is_read():
    claims = ledger.claims()
    assert len(claims) == 78
    assert all(name == claim.id for name, claim in claims.items())
    assert claims["memory.race"].claim == "Shared memory brings race conditions"
    assert claims["memory.race"].lesson == "lost_updates"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "header"),
        ("id,claim\n" + GOOD, 1, "header"),
        (HEADER + "a.b,Section,Claim,lesson\n", 2, "4 cells"),
        (HEADER + GOOD + "\n", 3, "0 cells"),
        (HEADER + "a.b,Section, ,lesson,how\n", 2, "empty claim"),
        (HEADER + GOOD + GOOD, 3, "a.b stands twice"),
        (HEADER + 'a.b,"Section" x,Claim,lesson,how\n', 2, "expected after"),
        (HEADER + 'a.b,"Section,Claim,lesson,how\n', 2, "unexpected end"),
    ],
)
def test_a_damaged_ledger_is_refused_with_its_line(text, line, problem, tmp_path, monkeypatch):
    file = tmp_path / "claims.csv"
    file.write_text(text)
    monkeypatch.setattr(ledger, "_FILE", file)
    with pytest.raises(BadRecording, match=problem) as caught:
        ledger.claims()
    assert (caught.value.path, caught.value.line) == (str(file), line)


def test_a_missing_ledger_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "_FILE", tmp_path / "none.csv")
    with pytest.raises(BadRecording, match=r"is missing\. Use labkit from a clone"):
        ledger.claims()


def test_every_judge_answers_on_an_empty_table():
    judged = {experiment.name: ledger.judge(experiment, frame([])) for experiment in load_all()}
    assert set(judged["lost updates"]) == {"memory.race"}
    assert len(judged["creation cost"]) == 3
    for verdict in (verdict for verdicts in judged.values() for verdict in verdicts.values()):
        assert isinstance(verdict, Verdict)
        assert verdict.outcome == "cannot be measured here"
        assert verdict.reason
        assert verdict.effect is None
