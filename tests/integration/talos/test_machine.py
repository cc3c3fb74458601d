# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_machine`` on the lab's machines, from maintenance mode on. The tests build on each other in this order."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.pki import client_certificate
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import generate, parse

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import APPLY, Cluster, Machines, until
from tests.sandbox.talos import pki

NODE, WORKER = "cp-1", "worker-1"
LABEL = {"machine": {"nodeLabels": {"example.com/pool": "system"}}}
NEW_LABEL = {"machine": {"nodeLabels": {"example.com/pool": "application"}}}


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    return Cluster(ansible, machines)


@pytest.fixture(scope="module")
def config(cluster: Cluster) -> str:
    return cluster.config(NODE, LABEL)


@pytest.fixture(scope="module")
def new_config(cluster: Cluster) -> str:
    return cluster.config(NODE, NEW_LABEL)


def documents(config: str) -> list[Any]:
    return list(yaml.safe_load_all(config))


def secrets_of(bundle: Any) -> list[str]:
    """Every value of the bundle that the test would not find by chance."""
    return [text for value in bundle.values() for text in (secrets_of(value) if isinstance(value, dict) else [value])]


RESET = "/machine.MachineService/Reset"


def applications(machines: Machines, name: str) -> int:
    return int(machines.requests(name).get(APPLY, 0))


class TestInMaintenance:
    @pytest.mark.row("TAL-08")
    def test_check_mode_predicts_and_touches_nothing(self, machines: Machines, cluster: Cluster, config: str) -> None:
        machines.forget_requests()
        result = cluster.machine(NODE, config, check=True, diff=True, verbosity=3)
        assert result["changed"]
        assert result["insecure"]
        assert result["machine"]["stage"] == "maintenance"
        (diff,) = result["diff"]
        assert diff["before"] == {}
        assert diff["after"]["v1alpha1"]["machine"]["nodeLabels"]["example.com/pool"] == "system"
        assert diff["after"]["v1alpha1"]["machine"]["token"] == "(secret)"
        assert not [secret for secret in secrets_of(cluster.bundle) if secret in result.output]
        assert applications(machines, NODE) == 0
        assert machines.status(NODE)["stage"] == "maintenance"

    def test_another_fingerprint_gets_nothing(self, machines: Machines, cluster: Cluster, config: str) -> None:
        machines.forget_requests()
        message = failed(cluster.machine(NODE, config, maintenance_fingerprint="A" * 43 + "="))
        assert f"Talos API on {NODE} at {machines.address(NODE)} presents a certificate" in message
        assert f"its fingerprint is {machines.status(NODE)['fingerprint']}, not the one given" in message
        assert machines.requests(NODE) == {}

    def test_credentials_of_another_cluster_send_nothing(
        self, machines: Machines, cluster: Cluster, config: str
    ) -> None:
        machines.forget_requests()
        foreign = generate(Contract(1, 13)).tree
        message = failed(cluster.machine(NODE, config, secrets=foreign))
        assert "The machine configuration and the credentials are of different clusters" in message
        assert machines.requests(NODE) == {}

    def test_a_configuration_that_the_node_rejects(self, machines: Machines, cluster: Cluster) -> None:
        result = cluster.machine(NODE, cluster.config(NODE, {"machine": {"certSans": ["x"]}}))
        assert f"Talos API on {NODE} at {machines.address(NODE)} refused ApplyConfiguration: " in failed(result)
        assert "unknown keys found during decoding" in failed(result)
        assert "(invalid argument)" in failed(result)
        assert "0 of 1 changes were made" not in failed(result)
        assert machines.status(NODE)["stage"] == "maintenance"

    def test_nothing_to_reset(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        result = cluster.machine(NODE, None, state="absent")
        assert not result["changed"], result
        assert RESET not in machines.requests(NODE)

    @pytest.mark.row("TAL-01")
    def test_applied_with_the_right_fingerprint(self, machines: Machines, cluster: Cluster, config: str) -> None:
        fingerprint = machines.status(NODE)["fingerprint"]
        result = cluster.machine(NODE, config, maintenance_fingerprint=fingerprint, diff=True, verbosity=3)
        assert result["changed"], result
        assert not result["insecure"]
        assert result["machine"]["stage"] == "booting"  # until the bootstrap
        assert result["machine"]["address"] == machines.address(NODE)
        assert machines.status(NODE)["installed"]
        assert machines.config(NODE, cluster.bundle) == documents(config)
        assert not [secret for secret in secrets_of(cluster.bundle) if secret in result.output]

    def test_a_lost_reply(self, machines: Machines, cluster: Cluster) -> None:
        """As it happens when the network changes with the configuration."""
        machines.fault(WORKER, lost_replies=1)
        config = cluster.config(WORKER)
        result = cluster.machine(WORKER, config)
        assert result["changed"], result
        assert machines.config(WORKER, cluster.bundle) == documents(config)


class TestConfigured:
    @pytest.mark.row("TAL-01")
    def test_a_second_run_changes_nothing_and_asks_little(
        self, machines: Machines, cluster: Cluster, config: str
    ) -> None:
        machines.forget_requests()
        result = cluster.machine(NODE, config, diff=True)
        assert not result["changed"], result
        assert result["diff"] == []
        assert not result["insecure"]
        assert sum(machines.requests(NODE).values()) <= 3

    def test_neither_do_comments_and_order(self, cluster: Cluster, config: str) -> None:
        reordered = yaml.safe_dump_all(reversed(documents(config)), sort_keys=True)
        assert not cluster.machine(NODE, f"# A comment.\n{reordered}")["changed"]

    @pytest.mark.row("TAL-08")
    def test_a_changed_label_is_all_that_is_shown(
        self, machines: Machines, cluster: Cluster, config: str, new_config: str
    ) -> None:
        for check in (True, False):
            result = cluster.machine(NODE, new_config, check=check, diff=True, verbosity=3)
            assert result["changed"], result
            (diff,) = result["diff"]
            assert diff["before"] == {"machine": {"nodeLabels": {"example.com/pool": "system"}}}
            assert diff["after"] == {"machine": {"nodeLabels": {"example.com/pool": "application"}}}
            assert not [secret for secret in secrets_of(cluster.bundle) if secret in result.output]
            expected = config if check else new_config
            assert machines.config(NODE, cluster.bundle) == documents(expected)
        assert result["machine"]["applied_mode"] == "no_reboot"
        assert result["machine"]["details"] == "Applied configuration without a reboot"
        assert not cluster.machine(NODE, new_config)["changed"]

    def test_drift_is_repaired(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        drifted = cluster.config(NODE, NEW_LABEL, {"machine": {"nodeTaints": {"example.com/x": "y:NoSchedule"}}})
        machines.apply(NODE, cluster.bundle, drifted, "AUTO")
        result = cluster.machine(NODE, new_config, diff=True)
        assert result["changed"], result
        assert result["diff"][0]["before"] == {"machine": {"nodeTaints": {"example.com/x": "y:NoSchedule"}}}
        assert result["diff"][0]["after"] == {"machine": {}}
        assert machines.config(NODE, cluster.bundle) == documents(new_config)

    def test_check_mode_does_not_confirm_what_is_on_trial(
        self, machines: Machines, cluster: Cluster, config: str, new_config: str
    ) -> None:
        machines.apply(NODE, cluster.bundle, config, "TRY", try_mode_timeout=datetime.timedelta(seconds=10))
        assert machines.config(NODE, cluster.bundle) == documents(config)
        assert cluster.machine(NODE, new_config, check=True)["changed"]
        until(lambda: machines.config(NODE, cluster.bundle) == documents(new_config), "the trial to end")

    def test_staged(self, machines: Machines, cluster: Cluster, config: str, new_config: str) -> None:
        for changed in (True, False):
            result = cluster.machine(NODE, config, mode="staged")
            assert result["changed"] == changed, result
            assert machines.config(NODE, cluster.bundle) == documents(new_config)
            assert machines.config(NODE, cluster.bundle, "persistent") == documents(config)
        result = cluster.machine(NODE, new_config)  # takes it back
        assert result["changed"], result
        assert machines.config(NODE, cluster.bundle, "persistent") == documents(new_config)

    def test_on_trial_and_then_kept(self, machines: Machines, cluster: Cluster, config: str, new_config: str) -> None:
        assert cluster.machine(NODE, config, mode="try", try_timeout=1)["changed"]
        until(lambda: machines.config(NODE, cluster.bundle) == documents(new_config), "the trial to end")
        for changed in (True, False):
            result = cluster.machine(NODE, config, mode="try", try_timeout=60)
            assert result["changed"] == changed, result
        assert machines.config(NODE, cluster.bundle) == documents(config)
        assert machines.config(NODE, cluster.bundle, "persistent") == documents(new_config)
        assert cluster.machine(NODE, config)["changed"]
        assert machines.config(NODE, cluster.bundle, "persistent") == documents(config)
        assert cluster.machine(NODE, new_config)["changed"]

    def test_a_reboot_only_where_it_is_asked_for(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        boot_id = machines.status(NODE)["boot_id"]
        needs_reboot = cluster.config(NODE, NEW_LABEL, {"machine": {"env": {"GRPC_TRACE": "HUSH-ENVIRONMENT"}}})
        for mode in ("auto", "no_reboot"):
            message = failed(result := cluster.machine(NODE, needs_reboot, mode=mode))
            assert f"Talos API on {NODE} at {machines.address(NODE)} refused ApplyConfiguration" in message
            assert "HUSH-ENVIRONMENT" not in result.output
        assert "Allow it with reboot=if_needed" in failed(cluster.machine(NODE, needs_reboot))
        assert machines.status(NODE)["boot_id"] == boot_id
        assert machines.config(NODE, cluster.bundle) == documents(new_config)
        assert machines.config(NODE, cluster.bundle, "persistent") == documents(new_config)
        message = failed(cluster.machine(NODE, needs_reboot, mode="staged", reboot="always"))
        assert "reboot=always goes with mode=auto only" in message

    def test_a_reboot_where_one_is_needed(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        boot_id = machines.status(NODE)["boot_id"]
        needs_reboot = cluster.config(NODE, NEW_LABEL, {"machine": {"env": {"GRPC_TRACE": "HUSH-ENVIRONMENT"}}})
        predicted = cluster.machine(NODE, needs_reboot, reboot="if_needed", check=True)
        assert predicted["changed"], predicted
        assert predicted["machine"]["rebooted"]
        assert machines.status(NODE)["boot_id"] == boot_id
        machines.fault(NODE, half_open=True, lost_replies=2)  # of the configuration, and of the reboot
        result = cluster.machine(NODE, needs_reboot, reboot="if_needed", diff=True, verbosity=3)
        machines.fault(NODE, half_open=False)
        assert result["changed"], result
        assert result["machine"]["rebooted"]
        assert machines.status(NODE)["boot_id"] != boot_id
        assert machines.config(NODE, cluster.bundle) == documents(needs_reboot)
        assert result["diff"][0]["after"] == {"machine": {"env": {"GRPC_TRACE": "(secret)"}}}
        assert "HUSH-ENVIRONMENT" not in result.output

        boot_id = machines.status(NODE)["boot_id"]
        label = cluster.config(NODE, LABEL, {"machine": {"env": {"GRPC_TRACE": "HUSH-ENVIRONMENT"}}})
        result = cluster.machine(NODE, label, reboot="if_needed")
        assert (result["changed"], result["machine"]["rebooted"]) == (True, False), result
        assert machines.status(NODE)["boot_id"] == boot_id
        result = cluster.machine(NODE, new_config, reboot="always")
        assert (result["changed"], result["machine"]["rebooted"]) == (True, True), result
        assert not cluster.machine(NODE, new_config, reboot="always")["changed"]

    def test_a_reboot_that_was_cut_short_is_made_up_for(
        self, machines: Machines, cluster: Cluster, new_config: str
    ) -> None:
        """Killed between storing the configuration and the reboot."""
        needs_reboot = cluster.config(NODE, NEW_LABEL, {"machine": {"env": {"A": "b"}}})
        machines.apply(NODE, cluster.bundle, needs_reboot, "STAGED")
        result = cluster.machine(NODE, needs_reboot, reboot="if_needed")
        assert (result["changed"], result["machine"]["rebooted"]) == (True, True), result
        assert machines.config(NODE, cluster.bundle) == documents(needs_reboot)
        assert cluster.machine(NODE, new_config, reboot="if_needed")["changed"]

    def test_another_kubernetes_version_is_not_its_business(
        self, machines: Machines, cluster: Cluster, new_config: str
    ) -> None:
        newer = new_config.replace("kubelet:v1.36.3", "kubelet:v1.36.4")
        message = failed(cluster.machine(NODE, newer))
        assert f"would change the Kubernetes version of {NODE}: kubelet from 1.36.3 to 1.36.4" in message
        assert "Use talos_kubernetes_upgrade" in message
        assert machines.config(NODE, cluster.bundle) == documents(new_config)

    def test_another_kind_of_machine_is_refused(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        as_worker = documents(cluster.config(WORKER))
        message = failed(cluster.machine(NODE, yaml.safe_dump_all(as_worker)))
        assert f"{NODE} is a controlplane; a configuration cannot make it a worker" in message
        assert machines.config(NODE, cluster.bundle) == documents(new_config)


def credentials(cluster: Cluster, **overrides: Any) -> dict[str, Any]:
    """``ca``, ``crt`` and ``key`` instead of the bundle."""
    authority = authority_of(cluster)
    identity = overrides.pop("identity", None) or pki.issue_client(authority, ["os:admin"], pki.ADMIN_LIFETIME)
    options = {"ca": authority.certificate, "crt": identity.certificate, "key": identity.key, "secrets": None}
    return {**options, **overrides}


def authority_of(cluster: Cluster) -> pki.Authority:
    parts = cluster.bundle["certs"]["os"]
    return pki.Authority(*(base64.b64decode(parts[part]).decode() for part in ("crt", "key")))


class TestCredentials:
    def test_three_parts_or_a_talosconfig(
        self, cluster: Cluster, new_config: str, machines: Machines, tmp_path: Path, run_module: Any
    ) -> None:
        parts = credentials(cluster)
        assert not cluster.machine(NODE, new_config, **parts)["changed"]
        context = {key: base64.b64encode(parts[key].encode()).decode() for key in ("ca", "crt", "key")}
        talosconfig = tmp_path / "talosconfig"
        talosconfig.write_text(yaml.safe_dump({"context": "test", "contexts": {"test": context}}))
        options = {"node": machines.nodes[NODE], "config": new_config}
        result = run_module("talos_machine", options, environment={"TALOSCONFIG": str(talosconfig)})
        assert not result["changed"], result
        assert result["machine"]["name"] == machines.nodes[NODE]

    def test_the_bundle_of_another_cluster(
        self, machines: Machines, cluster: Cluster, ansible: AnsibleRunner, new_config: str
    ) -> None:
        foreign = Cluster(ansible, machines)
        message = failed(foreign.machine(NODE, foreign.config(NODE)))
        assert (
            f"Talos API on {NODE} at {machines.address(NODE)} presents a certificate that cannot be trusted" in message
        )
        assert "The node belongs to another cluster, or the credentials do." in message
        assert machines.config(NODE, cluster.bundle) == documents(new_config)

    def test_a_client_certificate_of_another_authority(
        self, machines: Machines, cluster: Cluster, new_config: str
    ) -> None:
        identity = pki.issue_client(pki.new_authority("talos"), ["os:admin"], pki.ADMIN_LIFETIME)
        options = credentials(cluster, identity=identity)
        message = failed(cluster.machine(NODE, new_config, connect_timeout=1, **options))
        # Talos says why; the simulator's TLS only closes the connection.
        assert f"Talos API on {NODE} at {machines.address(NODE)} " in message
        assert "not accept the client certificate" in message

    def test_an_expired_client_certificate(self, cluster: Cluster, new_config: str) -> None:
        pair = parse(cluster.bundle).authority("os")
        expired = client_certificate(pair, lifetime=datetime.timedelta(minutes=-1))
        identity = pki.Identity(expired.certificate.decode(), expired.key.decode())
        message = failed(cluster.machine(NODE, new_config, **credentials(cluster, identity=identity)))
        assert "The client certificate for the Talos API expired on " in message

    def test_an_expired_certificate_of_the_node(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        machines.fault(NODE, certificate_expired=True)
        message = failed(cluster.machine(NODE, new_config))
        machines.fault(NODE, certificate_expired=False)
        assert f"{NODE} at {machines.address(NODE)} presents a certificate that cannot be trusted" in message
        assert "certificate has expired" in message
        assert "Check the clocks" in message
        assert not cluster.machine(NODE, new_config)["changed"]

    def test_a_reader_may_not(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        identity = pki.issue_client(authority_of(cluster), ["os:reader"], pki.ADMIN_LIFETIME)
        message = failed(cluster.machine(NODE, new_config, **credentials(cluster, identity=identity)))
        assert f"Talos API on {NODE} at {machines.address(NODE)} refused List: not authorized" in message

    def test_a_name_that_the_certificate_is_not_for(
        self, machines: Machines, cluster: Cluster, new_config: str
    ) -> None:
        message = failed(cluster.machine(NODE, new_config, tls_server_name="elsewhere.example.com"))
        assert "Hostname mismatch" in message
        assert "Set tls_server_name to a name that the certificate is for." in message
        assert not cluster.machine(NODE, new_config, tls_server_name=machines.status(NODE)["hostname"])["changed"]

    def test_none_at_all(self, run_module: Any, machines: Machines, new_config: str) -> None:
        message = failed(run_module("talos_machine", {"node": machines.nodes[NODE], "config": new_config}))
        assert "one of the following is required: secrets, key, talosconfig" in message


class TestUnreachable:
    @pytest.fixture
    def broken(self, machines: Machines, request: pytest.FixtureRequest) -> Iterator[None]:
        machines.fault(NODE, unreachable=request.param)
        yield
        machines.fault(NODE, unreachable="")

    @pytest.mark.row("TAL-08")
    @pytest.mark.parametrize(
        ("broken", "reason"),
        [("refuse", "connection refused"), ("hang", "it did not answer in time")],
        indirect=["broken"],
    )
    def test_a_node_that_does_not_answer_is_named(
        self, machines: Machines, cluster: Cluster, new_config: str, broken: None, reason: str
    ) -> None:
        result = cluster.machine(NODE, new_config, connect_timeout=1, verbosity=3)
        assert f"Talos API on {NODE} at {machines.address(NODE)} is not reachable: {reason}." in failed(result)
        assert "Traceback" not in result.output
        assert not [secret for secret in secrets_of(cluster.bundle) if secret in result.output]

    def test_a_node_that_just_boots_is_waited_for(self, machines: Machines, cluster: Cluster, new_config: str) -> None:
        machines.ask("power_cycle", machine=NODE)
        assert not cluster.machine(NODE, new_config)["changed"]

    def test_what_it_waited_for_in_vain(self, cluster: Cluster, new_config: str) -> None:
        """Nobody did the bootstrap."""
        message = failed(cluster.machine(NODE, new_config, wait_for="running", wait_timeout=1))
        assert f"Gave up after 1 s waiting for {NODE}" in message
        assert "its stage is booting" in message

    def test_without_waiting(self, cluster: Cluster, new_config: str) -> None:
        result = cluster.machine(NODE, new_config, wait_for="running", wait=False)
        assert result["machine"]["stage"] == "booting"


@pytest.mark.parametrize("package", ["grpclib", "google"])
def test_a_missing_library_is_named(
    run_module: Any, machines: Machines, new_config: str, tmp_path: Path, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('not here')")
    options = {"node": machines.nodes[NODE], "config": new_config, "talosconfig": "/x"}
    result: ModuleResult = run_module("talos_machine", options, environment={"PYTHONPATH": str(tmp_path)})
    name = {"google": "protobuf"}.get(package, package)
    assert f"{name} is not installed" in failed(result)
    assert f"pip install '{name}>=" in failed(result)
