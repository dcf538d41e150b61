"""The files that start Greenroom on a cluster are valid, as far as that shows without a cluster."""

import shlex
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from schemas.settings import PROJECT, setting_names

REDIS_PORT = "6379"


@pytest.fixture(scope="module")
def launcher() -> dict[str, Any]:
    written = yaml.safe_load((PROJECT / "ray-cluster.yaml").read_text())
    prepared: dict[str, Any] = prepare_config(written)
    validate_config(prepared)
    return prepared


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((PROJECT / "deploy" / "kuberay.yaml").read_text())
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}


def test_the_launcher_file_starts_ray_and_then_the_game_on_the_head(launcher: dict[str, Any]) -> None:
    *_, ray, game = launcher["head_start_ray_commands"]
    assert "ray start --head" in ray
    assert "RAY_ADDRESS=auto" in game
    assert "greenroom serve" in game
    assert "make setup" in " ".join(launcher["setup_commands"])


def test_the_launcher_file_leaves_redis_its_port(launcher: dict[str, Any]) -> None:
    commands = launcher["head_start_ray_commands"] + launcher["worker_start_ray_commands"]
    assert not [command for command in commands if REDIS_PORT in command]
    assert len([command for command in commands if "6380" in command]) == 2


def test_every_node_of_the_launcher_file_asks_for_the_token(launcher: dict[str, Any]) -> None:
    starts = [
        command
        for command in launcher["head_start_ray_commands"] + launcher["worker_start_ray_commands"]
        if "ray start" in command
    ]
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "~/.ray/auth_token" in launcher["file_mounts"]


def test_the_launcher_files_commands_are_whole_shell_commands(launcher: dict[str, Any]) -> None:
    for command in launcher["head_start_ray_commands"] + launcher["worker_start_ray_commands"]:
        assert shlex.split(command)


def test_on_kubernetes_ray_asks_for_a_token_and_keeps_its_tables_out_of_the_games_redis(
    manifests: dict[str, dict[str, Any]],
) -> None:
    cluster = manifests["RayCluster/greenroom"]
    assert cluster["apiVersion"] == "ray.io/v1"
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    store = cluster["spec"]["gcsFaultToleranceOptions"]["redisAddress"].split(":")[0]
    assert f"StatefulSet/{store}" in manifests
    assert f"Service/{store}" in manifests


def test_the_kubernetes_manifest_names_only_settings_that_exist(manifests: dict[str, dict[str, Any]]) -> None:
    head = manifests["RayCluster/greenroom"]["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    named = {variable["name"] for variable in head["env"]}
    assert {name for name in named if name.startswith("GREENROOM_")} <= set(setting_names().values())


def test_the_kubernetes_manifest_runs_the_pinned_ray(manifests: dict[str, dict[str, Any]]) -> None:
    version = manifests["RayCluster/greenroom"]["spec"]["rayVersion"]
    assert f'"ray[default]=={version}"' in (PROJECT / "pyproject.toml").read_text()
