"""Make a notebook fit for a projector: large type, thick lines, folded code. Rule: looks only, the file stays as it is.

The style stands in the output of the cell that asked for it, and holds for that notebook alone: no cell is changed, and
no setting of JupyterLab. It works beside JupyterLab's own Presentation Mode, whose type is smaller and code unfolded.
"""

from __future__ import annotations

from typing import Any

from IPython import get_ipython
from IPython.display import HTML, display

from labkit import plots
from labkit.errors import BadValue
from labkit.show import html

__all__ = ["MARK", "NOTES", "Presentation", "present"]

MARK, NOTES = "labkit-presenting", "labkit-instructor"  # classes: of the style's place, and of an instructor's notes
_PLACE = "labkit-presentation"  # the one display that holds the style; a later call changes it
_places: list[Any] = []  # its handle, once there is one
# Every rule begins with SHOW: the notebook that holds the mark. Type is 24 pixels at least, as on a slide.
_RULES = """
SHOW{--jp-content-font-size1:26px;--jp-code-font-size:24px;--jp-ui-font-size1:22px;--jp-ui-font-size0:20px;
--jp-widgets-font-size:22px;--jp-widgets-inline-height:40px;--jp-cell-prompt-width:40px;--jp-content-line-height:1.45}
SHOW .jp-InputPrompt,SHOW .jp-OutputPrompt{font-size:12px;overflow:hidden}
SHOW .jp-RenderedHTMLCommon table{font-size:24px}
SHOW .jp-RenderedHTMLCommon :is(th,td){padding:.3em .45em}
SHOW .jp-RenderedHTMLCommon small{font-size:22px}
SHOW .jp-RenderedText pre,SHOW .jp-RenderedHTMLCommon pre{font-size:22px;line-height:1.4}
SHOW .jp-OutputArea-output section{max-width:1660px!important;font-size:26px}
SHOW .jp-OutputArea-output figure img{width:min(100%,1500px)!important}
SHOW .jp-OutputArea-output :is(.lk,.labkit-explorer){zoom:1.4}
SHOW .jp-OutputArea-output section .lk{max-width:1160px}
SHOW .jp-OutputArea-output .lk table{font-size:18px}
SHOW .widget-button,SHOW .widget-dropdown select{min-height:44px;height:auto;line-height:1.4}
SHOW :is(.widget-html-content,.widget-label,.widget-readout){font-size:22px}
SHOW .labkit-slider{width:1200px!important}
SHOW .labkit-slider .noUi-handle{transform:scale(1.6)}
SHOW .labkit-slider .widget-label{margin-right:20px}
SHOW .widget-checkbox input{zoom:1.6}
SHOW .labkit-claims{max-width:1660px!important}
SHOW .jp-cell-toolbar{display:none}
SHOW .labkit-slider .widget-readout{width:auto;min-width:11em;max-width:none}
SHOW .jp-MarkdownCell:has(.NOTES),SHOW .NOTES{display:none}
SHOW .jp-CodeCell .jp-InputArea-editor:has(.cm-line+.cm-line){max-height:1.75em;overflow:hidden;position:relative;
font-size:24px;transition:max-height 0s .35s}
SHOW .jp-CodeCell .jp-InputArea-editor:has(.cm-line+.cm-line)::after{content:"… more code";
position:absolute;top:0;right:0;padding:0 .5em;font:700 20px/1.9 var(--jp-ui-font-family,sans-serif);
color:var(--jp-content-font-color1,#222);
background:var(--jp-layout-color2,#eee);border-left:3px solid var(--jp-brand-color1,#1976d2);pointer-events:none}
SHOW .jp-CodeCell .jp-InputArea-editor:is(:hover,:focus-within){max-height:none!important;overflow:visible}
SHOW .jp-CodeCell .jp-InputArea-editor:focus-within{transition:none}
SHOW .jp-CodeCell .jp-InputArea-editor:is(:hover,:focus-within)::after{display:none}
"""
_ON = (
    "Type and pictures are large, and code is folded to its first line; notes for the instructor are hidden. "
    "Pictures that are drawn from now on have larger text and thicker lines; run a cell again to draw it so."
)
_OFF = "Type, pictures and code are as usual again."
_HOW = (
    ("Start", "menu View, Presentation Mode; or Ctrl+Shift+C, type presentation, Enter"),
    ("Hide the file list", "Ctrl+B"),
    ("Read folded code", "select the cell and press Enter; or rest the mouse on it"),
    ("Fold it again", "Esc"),
    ("Go on", "Shift+Enter runs a cell and goes to the next; the arrow keys only go"),
    ("End", "the same menu, and lab.present(False)"),
)


class Presentation:
    """Says what `present` did, and how to go on.

    Attributes:
        on: True if it was switched on.
    """

    def __init__(self, *, on: bool) -> None:
        """Keep what was asked for; nothing is switched here."""
        self.on = on

    def __repr__(self) -> str:
        """Say it in plain text."""
        if not self.on:
            return f"Presentation off. {_OFF}"
        return f"Presentation on. {_ON}\n" + "\n".join(f"  {what}: {how}" for what, how in _HOW)

    def _repr_html_(self) -> str:
        if not self.on:
            return html.card("Presentation off", f"<p>{_OFF}</p>")
        return html.card("Presentation on", f"<p>{_ON}</p>", html.rows(("to", "do"), _HOW, "In JupyterLab"))


def present(on: bool = True) -> Presentation:  # noqa: FBT001, FBT002 - lab.present(False) reads as it is meant
    """Show this notebook large, for a room: type, tables, pictures and lines; code folded, instructor's notes hidden.

    Meant for JupyterLab's Presentation Mode (menu View). Changes no cell, and nothing in the file but the output of the
    cell that calls it.

    Args:
        on: False to have everything as usual again.

    Returns:
        A card that says what was done, and which keys help.

    Raises:
        BadValue: If ``on`` is not True or False.
    """
    if not isinstance(on, bool):
        raise BadValue("on", on, "True or False", "Leave it out to begin.")
    plots.larger(on=on)
    if getattr(get_ipython(), "kernel", None) is not None:  # elsewhere there is no page
        _put(style() if on else "")
    return Presentation(on=on)


def style() -> str:
    """Return the mark and the style that it switches on, as HTML."""
    rules = _RULES.replace("SHOW", f".jp-Notebook:has(.{MARK})").replace("NOTES", NOTES)
    return f'<div class="{MARK}" hidden></div><style>{rules}</style>'


def _put(markup: str) -> None:
    """Change the place that holds the style, wherever it stands, and open one here if it is switched on."""
    for place in _places:
        place.update(HTML(markup and "<p></p>"))
    if markup:
        _places[:] = [display(HTML(markup), display_id=_PLACE)]
