"""The widgets of a bench: sliders, ticks, buttons, a progress bar. Rule: no measuring, no drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets
from IPython.display import HTML, display

from labkit.show import html
from labkit.show.live import answer_while_the_cell_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from labkit.model import Experiment, Json
    from labkit.show.interpreters import Offer

__all__ = ["LABEL_SLIDERS", "Controls"]

_WIDE = {"description_width": "11em"}
_LABEL = {"width": "11em", "flex": "0 0 auto", "margin": "0 8px 0 0", "justify_content": "flex-end"}
# ipywidgets gives the handle of a slider neither a name nor its value in words (ipywidgets 8.1): add both, and keep
# the value true while the slider moves. The handle is white on white and shows no focus: give it a colour and a ring.
# The value beside it stops the Tab key, as if one could type there; on a bench typing does nothing, so it does not.
LABEL_SLIDERS = """
<style>
.labkit-slider.labkit-slider .noUi-handle.noUi-handle{background:var(--jp-brand-color1,#1976d2);
border:2px solid var(--jp-content-font-color0,#000)}
.labkit-slider.labkit-slider .noUi-handle.noUi-handle:focus{outline:3px solid #E69F00;outline-offset:2px}
</style>
<script>
(() => {
  const mend = () => document.querySelectorAll('.labkit-slider').forEach(slider => {
    const handle = slider.querySelector('.noUi-handle'), label = slider.querySelector('.widget-label');
    const readout = slider.querySelector('.widget-readout');
    if (!handle || !label || handle.dataset.labkit) return;
    handle.dataset.labkit = 'named';
    handle.setAttribute('aria-label', label.textContent);
    const say = () => readout && handle.getAttribute('aria-valuetext') !== readout.textContent
      && handle.setAttribute('aria-valuetext', readout.textContent);
    new MutationObserver(say).observe(slider, {subtree: true, childList: true, characterData: true,
      attributes: true, attributeFilter: ['aria-valuetext']});
    say();
    if (readout && slider.closest('.labkit-bench')) readout.removeAttribute('contenteditable');
  });
  let tries = 0;
  const timer = setInterval(() => { mend(); if (++tries > 40) clearInterval(timer); }, 250);
})();
</script>
"""


class Controls:
    """What a student can set on a bench, and what the bench says while it works."""

    def __init__(  # noqa: PLR0913 - what a bench has, by keyword
        self,
        experiment: Experiment,
        arms: Sequence[str],
        start: Mapping[str, Json],
        *,
        ask: Callable[[], None],
        stop: Callable[[], None],
        pythons: Sequence[Offer] | None = None,
    ) -> None:
        """Build the widgets. ``ask`` and ``stop`` are called in the front end's thread, and must return at once."""
        self._sliders = {
            name: _slider(experiment, name, start) for name, values in experiment.sweep.items() if len(values) > 1
        }
        self._ticks = {arm: _tick(arm, arm in arms) for arm in experiment.arms}
        self._pythons = {offer.word: _tick(offer.label, offer.ticked) for offer in pythons or () if not offer.missing}
        self._offered, self._controls = pythons is not None, [*self._sliders.values(), *self._ticks.values()]
        self._controls += self._pythons.values()
        self._run = widgets.Button(description="Run", icon="play", tooltip="Measure this setting")
        self._stop = widgets.Button(description="Stop", icon="stop", tooltip="End the run in flight", disabled=True)
        self._bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="14em"))
        self._words = widgets.HTML('<span role="status"></span>')
        for control in self._controls:
            control.observe(lambda _: ask(), names="value")
        self._run.on_click(lambda _: ask())
        self._stop.on_click(lambda _: stop())
        rows = [_labelled("arms", self._ticks.values())]
        if pythons is not None:
            lacking = [widgets.HTML(html.inline(offer.missing)) for offer in pythons if offer.missing]
            rows.append(_labelled("interpreters", [*self._pythons.values(), *lacking]))
        buttons = _wrapped([self._run, self._stop, self._bar, self._words])
        self._panel = widgets.VBox([*self._sliders.values(), *rows, buttons])
        self._panel.add_class("labkit-bench")

    def show(self) -> None:
        """Put the widgets into the output of the cell that runs now."""
        display(self._panel)
        display(HTML(LABEL_SLIDERS))
        for control in (*self._controls, self._run, self._stop):
            answer_while_the_cell_runs(control)

    def arms(self) -> list[str]:
        """Return the arms that are ticked."""
        return [arm for arm, tick in self._ticks.items() if tick.value]

    def pythons(self) -> list[str] | None:
        """Return the words of the interpreters that are ticked; None if none are offered."""
        return [word for word, tick in self._pythons.items() if tick.value] if self._offered else None

    def settings(self) -> dict[str, Json]:
        """Return where the sliders stand."""
        return {name: slider.value for name, slider in self._sliders.items()}

    def busy(self, *, on: bool) -> None:
        """Switch Stop on while something is measured."""
        self._stop.disabled = not on
        answer_while_the_cell_runs(self._stop)
        self._bar.value = 0.0

    def progress(self, done: int, total: int, began: float) -> None:
        """Move the bar: ``done`` of ``total`` runs have ended since ``began`` (seconds of the monotonic clock)."""
        self._bar.value = done / total
        self.say(html.progress_words(done, total, began))

    def say(self, words: str) -> None:
        """Say something beside the bar, to eyes and to a screen reader."""
        text = f'<span role="status">{html.escape(words)}</span>'
        if self._words.value != text:
            self._words.value = text


def _slider(experiment: Experiment, name: str, start: Mapping[str, Json]) -> widgets.SelectionSlider:
    values = experiment.sweep[name]
    value = start.get(name, experiment.defaults[name])
    options = [
        (html.setting_in_words(name, one), one) for one in sorted({*values, value}, key=lambda one: _place(values, one))
    ]
    slider = widgets.SelectionSlider(
        options=options,
        value=value,
        description=html.label(name),
        continuous_update=False,
        style=_WIDE,
        layout=widgets.Layout(width="36em", max_width="100%"),
    )
    slider.add_class("labkit-slider")
    return slider


def _place(values: Sequence[Json], one: Json) -> tuple[float, str]:
    """Order numbers by size, everything else as the experiment lists it."""
    if isinstance(one, (int, float)):
        return float(one), ""
    return float(list(values).index(one)), ""


def _tick(arm: str, on: bool) -> widgets.Checkbox:  # noqa: FBT001
    return widgets.Checkbox(
        value=on, description=arm, indent=False, layout=widgets.Layout(width="auto", margin="0 16px 0 0")
    )


def _labelled(text: str, choices: Iterable[widgets.Widget]) -> widgets.HBox:
    """Put a label before choices that need more than one line on a narrow page."""
    return widgets.HBox([widgets.Label(text, layout=_LABEL), _wrapped(choices)])


def _wrapped(children: Iterable[widgets.Widget]) -> widgets.HBox:
    return widgets.HBox(list(children), layout=widgets.Layout(flex_flow="row wrap", flex="1 1 0%"))
