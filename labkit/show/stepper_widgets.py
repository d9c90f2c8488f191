"""A witness to step through with widgets: slider, buttons, keyboard. Rule: draws what `stepper.body` draws, no more."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from IPython.display import HTML, display

from labkit.show.controls import LABEL_SLIDERS
from labkit.show.stepper import body, frame_at, scene
from labkit.show.stepper_style import STYLE

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["Stepper", "stepper"]


class Stepper(widgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """Slider and buttons above the picture of one step.

    Attributes:
        result: What is stepped through.
        slider: The position, from 0 (before the first step) to the number of steps; set its value to go there.
        picture: HTML of that position.
    """

    def __init__(self, result: Result) -> None:
        """Show the end of the witness first, where it can be seen what went wrong."""
        self.result, self._scene, last = result, scene(result), len(result.witness)
        self.slider = widgets.IntSlider(
            value=last,
            min=0,
            max=last,
            description="step",
            continuous_update=True,  # a step is drawn in a few milliseconds, and nothing is measured meanwhile
            layout=widgets.Layout(width="30em", max_width="100%"),
        )
        self.slider.add_class("labkit-slider")  # the script of the bench gives its handle a name and its value in words
        self._buttons = {
            "First": _button("First", "First step", lambda: 0),
            "Previous": _button("◀ Previous", "Previous step", lambda: self.slider.value - 1),
            "Next": _button("Next ▶", "Next step", lambda: self.slider.value + 1),
            "Last": _button("Last", "Last step", lambda: last),
        }
        for button, where in self._buttons.values():
            button.on_click(lambda _, where=where: self._go(where()))
        self.count, self.picture = widgets.HTML(), widgets.HTML(layout=widgets.Layout(width="100%"))
        self.slider.observe(lambda _: self._draw(), names="value")
        bar = [*(button for button, _ in self._buttons.values()), self.slider, self.count]
        super().__init__([widgets.HBox(bar, layout=widgets.Layout(flex_flow="row wrap")), self.picture])
        self.add_class("labkit-stepper")
        self._draw()

    def _go(self, position: int) -> None:
        self.slider.value = min(max(position, 0), self.slider.max)

    def _draw(self) -> None:
        position = self.slider.value
        state = frame_at(self._scene, position)
        self.count.value = f"<span>{escape(state['count|text'])}</span>"
        self.picture.value = f'{STYLE}<div class="lk">{body(self._scene, position)}</div>'
        for name, (button, _) in self._buttons.items():
            button.disabled = position == (0 if name in {"First", "Previous"} else self.slider.max)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Show the widgets, and name the slider's handle for a screen reader, which ipywidgets does not."""
        display(HTML(LABEL_SLIDERS))
        return super()._repr_mimebundle_(**kwargs)


def stepper(result: Result) -> widgets.Widget:
    """Return widgets to step through the witness of a result; a sentence if it has none.

    Args:
        result: What `explore` found.
    """
    if not result.witness:
        return widgets.HTML("<p>There is no witness to step through.</p>")
    return Stepper(result)


def _button(words: str, name: str, where: Any) -> tuple[widgets.Button, Any]:
    return widgets.Button(description=words, tooltip=name, layout=widgets.Layout(width="auto")), where
