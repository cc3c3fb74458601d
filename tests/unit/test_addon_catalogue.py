# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The catalogue of add-ons as data: it fits its schema, and the charts know every value that it sets.

The charts' own values are vendors' data beside the checkout; where they are absent, those tests say so and are skipped.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import (
    FACT,
    check_entries,
    is_definitions_only,
    merged,
    value_at,
)
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import definition_owners, namespaces
from ansible_collections.dcm.platform.plugins.module_utils.addons.resolve import Selection, resolve
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import network_policy
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

from tests.addon_table import CATALOGUE, PAGE, SCHEMA, entries, page

CHART_VALUES = CATALOGUE.parents[4] / "shared" / "data" / "chart-values"
CRDS = CHART_VALUES.parent / "crds"
ENTRIES = {entry["name"]: entry for entry in entries()}
WITH_CHART = sorted(
    name for name, entry in ENTRIES.items() if entry.get("values") and ("chart" in entry or "git" in entry)
)

# Charts that the vendors' data does not hold: each is an alternative that the seeds name, off by default.
NOT_AT_HAND = {"docker-registry", "ingress-nginx", "minio", "vault"}

# Charts inside other charts, whose values stand below their name.
SUB_CHARTS = {
    "falco": ["falcosidekick"],
    "kube-prometheus-stack": ["grafana", "kube-state-metrics", "prometheus-node-exporter"],
}

# Values that a chart's templates read and its values.yaml does not name.
ONLY_IN_TEMPLATES = {"zot": {"podSecurityContext", "securityContext", "resources"}}

# Mappings that a chart passes on as they are: settings of the program, as the chart's comments say.
FREE_FORM = {
    "argo-cd": {"configs.cm", "configs.params"},
    "kube-prometheus-stack": {"grafana.grafana.ini"},
    "loki": {"loki.limits_config"},
    "opentelemetry-collector": {"config", "ports"},
}

# Mappings that every chart passes on as they are, with the keys that Kubernetes has for them.
SECURITY = {
    "allowPrivilegeEscalation",
    "capabilities",
    "enabled",
    "fsGroup",
    "privileged",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile",
}
OF_KUBERNETES = {
    "containerSecurityContext": SECURITY,
    "limits": {"cpu", "memory"},
    "podSecurityContext": SECURITY,
    "requests": {"cpu", "memory"},
    "resources": {"limits", "requests"},
    "securityContext": SECURITY,
}


def chart_of(entry: Mapping[str, Any]) -> str:
    return str(entry["chart"]["name"] if "chart" in entry else Path(entry["git"]["path"]).name)


def facts_of(entry: Mapping[str, Any]) -> list[str]:
    return list(entry.get("requires", {}).get("facts", ()))


def all_values(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The values of the entry, and each of its variants merged over them, by a name for people."""
    yield "values", entry["values"]
    for kind in ("environment_values", "profile_values"):
        for variant, values in entry.get(kind, {}).items():
            yield f"{kind}.{variant}", merged(entry["values"], values)


def vendors_file(name: str) -> Path:
    path = CHART_VALUES / name
    if not CHART_VALUES.is_dir():
        pytest.skip(f"the charts' own values are not beside the checkout ({CHART_VALUES})")
    return path


@functools.cache
def defaults(chart: str) -> tuple[dict[str, Any], str]:
    """A chart's own values, those of its sub-charts in their place, and the text of them all."""
    text = vendors_file(f"{chart}.yaml").read_text()
    values = yaml.load(text, Loader=yaml.CSafeLoader) or {}
    for name in SUB_CHARTS.get(chart, ()):
        below = vendors_file(f"{name}.yaml").read_text()
        values[name] = merged(yaml.load(below, Loader=yaml.CSafeLoader), values.get(name) or {})
        text += below
    return values, text


def unknown(values: Mapping[str, Any], known: Mapping[str, Any], text: str, path: str = "") -> Iterator[str]:
    """Paths of ``values`` that a chart does not know: no key, no commented example, no free-form mapping above."""
    for key, value in values.items():
        here = f"{path}{key}"
        if key not in known:
            if not re.search(rf"^\s*#[#\s-]*[\"']?{re.escape(str(key))}[\"']?:", text, re.MULTILINE):
                yield here
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping) and known[key]:
            passed_on = OF_KUBERNETES.get(key, set())
            rest = {name: item for name, item in value.items() if name not in passed_on or name in OF_KUBERNETES}
            yield from unknown(rest, {**dict.fromkeys(passed_on), **known[key]}, text, f"{here}.")
        elif isinstance(value, Mapping) and known[key] not in (None, "", [], {}):
            yield f"{here} (a mapping, where the chart has {known[key]!r})"


def test_every_file_fits_the_schema_and_is_named_after_its_addon() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in CATALOGUE.glob("*.yml"):
        entry = yaml.safe_load(path.read_text())
        problems = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(entry)]
        assert not problems, (path.name, problems)
        assert entry["name"] == path.stem
    check_entries(ENTRIES.values(), schema)


def test_there_is_a_file_for_every_chart_at_hand() -> None:
    charts = {path.stem for path in vendors_file(".").glob("*.yaml")}
    inside_others = {name for names in SUB_CHARTS.values() for name in names}
    of_definitions = {entry["crds"]["chart"]["name"] for entry in ENTRIES.values() if "chart" in entry.get("crds", {})}
    ours = {chart_of(entry) for entry in ENTRIES.values() if "chart" in entry or "git" in entry}
    assert charts - inside_others - of_definitions == ours - NOT_AT_HAND


@pytest.mark.row("AUT-10")
@pytest.mark.parametrize("name", [name for name in WITH_CHART if name not in NOT_AT_HAND])
def test_the_chart_knows_every_value(name: str) -> None:
    chart = chart_of(ENTRIES[name])
    known, text = defaults(chart)
    for variant, values in all_values(ENTRIES[name]):
        free = tuple(f"{path}." for path in FREE_FORM.get(chart, ()))
        found = [path for path in unknown(values, known, text) if not path.startswith(free)]
        assert set(found) <= ONLY_IN_TEMPLATES.get(chart, set()), (variant, found)


def test_a_wrong_path_is_found() -> None:
    known = {"server": {"ha": {"replicas": 3}, "extra": {}}, "port": 80}
    text = "server:\n  # resources:\n  #   cpu: 1\n"
    values = {"server": {"ha": {"replica": 1}, "extra": {"any": 1}, "resources": {}}, "sever": 1, "port": {"http": 80}}
    assert list(unknown(values, known, text)) == [
        "server.ha.replica",
        "sever",
        "port (a mapping, where the chart has 80)",
    ]


def with_schema() -> list[str]:
    """The add-ons whose charts have a schema that is whole by itself."""
    charts = {path.name.removesuffix(".schema.json") for path in CHART_VALUES.glob("*.schema.json")}
    offline = (name for name in WITH_CHART if not ENTRIES[name].get("skip_schema_validation"))
    return [name for name in offline if chart_of(ENTRIES[name]) in charts]


@pytest.mark.parametrize("name", with_schema())
def test_the_charts_schema_accepts_the_values(name: str) -> None:
    chart = chart_of(ENTRIES[name])
    schema = json.loads(vendors_file(f"{chart}.schema.json").read_text())
    schema.pop("$schema", None)  # several name a draft that there is not
    validator = jsonschema.Draft7Validator(schema)
    known, _text = defaults(chart)
    for variant, values in all_values(ENTRIES[name]):
        whole = without_nulls(merged(known, values))
        problems = [
            f"{'.'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(whole)
        ]
        assert not problems, (variant, problems)


def without_nulls(value: Any) -> Any:
    """As Helm does before it validates: a null takes its key out."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def test_the_directory_of_definitions_has_every_file_and_group() -> None:
    if not CRDS.is_dir():
        pytest.skip(f"the vendors' definitions are not beside the checkout ({CRDS})")
    for entry in definition_owners(list(ENTRIES.values())):
        groups = set(re.findall(r"^  group: (\S+)$", (CRDS / entry["crds"]["file"]).read_text(), re.MULTILINE))
        assert set(entry["provides"]) <= groups, entry["name"]


@pytest.mark.row("SEC-23")
def test_only_what_reads_the_host_is_privileged() -> None:
    levels: dict[str, str] = {}
    for entry in ENTRIES.values():
        if not is_definitions_only(entry):
            for place in (entry, *entry.get("extra_namespaces", ())):
                levels.setdefault(place["pod_security"]["enforce"], "")
                levels[place["pod_security"]["enforce"]] += f" {place['namespace']}"
    privileged = {
        "platform-agents",
        "velero",
        "metallb-system",
        "platform-storage",
        "rook-ceph",
        "linkerd-cni",
        "kube-system",
    }
    assert set(levels["privileged"].split()) <= privileged
    assert set(levels["baseline"].split()) == {"platform-data", "kube-system"}


def test_no_chart_brings_definitions() -> None:
    """What the reference says of each chart that has a switch for them."""
    switches = {
        "argo-cd": ("crds", "install"),
        "argo-rollouts": ("installCRDs",),
        "cert-manager": ("crds", "enabled"),
        "eck-operator": ("installCRDs",),
        "external-secrets": ("installCRDs",),
        "keda": ("crds", "install"),
        "kube-prometheus-stack": ("crds", "enabled"),
        "metallb": ("crds", "enabled"),
        "rook-ceph": ("crds", "enabled"),
        "snapshot-controller": ("installCRDs",),
        "velero": ("upgradeCRDs",),
        "altinity-clickhouse-operator": ("crdHook", "enabled"),
    }
    for name, path in switches.items():
        value: Any = ENTRIES[name]["values"]
        for key in path:
            value = value[key]
        assert value is False, name


def test_the_page_of_the_catalogue_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.addon_table --write"


def test_every_network_rule_becomes_a_policy_of_its_own() -> None:
    peers = yaml.safe_load((CATALOGUE.parents[2] / "cluster_baseline" / "defaults" / "main.yml").read_text())
    known = {name: [{"cidr": "192.0.2.0/24"}] for name in peers["cluster_baseline_platform_peers"]}
    for namespace, described in namespaces(list(ENTRIES.values())).items():
        policies = [network_policy(namespace, rule, known) for rule in described["allow"]]
        names = [policy["metadata"]["name"] for policy in policies]
        assert len(set(names)) == len(names), namespace


def test_every_addon_is_documented_where_it_needs_more_than_its_values() -> None:
    for entry in ENTRIES.values():
        assert entry["environments"] or entry.get("warning") or entry.get("notes"), f"{entry['name']}: why is it off?"


ROLE = CATALOGUE.parents[1]
ENVIRONMENTS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__addons_environments"]
PROFILES = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["addons_profiles"]
FACTS = {fact: "x" for entry in ENTRIES.values() for fact in (*FACT.findall(str(entry)), *facts_of(entry))}


def chosen(environment: str, profile: str) -> dict[str, Any]:
    return resolve(
        ENTRIES.values(),
        Selection(
            environment,
            profile,
            kubernetes_version="1.34.4",
            facts=FACTS,
            provided_crds=ENVIRONMENTS[environment].get("provided_crds", []),
            capacity=PROFILES[profile],
        ),
    )


@pytest.mark.row("AUT-16")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_profile_of_each_environment_holds_its_addons(environment: str) -> None:
    assert chosen(environment, ENVIRONMENTS[environment]["profile"])["addons"]


@pytest.mark.row("AUT-16")
def test_what_a_profile_does_not_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"Together they ask for .* the profile single has 6 CPU and 12 GiB"):
        chosen("production_talos", "single")


@pytest.mark.row("AUT-17")
def test_a_development_environment_runs_one_of_each() -> None:
    for addon in chosen("dev", "single")["addons"]:
        for workload in addon.get("workloads", ()):
            replicas = workload.get("replicas", 1)
            number = value_at(addon["values"], replicas) if isinstance(replicas, str) else replicas
            assert number == 1 or workload.get("per_node"), addon["name"]
