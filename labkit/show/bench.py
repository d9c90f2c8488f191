"""Sliders around an experiment. Rule: callbacks only leave a request; one thread of its own measures and draws.

Slider callbacks run in a thread that Interrupt does not reach, so the bench has a Stop button, and every request ends
the run in flight. All measuring happens in child processes, so the kernel stays free for other cells meanwhile.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from labkit.course import session
from labkit.errors import BadValue
from labkit.runs.keepers import discard_spare, prewarm
from labkit.runs.plan import blocks, chosen_arms, plan
from labkit.runs.pythons import chosen_pythons
from labkit.runs.recorded import Recorded, pick, recorded_as, settings_of
from labkit.runs.supervise import LiveRun, begin, path_of
from labkit.show import html, results
from labkit.show.controls import Controls
from labkit.show.interpreters import offers
from labkit.show.live import LivePlace
from labkit.show.measure import chosen

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from labkit.model import Experiment, Json, Run, Trial

__all__ = ["Bench", "bench"]

_POLL_S = 0.1  # how often the progress bar moves during a run


class _Request(NamedTuple):
    """What the controls asked for; requests are numbered from 1."""

    number: int
    arms: list[str]
    settings: dict[str, Json]
    pythons: list[str] | None

    @property
    def lacks(self) -> str:
        """Say what has to be ticked; empty if nothing is missing."""
        ticks = {"arm": self.arms, "interpreter": self.pythons}
        return next((f"Tick at least one {name}." for name, ticked in ticks.items() if ticked == []), "")


class Bench:
    """A panel: sliders, arms, Run and Stop, and below it what was measured.

    Attributes:
        runs: Every run so far, of all settings, in order: for `labkit.frame` and `labkit.save`.
        latest: The runs of the setting that is shown.
        error: What failed last, if anything did; it is shown in the panel as well.
    """

    def __init__(  # noqa: PLR0913 - what `bench` takes, by keyword
        self,
        experiment: Experiment,
        *,
        repeats: int,
        arms: Sequence[str],
        start: Mapping[str, Json],
        recorded: Recorded | None = None,
        pythons: Sequence[str] | None = None,
    ) -> None:
        """Build the panel; nothing is measured before it is shown, and nothing at all if there is a recording."""
        self.experiment, self.repeats, self.recorded = experiment, repeats, recorded
        self.runs: list[Run] = []
        self.latest: list[Run] = []
        self.error: Exception | None = None
        offered = None if pythons is None else offers(chosen_pythons(pythons), recorded)
        self.controls = Controls(
            experiment, arms, start, ask=self._guarded(self._ask), stop=self._guarded(self.stop), pythons=offered
        )
        self._place = LivePlace()
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._served = 0  # number of the newest request that was dealt with
        self._live: LiveRun | None = None
        self._asked = self._stopped = 0  # numbers of the newest request, and of the newest one that was stopped
        self._thread: threading.Thread | None = None

    def stop(self) -> None:
        """End the run in flight and keep what was measured; returns at once."""
        self._stopped = self._asked
        live = self._live
        if live:
            live.stop()

    def wait(self) -> None:
        """Wait until nothing is being measured any more; interrupting this stops the measurement.

        It sleeps and looks: an interrupt inside one of `threading`'s own locks could leave that lock taken for ever.

        Raises:
            Exception: Whatever failed meanwhile, so that no failure passes unseen.
        """
        try:
            self._sleep_until_idle()
        except KeyboardInterrupt:
            self.stop()
            self._sleep_until_idle()
        if self.error:
            raise self.error

    def _sleep_until_idle(self) -> None:
        while self._served < self._asked:
            time.sleep(_POLL_S / 4)

    def _ipython_display_(self) -> None:
        """Show the controls, measure the setting that they show, and leave its picture in the notebook."""
        self.controls.show()
        self._place.open()
        self._ask()
        self.wait()

    def _guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """Make a callback whose failure is seen in the panel instead of vanishing in the front end's log."""

        def callback() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - shown, and raised by `wait`
                self._fail(error)

        return callback

    def _fail(self, error: Exception, words: str = "") -> None:
        """Keep what failed, and show it, or plain words if all that is wrong is a tick."""
        self.error = error
        self.controls.say("Failed: see below.")
        self._place.update(lambda: html.alert(words) if words else html.failure(error), now=True)

    def _ask(self) -> None:
        """Leave a request with the controls' values; whatever is being measured makes room for it."""
        controls = self.controls
        request = _Request(self._asked + 1, controls.arms(), controls.settings(), controls.pythons())
        self._asked, self.error = request.number, None
        self._requests.put(request)
        live = self._live
        if live:
            live.stop()
        if not self._thread or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._serve, daemon=True, name="labkit-bench")
            self._thread.start()

    def _serve(self) -> None:
        while True:
            request = self._requests.get()
            try:
                if request.number == self._asked:  # only the newest matters
                    self._measure(request)
            except Exception as error:  # noqa: BLE001 - shown, and raised by `wait`
                self._fail(error, request.lacks)
            self._served = request.number

    def _measure(self, request: _Request) -> None:
        """Run all trials of a request, unless it is stopped or a newer one comes."""
        self.latest = []
        arms = chosen_arms(self.experiment, request.arms)
        if self.recorded:
            self._replay(self.recorded, request, arms)
            return
        seed = random.SystemRandom().randrange(1 << 32)
        trials = plan(
            self.experiment, repeats=self.repeats, seed=seed, arms=arms, sweep=request.settings, pythons=request.pythons
        )
        began = time.monotonic()
        self.controls.busy(on=True)
        try:
            for number, trial in enumerate(trials):
                tick = partial(self.controls.progress, number, len(trials), began)
                run = self._run(trial, request.number, tick)
                if run is None:
                    break
                self.latest.append(run)
                self.runs.append(run)
                self._place.update(lambda: results.report(self.experiment, self.latest, final=False))
        finally:
            self.controls.busy(on=False)
            session.note(self.experiment.name, self.latest)
        if request.number == self._asked:
            self._finish(len(trials), time.monotonic() - began)
            python = path_of(trials[0])
            if python:  # the next slider's first event comes at once
                prewarm(trials[0], python=python, limits=self.experiment.limits)

    def _replay(self, recorded: Recorded, request: _Request, arms: list[str]) -> None:
        """Show what was recorded of a setting, and say what was not."""
        trials = plan(self.experiment, repeats=1, seed=0, arms=arms, sweep=request.settings, pythons=request.pythons)
        self.latest, missing = pick(recorded, trials)
        seen = set(map(id, self.runs))
        self.runs += [run for run in self.latest if id(run) not in seen]
        lacking = f"Not recorded at this setting: {missing}." if missing else ""
        note = f"{recorded.label} {lacking} Recorded are: {settings_of(recorded)}." if missing else recorded.label
        if self.latest:
            self._place.update(lambda: results.report(self.experiment, self.latest, note=note, recorded=True), now=True)
        else:
            shown = html.card("Not recorded at this setting", f"<p style='margin:4px 0'>{html.escape(note)}</p>")
            self._place.update(lambda: shown, now=True)
        count = len(self.latest)
        self.controls.say(f"{count} runs recorded as {recorded.name}." if count else "Not recorded at this setting.")

    def _run(self, trial: Trial, request: int, tick: Callable[[], None]) -> Run | None:
        """Run one trial; None if its request was stopped, or a newer one has come."""
        if self._ended(request):
            return None
        self._live = live = begin(trial, limits=self.experiment.limits)
        if self._ended(request):
            live.stop()  # it came while the run began
        while not live.join(_POLL_S):
            tick()
        self._live = None
        return None if self._ended(request) else live.wait()

    def _ended(self, request: int) -> bool:
        return request <= self._stopped or request < self._asked

    def _finish(self, planned: int, seconds: float) -> None:
        done = len(self.latest)
        stopped = f"Stopped: {done} of {planned} runs were measured, and are kept." if done < planned else ""
        self._place.update(
            lambda: results.report(self.experiment, self.latest, note=stopped, final=bool(self.latest)), now=True
        )
        self.controls.say(stopped or f"{html.runs(done)} in {seconds:.1f} s.")

    def close(self) -> None:
        """End what is running, and the worker that is kept ready."""
        self.stop()
        self._sleep_until_idle()
        discard_spare()


def bench(  # noqa: PLR0913 - the whole public interface; all but the first by keyword
    experiment: Experiment | str,
    *,
    repeats: int | None = None,
    quick: bool | None = None,
    arms: Sequence[str] | None = None,
    recorded: str | os.PathLike[str] | None = None,
    pythons: Sequence[str] | None = None,
    **start: Json,
) -> Bench:
    """Put sliders around an experiment: one per parameter, the arms to choose, Run and Stop.

    Shown in a cell, it measures its first setting at once, so that the notebook holds a picture also where nobody can
    move a slider. Moving one (on release) ends the run in flight and starts the next.

    Args:
        experiment: An `Experiment`, or the name of one.
        repeats: Runs of each arm per setting; 7 if left out, 3 in quick mode.
        quick: True to repeat less. If left out, the environment variable LABKIT_QUICK decides.
        arms: Arms that are ticked at first; all if left out.
        recorded: Name of a machine with a file in ``data/recordings``, or the path of a recording: the sliders choose
            among its runs, or the panel says that a setting was not recorded. Nothing is started.
        pythons: Interpreters that are ticked at first, as for `labkit.measure`; the panel then offers all that are
            here, and names those that are missing. If left out, it measures on this notebook's, and offers none.
        **start: Where a slider stands at first, one of the values that it offers.

    Raises:
        BadValue: If a name or a value is not allowed, or there is no such recording. No process has been started then.
        BadRecording: If the recording is damaged.
    """
    subject = chosen(experiment)
    count = blocks(repeats, quick)
    ticked = chosen_arms(subject, arms)
    for name, value in start.items():
        if isinstance(value, (list, tuple, range)):
            raise BadValue(name, value, "one value, where the slider stands at first", "To sweep it, use lab.measure.")
    plan(subject, repeats=count, seed=0, arms=ticked, sweep=start, pythons=pythons)  # refuses what is not allowed
    kept = None if recorded is None else recorded_as(subject, recorded)
    return Bench(subject, repeats=count, arms=ticked, start=start, recorded=kept, pythons=pythons)
