"""The alert rules ask for figures that are there; promtool and amtool agree where they are installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.runtime.bus import Bus
from actors.runtime.database import Database
from actors.runtime.metrics import HostMetrics
from gateway.metrics import GatewayMetrics
from schemas.settings import PROJECT
from scripts.metrics import Backlog

FOLDER = PROJECT / "deploy" / "prometheus"
SEVERITIES = {"page", "ticket"}


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in load("alerts.yml")["groups"] for rule in group["rules"]]


def known_figures() -> set[str]:
    host, gateway = HostMetrics(), GatewayMetrics("tests")
    backlog = Backlog(Database("postgresql://nowhere"), Bus("redis://127.0.0.1:1"))
    gateway.watch(backlog.readings)
    text = (host.render() + gateway.render()).decode()
    named = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    of_the_gateway = re.findall(r'"(greenroom_\w+)"', (PROJECT / "gateway" / "app.py").read_text())
    buckets = {f"{name}_bucket" for name in named}
    return named | buckets | set(of_the_gateway)


def test_op_05_each_rule_asks_for_figures_that_are_there() -> None:
    known = known_figures()
    for rule in rules():
        asked = set(re.findall(r"greenroom_\w+", rule["expr"]))
        assert asked <= known, (rule["alert"], asked - known)


def test_op_05_the_thresholds_are_those_of_the_specification() -> None:
    by_name = {rule["alert"]: rule["expr"] for rule in rules()}
    assert "< 0.8" in by_name["GreenroomCacheHitRateLow"]
    assert "> 0.9" in by_name["GreenroomMachineMemoryHigh"]
    assert "> 0.1" in by_name["GreenroomSlowResponses"]
    for name in ("GreenroomDeadLetters", "GreenroomCommitsSlow", "GreenroomFraudSpike", "GreenroomFraudUnassessed"):
        assert name in by_name


def test_op_06_each_alert_has_a_severity_that_is_routed_and_says_what_to_do() -> None:
    routed = load("alertmanager.yml")
    receivers = {receiver["name"] for receiver in routed["receivers"]}
    assert routed["route"]["receiver"] in receivers
    assert {route["receiver"] for route in routed["route"]["routes"]} <= receivers
    for rule in rules():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("promtool", ["check", "rules", "alerts.yml"]),
        ("promtool", ["check", "config", "--syntax-only", "prometheus.yml"]),
        ("amtool", ["check-config", "alertmanager.yml"]),
    ],
)
def test_op_06_the_files_are_what_prometheus_reads(tool: str, arguments: list[str]) -> None:
    path = shutil.which(tool)
    if path is None:
        assert load(Path(arguments[-1]).name)
        return
    checked = subprocess.run([path, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
