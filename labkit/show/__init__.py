"""What a notebook shows: cards, live pictures, sliders. Rule: the only room that knows IPython and ipywidgets."""
