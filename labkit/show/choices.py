# ruff: noqa: E501 - a style sheet and a script
"""A row of numbered buttons below a question, for `predict` and `quiz`. Rule: knows no lesson, keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as widgets
from IPython.display import display

from labkit.show import html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NAME_BUTTONS", "STYLE", "Choices", "Option", "Place"]

STYLE = """<style>
.labkit-question.labkit-question.labkit-question{font-size:1.15em;font-weight:600;margin:4px 0;line-height:1.4}
.labkit-options.labkit-options.labkit-options{margin:4px 0;padding-left:2em;font-size:1.1em;line-height:1.5}
.labkit-options li{padding:2px 8px;margin:2px 0;border-left:4px solid transparent}
.labkit-options li[data-state]{border-left-color:var(--jp-content-font-color1,currentColor);background:var(--jp-layout-color2,rgba(128,128,128,.18))}
.labkit-mark{font-weight:700;white-space:nowrap}
.labkit-state.labkit-state.labkit-state{font-size:1.05em;margin:6px 0}
.labkit-choices{flex-flow:row wrap;align-items:center;gap:8px 12px;margin:0 0 8px;padding:6px;overflow:visible}
.labkit-choices button.jupyter-button{min-width:3.2em;width:auto;height:auto;font-size:calc(var(--jp-content-font-size1,14px)*1.2);line-height:1.5;padding:3px 14px;margin:0;color:var(--jp-content-font-color0,inherit);background:var(--jp-layout-color2,#eee);border:1px solid var(--jp-border-color0,#616161);border-radius:6px}
.labkit-choices button.jupyter-button.labkit-chosen{font-weight:700;border:3px solid var(--jp-content-font-color0,currentColor);padding:1px 12px}
.labkit-choices.labkit-choices button.jupyter-button.jupyter-button:focus-visible{outline:3px solid #E69F00;outline-offset:2px;box-shadow:none}
.labkit-choices .widget-html-content{font-size:calc(var(--jp-content-font-size1,14px)*1.15);line-height:1.4}
.labkit-names{display:none}
.jp-NotebookPanel .jp-OutputArea:has(.labkit-choices) .labkit-folded{display:none}
</style>"""
# A button's tooltip does not reach the page when it has a text (ipywidgets 8.1), so its name travels in a hidden list.
# The place for words is made a live region once, here: one that is put in anew with each sentence is often not read.
NAME_BUTTONS = """<script>
(() => {
  const mend = () => document.querySelectorAll('.labkit-choices').forEach(row => {
    const says = row.querySelector('.labkit-says'), list = row.querySelector('.labkit-names');
    if (row.dataset.labkit || !says || !list || !list.querySelector('span')) return;
    row.dataset.labkit = 'named';
    row.setAttribute('role', 'group');
    says.setAttribute('role', 'status');
    const name = () => {
      const names = list.querySelectorAll('[data-name]'), group = list.querySelector('[data-group]');
      if (group) row.setAttribute('aria-label', group.textContent);
      row.querySelectorAll('button').forEach((button, at) => {
        if (!names[at]) return;
        button.setAttribute('aria-label', names[at].textContent);
        button.title = names[at].textContent;
      });
    };
    new MutationObserver(name).observe(list, {subtree: true, childList: true, characterData: true});
    name();
  });
  let tries = 0;
  const timer = setInterval(() => { mend(); if (++tries > 80) clearInterval(timer); }, 125);
})();
</script>"""


class Option(NamedTuple):
    """One button.

    Attributes:
        label: What stands on it, such as ``"1"``.
        name: What a screen reader says, such as ``"Answer 1: All of it"``.
    """

    label: str
    name: str


class Choices:
    """Buttons to choose one of several options, and a place for one sentence beside them."""

    def __init__(self, group: str, options: Sequence[Option], choose: Callable[[int], None]) -> None:
        """Build the row.

        Args:
            group: What the buttons belong to, for a screen reader.
            options: One per button.
            choose: Called with the number of the button, from 0, in the front end's thread.
        """
        self._group, self._options = group, tuple(options)
        self.buttons = [widgets.Button(description=one.label, tooltip=one.name) for one in self._options]
        for number, button in enumerate(self.buttons):
            button.on_click(lambda _, number=number: self._guarded(choose, number))
        self._says, self._names = widgets.HTML(), widgets.HTML()
        self._says.add_class("labkit-says")
        self._names.add_class("labkit-names")
        self.panel = widgets.HBox([*self.buttons, self._says, self._names])
        self.panel.add_class("labkit-choices")
        self.mark({})

    def mark(self, marks: dict[int, tuple[str, str]]) -> None:
        """Mark buttons: ``{0: ("✔", "chosen")}``. Its sign is seen, and it is set bold; its word ends its name."""
        names = f"<span data-group>{_said(self._group)}</span>"
        for number, (button, option) in enumerate(zip(self.buttons, self._options, strict=True)):
            mark = marks.get(number)
            _put(button, f"{mark[0]} {option.label}" if mark else option.label)
            (button.add_class if mark else button.remove_class)("labkit-chosen")
            name = f"{option.name}, {mark[1]}" if mark else option.name
            names += f"<span data-name>{_said(name)}</span>"
        if self._names.value != names:
            self._names.value = names

    def say(self, words: str) -> None:
        """Say something beside the buttons, to eyes and to a screen reader."""
        value = f"<span>{html.inline(words)}</span>" if words else ""
        if self._says.value != value:
            self._says.value = value

    def said(self) -> str:
        """Return what stands beside the buttons, as HTML."""
        text: str = self._says.value
        return text

    def show(self) -> None:
        """Put the row into the output of the cell that runs now."""
        words = f"(Buttons, where they work: {', '.join(option.label for option in self._options)})"
        display({**self.panel._repr_mimebundle_(), "text/plain": words}, raw=True)
        display({"text/html": NAME_BUTTONS, "text/plain": ""}, raw=True)

    def _guarded(self, choose: Callable[[int], None], number: int) -> None:
        """Make a failure seen beside the buttons, instead of vanishing in the front end's log."""
        try:
            choose(number)
        except Exception as error:  # noqa: BLE001 - shown to the student
            self.say(f"⚠ Not recorded. {type(error).__name__}: {error}")


class Place:
    """One place on the page that is redrawn in place; holds HTML, and the same as plain text."""

    def __init__(self) -> None:
        """Take no place yet."""
        self._handle: Any = None
        self._content: dict[str, str] = {}

    def open(self, page: str, text: str) -> None:
        """Take a place in the output of the cell that runs now."""
        self._content = {"text/html": page, "text/plain": text}
        self._handle = display(self._content, raw=True, display_id=True)

    def update(self, page: str, text: str) -> None:
        """Show new content, from any thread; nothing happens if it is the same, or if there is no place."""
        content = {"text/html": page, "text/plain": text}
        if self._handle is not None and content != self._content:
            self._content = content
            self._handle.update(content, raw=True)


def _put(button: widgets.Button, words: str) -> None:
    if button.description != words:
        button.description = words


def _said(text: str) -> str:
    """Prepare a name for a screen reader, which would read out the backticks around code."""
    return html.escape(text.replace("`", ""))
