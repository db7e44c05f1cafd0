"""infra/kubernetes: what kustomize makes of it, against the schemas of a version of Kubernetes and by rules of our own."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.support.compose_file import INFRA

VERSION = "1.34"
KUBERNETES = INFRA / "kubernetes"
FOREIGN = {"ServiceMonitor"}  # kinds that a cluster only knows with an operator
OVERLAYS = ("base", "production")
Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    command = [Path(sys.executable).parent / "kubectl", "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [one for one in YAML(typ="safe", pure=True).load_all(done.stdout) if one]


@pytest.fixture(scope="module")
def built() -> dict[str, list[Manifest]]:
    return {overlay: build(KUBERNETES / overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="module")
def production(built: dict[str, list[Manifest]]) -> list[Manifest]:
    return built["production"]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] in kinds]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Specifications of pods by the name of what starts them, that of the GPU jobs included."""
    found = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in of_kind(manifests, "Deployment", "Job")}
    return {**found, "gpu-job": gpu_job()["spec"]["template"]["spec"]}


def gpu_job() -> Manifest:
    """The job that Prefect's worker starts, with the defaults of its template."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.utilities.templating import apply_values
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads((KUBERNETES / "gpu" / "job-template.json").read_text())
    defaults = {name: about["default"] for name, about in template["variables"]["properties"].items() if "default" in about}
    values = {**defaults, "name": "retrain", "command": "prefect flow-run execute"}
    configuration = KubernetesWorkerJobConfiguration(**apply_values(template["job_configuration"], values))
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="retrain"))
    job: Manifest = configuration.job_manifest
    for name in ("parallelism", "completions"):  # Prefect asks for them there, where Kubernetes ignores them
        del job["spec"]["template"]["spec"][name]
    return job


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid(built: dict[str, list[Manifest]], overlay: str) -> None:
    known = [one for one in built[overlay] if one["kind"] not in FOREIGN]
    for manifest in known:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    assert len(known) >= 20


def test_the_job_of_the_gpu_pool_is_valid() -> None:
    job = gpu_job()
    kubernetes_validate.validate({**job, "metadata": {**job["metadata"], "name": "retrain"}}, VERSION, strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "{{" not in json.dumps(job)


def test_the_schemas_refuse_what_is_wrong(production: list[Manifest]) -> None:
    wrong = copy.deepcopy(of_kind(production, "Deployment")[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_component_for_the_prometheus_operator_finds_the_studio(production: list[Manifest]) -> None:
    monitor = YAML(typ="safe").load((KUBERNETES / "monitoring" / "servicemonitor.yaml").read_text())
    (service,) = (one for one in of_kind(production, "Service") if one["metadata"]["name"] == "studio")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_no_pod_runs_as_root_or_may_become_it(production: list[Manifest]) -> None:
    for name, pod in pods(production).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_every_container_says_what_it_needs(production: list[Manifest]) -> None:
    for name, pod in pods(production).items():
        for container in containers(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name


def test_every_image_has_a_version(production: list[Manifest]) -> None:
    images = {container["image"] for pod in pods(production).values() for container in containers(pod)}
    assert [image for image in images if not re.search(r":\d+\.\d+", image)] == []


def test_only_the_worker_that_starts_jobs_may_ask_the_cluster(production: list[Manifest]) -> None:
    asking = [name for name, pod in pods(production).items() if pod.get("automountServiceAccountToken") is not False]
    assert asking == ["gpu-worker"]
    (role,) = of_kind(production, "Role")
    assert not of_kind(production, "ClusterRole", "ClusterRoleBinding")
    assert not any("secrets" in rule["resources"] or "*" in rule["verbs"] for rule in role["rules"])


def test_secrets_are_by_reference_alone(production: list[Manifest]) -> None:
    assert of_kind(production, "Secret") == []
    text = json.dumps([production, gpu_job()])
    assert not re.search(r"://[^/\"\s:]+:[^@\"\s]+@", text)  # an address with a password
    named = {
        reference["secretRef"]["name"]
        for pod in pods(production).values()
        for container in containers(pod)
        for reference in container.get("envFrom", [])
        if "secretRef" in reference
    }
    assert named == {"genloop", "genloop-servers"}


def test_references_lead_to_something(production: list[Manifest]) -> None:
    maps = {one["metadata"]["name"] for one in of_kind(production, "ConfigMap")}
    claims = {one["metadata"]["name"] for one in of_kind(production, "PersistentVolumeClaim")}
    accounts = {one["metadata"]["name"] for one in of_kind(production, "ServiceAccount")}
    for name, pod in pods(production).items():
        assert pod["serviceAccountName"] in accounts, name
        for volume in pod.get("volumes", []):
            assert "configMap" not in volume or volume["configMap"]["name"] in maps, name
            assert "persistentVolumeClaim" not in volume or volume["persistentVolumeClaim"]["claimName"] in claims, name
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}, name
            for source in container.get("envFrom", []):
                assert "configMapRef" not in source or source["configMapRef"]["name"] in maps, name


def test_servers_are_probed(production: list[Manifest]) -> None:
    probes = {}
    for one in of_kind(production, "Deployment"):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        named = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in named
                probes[one["metadata"]["name"], probe] = container[probe]["httpGet"]["path"]
    assert probes["studio", "livenessProbe"] == "/healthz"
    assert probes["studio", "readinessProbe"] == "/readyz"
    assert {name for name, probe in probes if probe == "livenessProbe"} == {
        "studio",
        "mlflow",
        "prefect",
        "worker",
        "gpu-worker",
    }


def test_the_studio_is_scaled_and_survives_the_loss_of_nodes(production: list[Manifest]) -> None:
    (scaler,) = of_kind(production, "HorizontalPodAutoscaler")
    (budget,) = of_kind(production, "PodDisruptionBudget")
    (studio,) = (one for one in of_kind(production, "Deployment") if one["metadata"]["name"] == "studio")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "studio"
    assert "replicas" not in studio["spec"]  # or an upgrade would undo what the scaler did
    assert budget["spec"]["selector"]["matchLabels"].items() <= studio["spec"]["template"]["metadata"]["labels"].items()


def test_all_is_denied_but_for_what_is_needed(production: list[Manifest]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(production, "NetworkPolicy")}
    assert policies["deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    started = {*(one["metadata"]["name"] for one in of_kind(production, "Deployment", "Job")), "gpu-job"}
    named = {name for policy in policies.values() for name in names_in(policy)}
    assert named == started  # a rule for a pod that is not there, or a pod without one, is a mistake
    assert names_in(policies["servers"]["podSelector"]) == ["mlflow", "prefect"]


def names_in(content: Any) -> list[str]:
    """Values of the label `app.kubernetes.io/name`, wherever they are asked for."""
    key, found = "app.kubernetes.io/name", []
    if isinstance(content, dict):
        if content.get("key") == key:
            found += content["values"]
        found += [value for name, value in content.items() if name == key]
        found += [name for value in content.values() for name in names_in(value)]
    elif isinstance(content, list):
        found += [name for value in content for name in names_in(value)]
    return found


def test_services_and_selectors_fit_their_pods(production: list[Manifest]) -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in of_kind(production, "Deployment")
    }
    for one in of_kind(production, "Service"):
        assert one["spec"]["selector"].items() <= labels[one["metadata"]["name"]].items()
    for one in of_kind(production, "Deployment"):
        assert one["spec"]["selector"]["matchLabels"].items() <= labels[one["metadata"]["name"]].items()


def test_the_example_of_an_installation_changes_the_host_everywhere(production: list[Manifest]) -> None:
    (ingress,) = of_kind(production, "Ingress")
    (host,) = (rule["host"] for rule in ingress["spec"]["rules"])
    assert ingress["spec"]["tls"][0]["hosts"] == [host]
    config = next(one for one in of_kind(production, "ConfigMap") if one["metadata"]["name"] == "genloop")
    assert host in config["data"]["GENLOOP_STUDIO_HOSTS"].split(",")
