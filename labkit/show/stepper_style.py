# ruff: noqa: E501 - a style sheet, not Python
"""Style and script of the stepper, as constants. Rule: no text of a student comes in here."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

# Colours come from JupyterLab's theme; elsewhere from the reader's own preference.
STYLE = """<style>
.lk{--lk-bg:var(--jp-layout-color0,#fff);--lk-ink:var(--jp-content-font-color0,#000);--lk-soft:var(--jp-content-font-color1,#333);
--lk-line:var(--jp-border-color1,#999);--lk-raised:var(--jp-layout-color2,#eee);--lk-red:#B00020;--lk-onred:#fff;--lk-lit:#FFE08A;--lk-onlit:#000;
background:var(--lk-bg);color:var(--lk-ink);font:17px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);max-width:1100px;padding:4px 2px}
@media (prefers-color-scheme:dark){.lk{--lk-bg:var(--jp-layout-color0,#111);--lk-ink:var(--jp-content-font-color0,#fff);
--lk-soft:var(--jp-content-font-color1,#ddd);--lk-line:var(--jp-border-color1,#888);--lk-raised:var(--jp-layout-color2,#2a2a2a);--lk-red:#FF8A80;--lk-onred:#000}}
[data-jp-theme-light="true"] .lk{--lk-red:#B00020;--lk-onred:#fff}
[data-jp-theme-light="false"] .lk{--lk-red:#FF8A80;--lk-onred:#000}
.lk *{box-sizing:border-box}
.lk p{margin:6px 0}
.lk-bar{display:flex;flex-wrap:wrap;gap:8px;align-items:center}
.lk-bar button{font:inherit;color:var(--lk-ink);background:var(--lk-raised);border:1px solid var(--lk-line);border-radius:6px;padding:6px 14px;cursor:pointer}
.lk-bar button[aria-disabled=true]{opacity:.5}
.lk-bar label{display:flex;flex:1 1 220px;gap:10px;align-items:center}
.lk-bar input{flex:1;min-width:120px;height:28px;accent-color:#0072B2}
.lk-bar :focus-visible{outline:3px solid #E69F00;outline-offset:2px}
.lk-say{font-size:22px;line-height:1.35;min-height:2.8em;border-left:6px solid var(--lk-line);padding:2px 0 2px 12px}
.lk-advice{font-weight:600;min-height:1.45em}
.lk-say[data-state=wrong]{border-left-color:var(--lk-red)}
.lk-chip{display:inline-block;min-width:1.6em;padding:0 .35em;border-radius:.4em;text-align:center;font-weight:700}
.lk svg text{font:15px var(--jp-ui-font-family,system-ui,sans-serif);fill:var(--lk-ink)}
.lk svg .lk-deed{font-weight:700}
.lk svg .lk-letter{font-size:20px;font-weight:700}
.lk svg .lk-tiny{font-size:13px}
.lk svg .lk-wrong{fill:var(--lk-red)}
.lk svg .lk-onred{fill:var(--lk-onred);font-weight:700}
.lk-lanes,.lk-ring svg{max-width:100%;height:auto;display:block}
.lk-rule{stroke:var(--lk-line);stroke-width:2}
.lk-paper{fill:var(--lk-bg)}
.lk-cover{fill:var(--lk-bg);opacity:.78}
.lk-now{stroke:var(--lk-ink);stroke-width:3;stroke-dasharray:7 5}
.lk-current{fill:none;stroke:var(--lk-ink);stroke-width:3.5}
.lk-stuck{fill:var(--lk-bg);stroke:var(--lk-red);stroke-width:3;stroke-dasharray:6 4}
.lk-hold{fill:var(--lk-bg);stroke-width:3}
.lk-wait rect{fill:var(--lk-bg);stroke:var(--lk-soft);stroke-width:1.5;stroke-dasharray:5 4}
.lk-wait line{stroke:var(--lk-line);stroke-width:22;stroke-dasharray:3 7;opacity:.55}
.lk svg .lk-wait text{paint-order:stroke;stroke:var(--lk-bg);stroke-width:5px;stroke-linejoin:round}
.lk-arrow path{fill:none;stroke:var(--lk-red);stroke-width:5}
.lk-arrow polygon{fill:var(--lk-red)}
.lk-badge{fill:var(--lk-red);stroke:var(--lk-bg);stroke-width:1.5}
.lk [data-state=off],.lk-arrow:not([data-state=on]),.lk-badges:not([data-state=on]){visibility:hidden}
.lk-ring{margin:0}
.lk-lock{fill:var(--lk-raised);stroke:var(--lk-ink);stroke-width:2}
.lk svg .lk-waits{stroke:var(--lk-red);stroke-width:4;fill:none}
.lk svg polygon.lk-waits{fill:var(--lk-red)}
.lk svg .lk-held{stroke:var(--lk-ink);stroke-width:3;fill:none;stroke-dasharray:7 5}
.lk svg polygon.lk-held{fill:var(--lk-ink);stroke-dasharray:none}
.lk-sources{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:10px;margin:10px 0}
.lk-source{border:1px solid var(--lk-line);border-radius:6px;padding:4px 8px;min-width:0}
.lk-head{line-height:1.6;overflow-wrap:anywhere}
.lk-head [data-state=stuck],.lk-head [data-state=failed],.lk-head [data-state=waits]{font-weight:700;color:var(--lk-red)}
.lk-line{display:flex;font:16px/1.55 var(--jp-code-font-family,ui-monospace,monospace)}
.lk-code{white-space:pre-wrap;overflow-wrap:anywhere;flex:1;min-width:0;padding-left:6ch;text-indent:-6ch}
.lk-mark{width:1.2em;flex:none}
.lk-no{width:2.2em;flex:none;text-align:right;padding-right:.7em;color:var(--lk-soft)}
.lk-line [data-state=now]{background:var(--lk-lit);color:var(--lk-onlit);font-weight:700;outline:2px solid var(--lk-ink);border-radius:3px}
.lk-line [data-state=next]{border-bottom:3px dotted var(--lk-ink)}
.lk-line [data-state=stuck]{border-bottom:3px double var(--lk-red);font-weight:700}
.lk-below{display:flex;flex-wrap:wrap;gap:12px 32px;align-items:flex-start}
.lk table{border-collapse:collapse;margin:4px 0;font-size:17px}
.lk caption{text-align:left;font-weight:600;color:var(--lk-ink)}
.lk table th,.lk table td{border:0;border-bottom:1px solid var(--lk-line);padding:4px 16px 4px 4px;text-align:left;background:none;color:var(--lk-ink);overflow-wrap:anywhere;max-width:22em}
.lk tr[data-state=changed] td,.lk tr[data-state=changed] th{font-weight:700;border-bottom:3px solid var(--lk-ink)}
</style>"""

# DATA is {"html", "first", "frames": [{"part|attribute": value}]}. The script only puts values where Python says:
# what Python draws for a step and what the script shows are the same by construction, and a test compares them.
SCRIPT = """(() => {
const data = DATA;
document.querySelectorAll('[data-lk-stepper="ID"]:not([data-lk-ready])').forEach(root => {
  root.dataset.lkReady = 'yes';
  const box = document.createElement('div');
  box.innerHTML = data.html;
  root.prepend(box);
  const table = root.querySelector('.lk-static');
  if (table) {
    const fold = document.createElement('details'), title = document.createElement('summary');
    title.textContent = 'All steps as a table';
    table.replaceWith(fold);
    fold.append(title, table);
  }
  const parts = {};
  box.querySelectorAll('[data-part]').forEach(part => { parts[part.dataset.part] = part; });
  const slider = box.querySelector('input'), last = data.frames.length - 1;
  const buttons = [...box.querySelectorAll('button[data-go]')];
  let at = last;
  const put = (name, value) => {
    const [key, attribute] = name.split('|'), part = parts[key];
    if (!part) return;
    if (attribute === 'text') { if (part.textContent !== value) part.textContent = value; }
    else part.setAttribute(attribute, value);
  };
  const show = to => {
    const before = data.frames[at];
    at = Math.max(0, Math.min(last, to));
    const now = data.frames[at];
    for (const name in before) if (!(name in now)) put(name, '');
    for (const name in now) put(name, now[name]);
    slider.value = at + data.first;
    slider.setAttribute('aria-valuetext', now['count|text']);
    buttons.forEach(button => {
      const there = button.dataset.go === 'first' || button.dataset.go === 'previous' ? 0 : last;
      button.setAttribute('aria-disabled', at === there);
    });
  };
  const go = {first: () => show(0), previous: () => show(at - 1), next: () => show(at + 1), last: () => show(last)};
  buttons.forEach(button => button.addEventListener('click', () => go[button.dataset.go]()));
  slider.addEventListener('input', () => show(Number(slider.value) - data.first));
  const keys = {ArrowLeft: 'previous', ArrowRight: 'next', Home: 'first', End: 'last'};
  const more = {ArrowDown: 'previous', ArrowUp: 'next'};  // on the slider only: elsewhere they scroll the page
  box.addEventListener('keydown', event => {
    const where = keys[event.key] || (event.target === slider && more[event.key]);
    if (!where || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    go[where]();
  });
  show(last);
});
})();"""
