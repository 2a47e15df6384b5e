# The two commands: `make report` (the main job) and `make test`. Each makes .venv first if it has to. `make slow` is the
# tests that take minutes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
NAME ?=
IP ?= 127.0.0.1
# The lock without PDQ, which alone needs a C++ compiler and is skipped without one; and one package of it.
WITHOUT_PDQ := awk '/^pdqhash==/{skip=1; next} /^[^ ]/{skip=0} !skip'
ONLY = awk '/^$(1)==/{keep=1; print; next} /^[^ ]/{keep=0} keep'
# Bytecode is written when a module is first imported (most never are), whatever the environment says of it.
export PYTHONDONTWRITEBYTECODE :=
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

.PHONY: report test slow scale bench docs lab lock clean
.DEFAULT_GOAL := report

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, and $(PYTHON) is " + sys.version.split()[0] + ". Try: make PYTHON=python3.14")'
	$(PYTHON) -m venv --clear $(VENV)
	$(WITHOUT_PDQ) requirements.lock > $(VENV)/core.lock
	$(call ONLY,pdqhash) requirements.lock > $(VENV)/pdq.lock
	$(call ONLY,uv) requirements.lock > $(VENV)/uv.lock
	$(PIP_INSTALL) --require-hashes --no-deps -r $(VENV)/uv.lock
	@# uv takes a fifth of pip's time; pip knows of mirrors and certificates that uv does not.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --only-binary :all: --require-hashes -r $(VENV)/core.lock > $(VENV)/uv.log 2>&1 \
		|| $(PIP_INSTALL) --only-binary :all: --require-hashes -r $(VENV)/core.lock \
		|| { echo "The packages could not be installed. Unless the network failed, the package named above has no wheel for $(PYTHON) on this machine; try an older Python: make PYTHON=python3.13"; exit 1; }
	@$(PIP_INSTALL) --require-hashes --no-deps -r $(VENV)/pdq.lock > $(VENV)/pdq.log 2>&1 \
		|| echo "PDQ is left out: it could not be built here (a C++ compiler is needed; see $(VENV)/pdq.log)."
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

report: $(VENV)/.ready
	$(BIN)/python -m workbook report $(if $(DATA),--data "$(DATA)") $(if $(NAME),--name "$(NAME)")

test: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=120 tests notebooks/*.ipynb

slow: $(VENV)/.ready
	$(BIN)/pytest -q -m slow

# Clusterings of a million hashes and more, measured by a command of their own: an hour.
scale: $(VENV)/.ready
	$(BIN)/python -m workbook scale --distance rows
	$(BIN)/python -m workbook lookups
	$(BIN)/python -m workbook scale

# Ratios of times that are robust to machines, appended to bench.csv.
bench: $(VENV)/.ready
	$(BIN)/python -m workbook bench $(if $(SIZE),--size "$(SIZE)")

# The site of documents, in build/site. Warnings are errors; nothing is loaded from other places.
docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "written: build/site/index.html"

# Root, as in a container, has to be allowed; there, `make lab IP=0.0.0.0` is reached from outside.
lab: $(VENV)/.ready
	$(BIN)/jupyter lab --ip=$(IP) $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

# One version of each package for every Python and platform: resolved for the oldest Python, then pinned for all.
lock: $(VENV)/.ready
	$(BIN)/uv pip compile pyproject.toml --all-extras --group workbook --group dev --group docs --python-version 3.11 --upgrade --no-header --no-annotate -q -o $(VENV)/pins.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group workbook --group dev --group docs --universal --python-version 3.11 --constraints $(VENV)/pins.txt \
		--generate-hashes --upgrade --no-header --no-annotate -q -o requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find finlib workbook tests notebooks -name __pycache__ -type d -exec rm -rf {} +
