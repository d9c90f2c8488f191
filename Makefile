# labkit in two commands: `make lab` and `make test`. Needs make and Python 3.11 or later; works with make 3.81 (macOS).
#
# Every file name below is relative, so that the folder's own path may hold a space. Recipes say `python -m x`, never
# `.venv/bin/x`: the first line of such a script cannot hold a long path or one with spaces.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help lab test soak bench record picture clean again

PY := .venv/bin/python
LAB := .venv/installed-lab
TEST := .venv/installed-test
# Holds the folder in which .venv was finished; not there while an installation is under way.
WHOLE := .venv/whole

# Not empty when .venv has to be made anew: none there, interrupted, moved with its folder, its Python gone, or
# another one asked for.
WHICH := import sys; print(sys.base_prefix, sys.version_info)
AGAIN := $(shell \
  if [ "`cat $(WHOLE) 2>/dev/null`" != "`pwd -P`" ]; then echo again; \
  elif ! here=`$(PY) -c '$(WHICH)' 2>/dev/null`; then echo again; \
  elif [ -n "$(PYTHON)" ] && [ "`"$(PYTHON)" -c '$(WHICH)' 2>/dev/null`" != "$$here" ]; then echo again; fi)

# News and update offers are off: they ask a server, and cover what a student is to look at. The options keep the
# server from fetching them, the setting keeps the page from asking whether it may. It goes into .venv, not into the
# user's settings.
JUPYTER := --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
  --ServerApp.allow_root=True --Application.log_level=WARN --LabApp.news_url=None \
  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
OVERRIDES := .venv/share/jupyter/lab/settings/overrides.json
NO_NEWS := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

help:
	@echo 'make lab       install what is needed into .venv and open the first notebook in JupyterLab'
	@echo '               (make lab ARGS="--no-browser --port 9999", make lab PYTHON=/path/to/python3.13)'
	@echo 'make test      linter, types, and all tests with the notebooks and a real browser (ARGS="-k name" to choose)'
	@echo 'make soak      the long form of the tests of safety and explorer: half an hour, one table (ARGS="--minutes 5" for less)'
	@echo 'make bench     the figures of labkit itself, each beside its yardstick'
	@echo 'make record    record lost updates on this machine, for data/recordings (ARGS="deadlock --machine NAME": a lesson)'
	@echo 'make picture   draw the picture of the README from its recording'
	@echo 'make clean     remove .venv and everything else that can be made again'

lab: $(LAB)
	@exec $(PY) -m jupyterlab $(JUPYTER) $(ARGS)

test: $(TEST)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --diff .
	@$(PY) -m mypy --strict --no-error-summary labkit
	@$(PY) tests/side_by_side.py $(ARGS)

soak: $(TEST)
	@$(PY) tests/soak.py $(ARGS)

bench: $(TEST)
	@$(PY) tests/bench.py $(ARGS)

record picture: $(LAB)
	@$(PY) -m labkit $@ $(ARGS)

clean:
	@rm -rf .venv build labkit.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/screenshots
	@find labkit tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

again:

$(LAB): pyproject.toml constraints.txt $(AGAIN)
	@$(call install,.)
	@touch $(LAB)

$(TEST): pyproject.toml constraints.txt $(AGAIN)
	@$(call install,.[test])
	@touch $(LAB) $(TEST)

# $(1) is what to install. Which Python: the one asked for, else the first of the usual names that is new enough.
define install
set -eu; \
if [ -n "$(AGAIN)" ]; then \
  if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; else set -- python3 python3.14 python3.13 python3.12 python3.11 python; fi; \
  found=; seen=; \
  for name in "$$@"; do \
    version=`"$$name" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null` || continue; \
    seen="$$seen $$name is Python $$version;"; \
    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then found=$$name; break; fi; \
  done; \
  if [ -z "$$found" ]; then \
    echo "labkit needs Python 3.11 or later, and found:$${seen:- none of $$*}" >&2; \
    echo "Install one, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13" >&2; exit 1; \
  fi; \
  echo "Making .venv with Python $$version (once; a minute or two) ..."; \
  rm -rf .venv; \
  if command -v uv >/dev/null 2>&1; then \
    uv venv --quiet --no-project --python "$$found" .venv; \
  elif "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
    "$$found" -m venv .venv; \
  else \
    echo "$$found cannot make a virtual environment: on Debian and Ubuntu, apt install python3-venv; or install uv." >&2; exit 1; \
  fi; \
fi; \
rm -f $(WHOLE); \
if command -v uv >/dev/null 2>&1; then \
  uv pip install --quiet --python $(PY) --constraint constraints.txt --editable '$(1)'; \
else \
  $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
  $(PY) -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '$(1)'; \
fi; \
mkdir -p $(dir $(OVERRIDES)); \
echo '$(NO_NEWS)' > $(OVERRIDES); \
pwd -P > $(WHOLE)
endef
