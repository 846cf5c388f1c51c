# Short names for the launcher; `python3 -m dev --help` does the same on a machine without make.
# Recipes are single commands without shell characters, so that make runs them itself and a signal finds them.
PYTHON ?= python3
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo test run lint types contracts migrations-check schema-check schema clean

help: ## this list
	@awk -F ":.*## " "/^[a-z-]+:.*## / {printf \"  make %-18s %s\n\", \$$1, \$$2}" $(firstword $(MAKEFILE_LIST))

demo: ## the whole round trip, then a running Veza until Ctrl-C (ONCE=1, PAY=browser, PORT=8001)
	@$(PYTHON) -m dev demo

test: ## all tests, with a PostgreSQL and Valkey of their own (ARGS="-k refund -x")
	@$(PYTHON) -m dev test

run: ## a running Veza with sample data, without the round trip (PORT=8001)
	@$(PYTHON) -m dev serve

lint: ## ruff: rules and format
	@$(PYTHON) -m dev check lint

types: ## mypy, strict
	@$(PYTHON) -m dev check types

contracts: ## which way imports point
	@$(PYTHON) -m dev check contracts

migrations-check: ## models and migrations agree
	@$(PYTHON) -m dev check migrations

schema-check: ## the API and docs/openapi.yaml agree
	@$(PYTHON) -m dev check schema

schema: export WRITE = 1
schema: ## write docs/openapi.yaml anew
	@$(PYTHON) -m dev check schema

clean: ## remove the environment and everything under .veza
	@$(PYTHON) -m dev clean
