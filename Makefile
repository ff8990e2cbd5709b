# Needs make and Python 3.11 to 3.13, nothing else: targets first install requirements.lock into .venv.
# ARGS is passed to the command, such as `make test ARGS="-k losses"`.
PYTHON ?= python3 python3.13 python3.12 python3.11
STUDY ?= twin_mini
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
# A broken link is an error (--strict). The variable silences an advertisement of the theme.
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir runs/site
UV := uv==0.13.9
# Passed to recipes through the environment: a folder's name may contain spaces and quotes.
export STUDY DATA SPACE TRIALS OUT MODEL

.PHONY: help reproduce figures search fit bench test test-fast test-long test-slurm lab lint docs format lock .venv clean-venv

help: ## List the targets
	@sed -n '/^[a-z.-]*:.*## /{s/:.*## /              /; s/^\(.\{12\}\) */make \1/; p;}' Makefile

reproduce: .venv/.installed $(if $(GPU),.venv/.gpu) ## Run a study, from raw files to figures [STUDY=twin_mini DATA=folder GPU=1]
	@export GRU4REC_PARENT=$$PPID; \
	exec $(BIN)/python -m gru4rec_lib reproduce --study="$$STUDY" $${DATA:+"--data=$$DATA"} -- $(ARGS)

figures: STUDY := $(if $(filter file,$(origin STUDY)),paper,$(STUDY))
figures: .venv/.installed ## Draw a study's figures from their CSV files: SVG, PDF, PNG [STUDY=paper ARGS="--only table_2"]
	@$(BIN)/python -m gru4rec_lib figures --study="$$STUDY" $(ARGS)

search: .venv/.installed ## Search settings for a study's cells and baselines on validation [STUDY=twin_mini SPACE=default TRIALS=20]
	@exec $(BIN)/python -m gru4rec_lib search --study="$$STUDY" $${DATA:+"--data=$$DATA"} \
	    $${SPACE:+"--space=$$SPACE"} $${TRIALS:+"--trials=$$TRIALS"} $(ARGS)

fit: .venv/.installed ## Train a study's best model on all of its sessions, for use [STUDY=twin_mini MODEL=name OUT=folder]
	@exec $(BIN)/python -m gru4rec_lib fit --study="$$STUDY" $${DATA:+"--data=$$DATA"} $${MODEL:+"--model=$$MODEL"} $${OUT:+"--out=$$OUT"} \
	    $(ARGS)

bench: .venv/.installed $(if $(PEERS),.venv-peers/.installed) ## Measure speed and memory, up to 20 minutes [FULL=1 for the full size, PEERS=1 beside other libraries]
	@exec $(BIN)/python -m gru4rec_lib bench $(if $(FULL),--size full) $(if $(PEERS),--peers .venv-peers/bin/python) $(ARGS)

test: .venv/.installed ## Run all tests
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-fast: .venv/.installed ## Run the tests that train nothing and run no notebooks
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-long: .venv/.installed ## Run the long tests: killed runs, two runs at once, a study twice, cluster jobs
	@$(BIN)/python -m pytest -m long $(ARGS)

test-slurm: .venv/.installed ## Run those of the long tests that need root and Slurm (apt-get install slurm-wlm munge)
	@$(BIN)/python -m pytest -m long tests/project/test_slurm.py $(ARGS)

# profiles/jupyterlab has default settings of JupyterLab, which the user's own settings replace.
lab: .venv/.installed ## Open copies of the notebooks in JupyterLab; the copies are in runs/lab
	@$(BIN)/python -m gru4rec_lib lab
	@exec env GRU4REC_STUDY=1 JUPYTER_CONFIG_PATH="$(CURDIR)/profiles/jupyterlab$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
	    $(BIN)/python -m jupyterlab --ServerApp.ip=localhost --notebook-dir="$(CURDIR)/runs/lab" \
	    --LabApp.default_url=/lab/tree/START.md $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

lint: .venv/.installed ## Check style, the layers of imports, links of README and docs/, and that notebooks have no outputs
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m snakefmt --check Snakefile
	@$(BIN)/lint-imports
	@$(if $(NOTEBOOKS),$(BIN)/python -m nbstripout --verify $(NOTEBOOKS))
	@$(SITE)

docs: .venv/.installed ## Generate the tables of README and docs/, and build the site: runs/site/index.html
	@$(BIN)/python -m gru4rec_lib doc-tables
	@$(SITE)

format: .venv/.installed ## Format the code, and strip outputs from the notebooks
	@$(if $(NOTEBOOKS),$(BIN)/python -m nbstripout $(NOTEBOOKS))
	@$(BIN)/python -m ruff check --fix-only .
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m snakefmt Snakefile

# uv resolves for the systems and Pythons in pyproject.toml. The marker that excludes 3.14 is redundant on every line.
lock: ## Resolve requirements.lock from pyproject.toml; pins stay where they fit [ARGS=--upgrade]
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(firstword $(PYTHON)) -m venv "$$uv"; \
	"$$uv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input $(UV); \
	"$$uv/bin/uv" pip compile pyproject.toml --quiet --python-version 3.11 --universal --generate-hashes \
	    --extra study --extra serve --extra cluster --extra dev --extra docs --no-header --no-annotate -o requirements.lock $(ARGS); \
	sed -i "s/python_full_version < '3.14' and //" requirements.lock

.venv: .venv/.installed ## Install the locked packages and the project

clean-venv: ## Delete the installed packages
	@rm -rf .venv .venv-peers

# Packages that TensorFlow needs on an NVIDIA GPU. The project was never measured on one.
.venv/.gpu: requirements-gpu.lock .venv/.installed
	@echo "Installing requirements-gpu.lock into .venv; it is several GB."
	@$(PIP) --require-hashes -r $<
	@touch $@

# Other libraries, which `make bench` measures beside ours. Torch from a registry brings CUDA's libraries along.
.venv-peers/.installed: requirements-peers.lock .venv/.installed
	@echo "Installing requirements-peers.lock into .venv-peers; it is several GB."
	@$(BIN)/python -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r $<
	@touch $@

# The stamp is written last, so that an interrupted install is repeated. A new lock creates a new environment; a new
# pyproject.toml only reinstalls the project. One install at a time: Python locks the file that this shell holds open;
# after waiting for another install, the work may be done.
.venv/.installed: requirements.lock pyproject.toml
	@set -e; python=; \
	for candidate in $(PYTHON); do \
	    if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "This project needs Python 3.11, 3.12 or 3.13; found: $$($(firstword $(PYTHON)) --version 2>&1 || true)." \
	        "Install one and give make its path, for example with uv (https://docs.astral.sh/uv):" >&2; \
	    printf '  %s\n' 'uv python install 3.13' 'make PYTHON="$$(uv python find --system 3.13)" .venv' >&2; \
	    exit 1; \
	fi; \
	[ $@ -nt requirements.lock ] || echo "Installing requirements.lock into .venv; this takes a few minutes."; \
	exec 9<>requirements.lock; \
	$$python -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; \
	if [ $@ -nt requirements.lock ] && [ $@ -nt pyproject.toml ]; then exit 0; fi; \
	if ! [ $@ -nt requirements.lock ]; then \
	    $$python -m venv --clear .venv; \
	    $(PIP) --require-hashes -r requirements.lock; \
	fi; \
	rm -f $@; \
	$(PIP) --no-deps --no-build-isolation -e .; \
	touch $@
