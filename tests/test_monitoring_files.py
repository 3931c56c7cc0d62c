"""Sample alerts and dashboard: what they name is on the page that a server shows, and Prometheus can read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from callsign.cluster.figures import Figures
from callsign.commands.health import FAILED
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.server.cluster_metrics import ClusterFigures
from callsign.server.metrics import NO_STATUS, STATUSES
from callsign.steps.handlers import HANDLERS
from product import PROJECT, Product
from waiting import wait_until

RULES = PROJECT / "conf" / "callsign.rules.yml"
DASHBOARD = PROJECT / "conf" / "callsign.dashboard.json"
PROMETHEUS_OWN = {"up"}  # made by Prometheus itself
PROMETHEUS_LABELS = {"job", "instance"}
GRAFANA = {"$__rate_interval": "5m", "$instance": ".*", "$system": ".*"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Of alerts and panels, by their names."""
    found = {str(rule["alert"]): str(rule["expr"]) for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in GRAFANA.items():
                text = text.replace(name, value)
            found[panel["title"] + target["refId"]] = text
    return found


EXPRESSIONS = expressions()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """Name and labels of each sample on the page of a server that serves all vendors and has had a call."""
    with (
        Sandbox(accounts=DEMO_ACCOUNTS) as box,
        Product(tmp_path_factory.mktemp("page"), settings_for(box), metrics="127.0.0.1:0") as server,
    ):
        run_fastagi(f"{server.url}/skarabee?wait=10", Call(callerid="056528999", extension="056528998"))
        url = server.wait_log(lambda line: "metrics at" in line).rpartition(" ")[2]

        def page() -> str:
            with urlopen(url) as answer:
                text: str = answer.read().decode()
            return text

        wait_until(lambda: 'path="skarabee"' in page())
        families = text_string_to_metric_families(page())
        with_cluster = [*families, *ClusterFigures(Figures()).collect()]  # where the settings have one
        yield [(sample.name, sample.labels) for family in with_cluster for sample in family.samples]


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_an_alert_or_a_panel_names_is_on_the_page(name: str, samples: list[tuple[str, dict[str, str]]]) -> None:
    text = EXPRESSIONS[name]
    used = set(re.findall(r"\b(?:callsign|process)_\w+|\bup\b", text))
    assert used
    assert used - PROMETHEUS_OWN <= {sample for sample, _ in samples}
    known = {(label, value) for _, labels in samples for label, value in labels.items()}
    known |= {("path", path) for path in HANDLERS} | {("status", status) for status in (*STATUSES, NO_STATUS)}
    for label, is_pattern, values in re.findall(r'(\w+)=(~?)"([^"]+)"', text):
        if values == ".*" or label in PROMETHEUS_LABELS:
            continue
        for value in values.split("|") if is_pattern else [values]:
            assert (label, value) in known, f"no sample has {label}={value}"


def test_the_sample_alert_of_failures_names_every_state_that_status_counts_as_failed() -> None:
    states = re.findall(r'callsign_jobs_ended_total\{state=~"([a-z|]+)"\}', RULES.read_text(encoding="utf-8"))
    assert [set(found.split("|")) for found in states] == [set(FAILED)]


def test_an_alert_says_what_is_the_matter_and_what_to_do() -> None:
    assert len(rules()) >= 7
    for rule in rules():
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_dashboard_shows_steps_queue_vendors_questions_and_failures() -> None:
    rows = [panel["title"].partition(":")[0] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == ["Now", "Steps", "Queue", "Vendors", "Questions", "Failures", "Other hosts", "The server itself"]


def test_panels_have_ids_and_places_of_their_own_and_the_source_that_is_chosen_above() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    cells = [(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    sources = {panel["datasource"]["uid"] for panel in panels()}
    assert sources == {"${datasource}"}
    assert [one["name"] for one in dashboard()["templating"]["list"]] == ["datasource", "instance", "system"]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool (Debian's prometheus): rules and dashboard go without its word")
    return found


def test_prometheus_can_read_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_can_read_what_the_panels_ask(promtool: str, tmp_path: Path) -> None:
    asked = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(EXPRESSIONS.values())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


FIRES = """
rule_files: [{rules}]
tests:
  - interval: 1m
    input_series:
      - series: 'callsign_vendor_seconds_count{{instance="pbx",system="mor",outcome="answered"}}'
        values: '0+9x30'
      - series: 'callsign_vendor_seconds_count{{instance="pbx",system="mor",outcome="{outcome}"}}'
        values: '0+{each}x30'
    alert_rule_test:
      - eval_time: 20m
        alertname: CallsignQuestionsUnanswered
        exp_alerts: {alerts}
"""


@pytest.mark.parametrize(("outcome", "each", "fires"), [("unreachable", 3, True), ("refused", 3, False)])
def test_the_alert_of_questions_without_an_answer_fires_when_there_are_many(
    outcome: str, each: int, fires: bool, promtool: str, tmp_path: Path
) -> None:
    rule = next(rule for rule in rules() if rule["alert"] == "CallsignQuestionsUnanswered")
    annotations = {
        "summary": "mor gives no answer to 25% of what it is asked",
        "description": rule["annotations"]["description"],
    }
    labels = {"severity": "warning", "instance": "pbx", "system": "mor"}
    alert = {"exp_labels": labels, "exp_annotations": annotations}
    file = tmp_path / "fires.yml"
    alerts = json.dumps([alert] if fires else [])
    file.write_text(FIRES.format(rules=RULES, outcome=outcome, each=each, alerts=alerts), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
