# make train   sets up .venv and trains an adversarial autoencoder with a style of 4 numbers
# make test    sets up .venv with test tools as well, and runs every check

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: train test lint clean

train: $(VENV)/run.stamp
	$(BIN)/python mnist-aae.py --feature-size 4

test: $(VENV)/test.stamp lint
	$(BIN)/python -m pytest

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/run.stamp: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --requirement requirements.txt
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp tests/requirements.txt vis-requirements.txt
	$(BIN)/python -m pip install --requirement tests/requirements.txt \
		--requirement vis-requirements.txt
	touch $@

clean:
	rm -rf $(VENV)
