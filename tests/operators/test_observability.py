"""The example alerts and the dashboard name only figures that exist, and pages that are there."""

import json
import re

import pytest
import yaml

from tests.operators.production import ROOT
from veza import metrics

FOLDER = ROOT / "docs" / "observability"
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
SELECTOR = re.compile(r"(veza_\w+)(?:\{([^}]*)\})?")


@pytest.fixture
def labels(db) -> dict[str, set[str]]:
    """Every figure, with the names of its labels."""
    return {family.name: set(family._labelnames) for family in metrics._read_all()}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_and_where_its_page_is(alert):
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert (ROOT / alert["annotations"]["runbook"]).is_file()
    assert re.fullmatch(r"\d+[smh]", alert["for"])


@pytest.mark.parametrize("expression", [alert["expr"] for alert in ALERTS] + TARGETS)
def test_an_expression_names_figures_and_labels_that_exist(labels, expression):
    for name, selector in SELECTOR.findall(expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= labels[name]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_a_summary_uses_only_labels_that_its_figure_has(labels, alert):
    labels_of_text = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))

    assert labels_of_text <= set().union(*(labels[name] for name, _ in SELECTOR.findall(alert["expr"])))


def test_every_figure_is_on_the_dashboard_or_in_an_alert(labels):
    names = {name for text in [*TARGETS, *(alert["expr"] for alert in ALERTS)] for name, _ in SELECTOR.findall(text)}

    assert labels.keys() == names


def test_workers_named_in_an_alert_are_sweeps_that_exist():
    names = {
        worker
        for alert in ALERTS
        for _, selector in SELECTOR.findall(alert["expr"])
        for workers in re.findall(r'worker=~?"([^"]+)"', selector)
        for worker in workers.split("|")
    }
    floors = ("veza", "payments", "subscriptions", "marketplace", "connect")
    source = "".join(path.read_text() for floor in floors for path in (ROOT / floor).rglob("*.py"))

    assert names
    assert [worker for worker in names if f'"{worker}"' not in source] == []


def test_prometheus_reads_the_alerts_and_shows_the_token():
    page = yaml.safe_load((FOLDER / "prometheus.yml").read_text())

    assert page["rule_files"] == ["/etc/prometheus/alerts.yml"]
    assert page["scrape_configs"][0]["authorization"]["credentials_file"] == "/run/secrets/metrics_token"
