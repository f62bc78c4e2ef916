# make train     sets up .venv and trains an adversarial autoencoder with a style of 4 numbers
# make test      sets up .venv with test tools as well, and runs the checks
# make test-all  runs the slow ones too

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SMALL = https://download.pytorch.org/whl/cpu

.PHONY: train test test-all lint clean

train: $(VENV)/run.stamp
	$(BIN)/python mnist-aae.py --feature-size 4

# As many processes as cores, with a thread each: torch's threads would get in each other's way.
test: $(VENV)/test.stamp lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

test-all: $(VENV)/test.stamp lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto -m ""

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/run.stamp: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@echo "Downloading the packages of requirements.txt. torch with what it needs for a GPU takes 5.3 GB"
	@echo "in $(VENV); without a GPU 0.7 are enough, by PIP_EXTRA_INDEX_URL=$(SMALL) make train"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --requirement requirements.txt
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp tests/requirements.txt vis-requirements.txt onnx-requirements.txt
	$(BIN)/python -m pip install --requirement tests/requirements.txt \
		--requirement vis-requirements.txt --requirement onnx-requirements.txt
	touch $@

clean:
	rm -rf $(VENV)
