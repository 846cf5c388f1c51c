# Short names for the launcher; on a machine without make, `python3 -m dev --help` does the same.
# Recipes are single commands without shell characters, so that make runs them directly and signals reach them.
PYTHON ?= python3
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo test run bench lint types contracts migrations-check schema-check schema translations-check translations clean

help: ## this list
	@awk -F ":.*## " "/^[a-z-]+:.*## / {printf \"  make %-18s %s\n\", \$$1, \$$2}" $(firstword $(MAKEFILE_LIST))

demo: ## one purchase and refund, then a running Veza until Ctrl-C (ONCE=1, PAY=browser, PORT=8001)
	@$(PYTHON) -m dev demo

test: ## all tests, with their own PostgreSQL and Valkey (ARGS="-k refund -x", WORKERS=1)
	@$(PYTHON) -m dev test

run: ## a running Veza with sample data, without the purchase (PORT=8001)
	@$(PYTHON) -m dev serve

bench: ## the webhook beside dj-stripe's and PostgreSQL alone (ROUNDS=3, CELL_SECONDS=5, HISTORY=100000)
	@$(PYTHON) -m dev bench

lint: ## ruff: rules and format
	@$(PYTHON) -m dev check lint

types: ## mypy, strict
	@$(PYTHON) -m dev check types

contracts: ## imports point down
	@$(PYTHON) -m dev check contracts

migrations-check: ## models and migrations agree
	@$(PYTHON) -m dev check migrations

schema-check: ## the API and docs/openapi.yaml agree
	@$(PYTHON) -m dev check schema

schema: export WRITE = 1
schema: ## rewrite docs/openapi.yaml
	@$(PYTHON) -m dev check schema

translations-check: ## every text is translated and compiled
	@$(PYTHON) -m dev check translations

translations: export WRITE = 1
translations: ## bring the catalogues in locale/ up to date
	@$(PYTHON) -m dev check translations

clean: ## remove the environment and everything under .veza
	@$(PYTHON) -m dev clean
