# Targets with a text behind ## are listed by plain `make`.
.DEFAULT_GOAL := help
.PHONY: help setup setup-gpu repro article best-scratch best-transfer best-vgg16 tour test check bench torture format lock experiments ui kit send submit clean
SHELL := /bin/bash

VENV ?= .venv
# Which TensorFlow: cpu or gpu. The two builds overwrite each other, so one environment holds one of them.
LOCK ?= cpu
# The first interpreter on the path that really runs and is a version that TensorFlow has wheels for.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$p" && break; done)
# Processes that share the tests. Most tests wait for a command that uses one core.
TESTERS ?= 2
READY := $(VENV)/ready-$(LOCK)
# Recipes run the environment's commands first, as after `source .venv/bin/activate`.
IN_VENV := PATH="$(abspath $(VENV))/bin:$$PATH"

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Create the environment (.venv) from the lock file

setup-gpu:  ## Create it with TensorFlow for NVIDIA GPUs (Linux)
	@$(MAKE) setup LOCK=gpu

$(VENV)/ready-%: requirements/%.txt requirements/bootstrap.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "error: Python 3.11, 3.12 or 3.13 is needed; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi
	"$(PYTHON)" -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.txt
	@# uv takes seconds where pip takes minutes. Only pip reads pip's own settings, such as a company's mirror.
	$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes $< || \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

repro: $(READY)  ## Set up, then run the whole workflow: dvc repro
	$(IN_VENV) dvc repro
	@$(IN_VENV) python -c 'from pathlib import Path; print("report:", Path("reports/comparison.html").resolve().as_uri())'
	@echo "runs: make ui"

article: $(READY)  ## Run the article's own split and scaling, as a DVC experiment
	$(IN_VENV) dvc exp run -S bottleneck.scaling=article -S split.test=0

# A wide residual network on images of 96, then 128 pixels, judged at 160: multiples of 32 suit its halvings.
BEST_SCRATCH := -S split.validation=0.05 -S decode.size=160 -S bottleneck.size=150 -S train_scratch.epochs=50 \
	-S 'train_scratch.sizes=[{pixels:96,epochs:34},{pixels:128,epochs:16}]' -S train_scratch.batch=64 \
	-S train_scratch.optimizer.learning_rate=0.05 -S train_scratch.optimizer.schedule=linear \
	-S train_scratch.optimizer.warmup_epochs=2.0 -S train_scratch.optimizer.nesterov=true \
	-S train_scratch.optimizer.weight_decay=0.005 -S train_scratch.optimizer.time_decay=0.0 \
	-S train_scratch.loss.label_smoothing=0.1 -S train_scratch.early_stopping=null \
	-S train_scratch.keep=moving_average -S train_scratch.averaging=0.995 \
	-S train_scratch.augmentation.shear_degrees=0.0 -S train_scratch.augmentation.zoom=0.0 \
	-S train_scratch.augmentation.flip=alternating -S train_scratch.augmentation.crop=0.35 \
	-S train_scratch.augmentation.colour=0.1 -S train_scratch.network.name=wide_residual \
	-S train_scratch.network.output=sigmoid -S train_scratch.views.flip=true -S submission.model=scratch

best-scratch: $(READY)  ## Run the settings of the best network from scratch, as a DVC experiment
	$(IN_VENV) dvc exp run $(BEST_SCRATCH)

# EfficientNet-Lite2 at its own 260 pixels, its pooled features of each photo and of its mirror image.
BEST_TRANSFER := -S decode.size=260 -S train_scratch.size=150 -S bottleneck.backbone=efficientnet_lite2 \
	-S 'bottleneck.pooling=[average]' -S bottleneck.mirrored=true -S train_vgg16.solver=logistic \
	-S 'train_vgg16.network.dense=[]' -S 'train_vgg16.network.dropout=[]' -S submission.model=vgg16

best-transfer: $(READY)  ## Run the best transfer model's settings, as a DVC experiment
	$(IN_VENV) dvc exp run $(BEST_TRANSFER)

# VGG16 at the photos' own 200 pixels: pooled features of its last two blocks, then its last block trained further.
BEST_VGG16 := -S decode.size=200 -S train_scratch.size=150 -S bottleneck.size=200 -S 'bottleneck.pooling=[average,max]' \
	-S 'bottleneck.layers=[block4_pool]' -S bottleneck.mirrored=true -S train_vgg16.solver=logistic \
	-S 'train_vgg16.network.dense=[]' -S 'train_vgg16.network.dropout=[]' -S fine_tune.block=block5 \
	-S submission.model=fine_tuned

best-vgg16: $(READY)  ## Run the settings of the fine-tuned VGG16, as a DVC experiment
	$(IN_VENV) dvc exp run $(BEST_VGG16)

tour: $(READY)  ## Draw the pictures of docs/tour.md, after make repro
	$(IN_VENV) dogs-vs-cats tour

test: check  ## Set up, then run every check: format, lint, types, imports, tests
	@# Without bytecode, each of the processes that tests start compiles all that it imports: TensorFlow, MLflow, DVC.
	$(IN_VENV) env -u PYTHONDONTWRITEBYTECODE python -m pytest --numprocesses $(TESTERS) --dist loadscope

check: $(READY)  ## Run only the fast checks: format, lint, types, imports
	$(IN_VENV) ruff format --check .
	$(IN_VENV) ruff check .
	$(IN_VENV) mypy
	$(IN_VENV) lint-imports --no-logo

bench: $(READY)  ## Measure the speed: a table, and bench.json (10 minutes)
	$(IN_VENV) python -m benchmarks.run --json bench.json

torture: $(READY)  ## Try kills, full disks, bad trackers and bad input; count what held (2 hours)
	$(IN_VENV) nice python -m benchmarks.torture --table torture.md

format: $(READY)  ## Format the code, and fix what ruff can fix
	$(IN_VENV) ruff format .
	$(IN_VENV) ruff check --fix .

experiments: $(READY)  ## List the experiments with their results and changed settings
	$(IN_VENV) dogs-vs-cats experiments

ui: $(READY)  ## Show every run in the browser: mlflow ui, and its pages' addresses
	$(IN_VENV) python -m dogs_vs_cats.tracking ui

kit: $(READY)  ## Pack a training for a machine without a network: HAS=what pip freeze says there
	$(IN_VENV) dogs-vs-cats kit kit --has "$(or $(HAS),freeze.txt)" $(if $(SIZE),--size $(SIZE)) $(if $(MODEL),--model $(MODEL))

send: $(READY)  ## Send to MLflow what its server missed
	$(IN_VENV) python -m dogs_vs_cats.tracking send $(if $(MODEL),--registered-model "$(MODEL)")

submit: $(READY)  ## Send reports/submission.csv to Kaggle
	$(IN_VENV) kaggle competitions submit dogs-vs-cats-redux-kernels-edition --file reports/submission.csv --message "dogs-vs-cats $$(git rev-parse --short HEAD)"

lock: $(READY)  ## Resolve the dependencies again and write the lock files
	for build in cpu gpu; do \
		$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--extra $$build --extra dev --custom-compile-command "make lock" --output-file requirements/$$build.txt pyproject.toml; \
	done
	grep --no-filename '^uv==' requirements/cpu.txt | cut -d ' ' -f 1 | $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --output-file requirements/bootstrap.txt -

clean:  ## Remove the environment and caches, but no data, models, reports or runs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
