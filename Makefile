# The two commands: `make report` (the main job) and `make test`. Each makes .venv first if it has to. `make slow` is the
# tests that take minutes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
NAME ?=
# The compiled lock of the core, and of PDQ, which alone needs a C++ compiler and is skipped without one.
WITHOUT_PDQ := awk '/^pdqhash==/{skip=1; next} /^[^ ]/{skip=0} !skip'
ONLY_PDQ := awk '/^pdqhash==/{keep=1; print; next} /^[^ ]/{keep=0} keep'

.PHONY: report test slow scale lab lock clean
.DEFAULT_GOAL := report

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	$(WITHOUT_PDQ) requirements.lock > $(VENV)/core.lock
	$(ONLY_PDQ) requirements.lock > $(VENV)/pdq.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/core.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/pdq.lock > $(VENV)/pdq.log 2>&1 \
		|| echo "PDQ is left out: it could not be built here (a C++ compiler is needed; see $(VENV)/pdq.log)."
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

report: $(VENV)/.ready
	$(BIN)/finlib report $(if $(DATA),--data "$(DATA)") $(if $(NAME),--name "$(NAME)")

test: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 --dist loadfile
	$(BIN)/pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=120 notebooks/*.ipynb

slow: $(VENV)/.ready
	$(BIN)/pytest -q -m slow

# Clusterings of a million hashes and more, measured by a command of their own: an hour.
scale: $(VENV)/.ready
	$(BIN)/python -m finlib.report.scale

lab: $(VENV)/.ready
	$(BIN)/jupyter lab --ip=127.0.0.1 notebooks

# One version of each package for every Python and platform: resolved for the oldest Python, then pinned for all.
lock: $(VENV)/.ready
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --upgrade --no-header --no-annotate -q -o $(VENV)/pins.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --constraints $(VENV)/pins.txt \
		--generate-hashes --upgrade --no-header --no-annotate -q -o requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find finlib tests notebooks -name __pycache__ -type d -exec rm -rf {} +
