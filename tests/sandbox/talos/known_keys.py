# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys that Talos knows in each document of a machine configuration; it refuses every other key.

Notation: ``key{a, b}`` is a mapping with the keys a and b, ``key{}`` one with any keys, ``key{*{a}}`` one with any keys
whose values are mappings, ``key[]`` a list, ``key[{a}]`` a list of mappings, and ``key`` any value.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Fields that many documents share.
_SHARED = {
    "<encryption>": """encryption{provider, keys[{slot, static{passphrase}, nodeID{}, kms{endpoint},
        tpm{options{pcrs[]}, checkSecurebootStatusOnEnroll}, lockToState}], cipher, keySize, blockSize, options[],
        allowDiscards}""",
    "<link>": """up, mtu, multicast, addresses[{address, routePriority}],
        routes[{destination, gateway, source, metric, mtu, table}]""",
    "<component>": "image, extraArgs{}, extraVolumes[{}], env{}, resources{}",
}

_V1ALPHA1 = """
v1alpha1{version, debug, persist,
machine{type, token, ca{crt, key}, acceptedCAs[{crt}], certSANs[],
    controlPlane{controllerManager{disabled}, scheduler{disabled}},
    kubelet{image, clusterDNS[], extraArgs{}, extraMounts[{}], extraConfig{}, credentialProviderConfig{},
        defaultRuntimeSeccompProfileEnabled, registerWithFQDN, nodeIP{validSubnets[]}, skipNodeRegistration,
        disableManifestsDirectory},
    pods[{}],
    network{hostname, interfaces[{interface, deviceSelector{}, addresses[], routes[{network, gateway, source, metric,
        mtu}], bond{}, bridge{}, bridgePort{}, vlans[{}], mtu, dhcp, ignore, dummy, dhcpOptions{}, wireguard{}, vip{}}],
        nameservers[], searchDomains[], extraHostEntries[{ip, aliases[]}], kubespan{}, disableSearchDomain},
    disks[{}],
    install{disk, diskSelector{size, name, model, serial, modalias, uuid, wwid, type, busPath}, extraKernelArgs[],
        image, extensions[{}], wipe, legacyBIOSSupport, grubUseUKICmdline},
    files[{content, permissions, path, op}], env{}, time{disabled, servers[], bootTimeout}, sysctls{}, sysfs{},
    registries{mirrors{*{endpoints[], overridePath, skipFallback}}, config{*{tls{clientIdentity{crt, key}, ca,
        insecureSkipVerify}, auth{username, password, auth, identityToken}}}},
    systemDiskEncryption{state{}, ephemeral{}},
    features{rbac, stableHostname, apidCheckExtKeyUsage, diskQuotaSupport, kubePrism{enabled, port}, hostDNS{enabled,
        forwardKubeDNSToHost, resolveMemberNames}, kubernetesTalosAPIAccess{enabled, allowedRoles[],
        allowedKubernetesNamespaces[]}, imageCache{}, nodeAddressSortAlgorithm},
    udev{rules[]}, logging{destinations[{}]}, kernel{modules[{name, parameters[]}]}, seccompProfiles[{name, value{}}],
    baseRuntimeSpecOverrides{}, nodeLabels{}, nodeAnnotations{}, nodeTaints{}},
cluster{id, secret, controlPlane{endpoint, localAPIServerPort}, clusterName,
    network{cni{name, urls[], flannel{}}, dnsDomain, podSubnets[], serviceSubnets[]},
    token, aescbcEncryptionSecret, secretboxEncryptionSecret, ca{crt, key}, acceptedCAs[{crt}],
    aggregatorCA{crt, key}, serviceAccount{key},
    apiServer{<component>, certSANs[], disablePodSecurityPolicy, admissionControl[{name, configuration{}}],
        auditPolicy{}, authorizationConfig[{}]},
    controllerManager{<component>}, proxy{disabled, image, mode, extraArgs{}}, scheduler{<component>, config{}},
    discovery{enabled, registries{kubernetes{disabled}, service{disabled, endpoint}}},
    etcd{image, ca{crt, key}, extraArgs{}, advertisedSubnets[], listenSubnets[]},
    coreDNS{disabled, image}, externalCloudProvider{enabled, manifests[]}, extraManifests[], extraManifestHeaders{},
    inlineManifests[{name, contents}], adminKubeconfig{certLifetime}, allowSchedulingOnControlPlanes}}
"""

_DOCUMENTS = """
BGPInstanceConfig{name, vrf, localASN, routerID, routeSource, advertise[], multipath, maxPaths, installRoutes,
    importRoutes[{bgpInstance, prefixes[]}], neighbors[{address, link, peerASN, localASN, passive, holdTime,
    bfd{transmitInterval, receiveInterval, detectMultiplier}}]}
BlackholeRouteConfig{name, metric}
BondConfig{name, hardwareAddr, links[], bondMode, miimon, updelay, downdelay, useCarrier, xmitHashPolicy,
    arpInterval, arpIpTargets[], nsIp6Targets[], arpValidate, arpAllTargets, lacpRate, failOverMac, adSelect,
    adActorSysPrio, adUserPortKey, adLACPActive, primary, primaryReselect, resendIGMP, minLinks, lpInterval,
    packetsPerSlave, numPeerNotif, tlbLogicalLb, allSlavesActive, peerNotifDelay, missedMax, <link>}
BridgeConfig{name, hardwareAddr, links[], stp{enabled}, vlan{filtering}, <link>}
CRIBaseRuntimeSpecConfig{overrides{}}
CRICustomizationConfig{name, content}
ContainerConfig{name, image, entrypoint[], args[], workingDir, runAs{uid, gid}, environment[],
    mounts[{userVolume{name, destination, options}, tmpfs{destination, size, options[]}, hostPath{source,
    destination, options[]}}], security{profile, capabilities{add[], drop[]}}, network{mode},
    resources{limits{cpu, memory}}, dependsOn{paths[], networks, time, containers[]}}
DHCPv4Config{name, routeMetric, ignoreHostname, ignoreRoutes, clientIdentifier, duidRaw}
DHCPv6Config{name, routeMetric, ignoreHostname, clientIdentifier, duidRaw}
DiscoveryIdentityConfig{clusterID, clusterSecret}
DiscoveryServiceConfig{name, endpoint}
DummyLinkConfig{name, hardwareAddr, <link>}
EnvironmentConfig{variables{}}
EtcFileConfig{name, mode, contents}
EthernetConfig{name, features{}, rings{rx, tx, rx-mini, rx-jumbo, rx-buf-len, cqe-size, tx-push, rx-push,
    tx-push-buf-len, tcp-data-split}, channels{rx, tx, other, combined}, wakeOnLan[]}
EventSinkConfig{endpoint}
ExistingVolumeConfig{name, discovery{volumeSelector{match}}, mount{readOnly, disableAccessTime, secure},
    trim{enabled, interval}, scrub{enabled, interval}}
ExtensionServiceConfig{name, configFiles[{content, mountPath}], environment[]}
ExternalVolumeConfig{name, filesystemType, mount{readOnly, disableAccessTime, secure, virtiofs{tag}}}
FilesystemScrubConfig{interval}
FilesystemTrimConfig{interval}
HCloudVIPConfig{name, link, apiToken}
HTTPProbeConfig{name, interval, failureThreshold, url, timeout}
HostnameConfig{auto, hostname}
ImageCacheConfig{local{enabled}}
ImageVerificationConfig{rules[{}]}
KernelModuleConfig{name, parameters[]}
KmsgLogConfig{name, url}
KubeAPIServerCAConfig{issuingCA{cert, key}, acceptedCAs[]}
KubeAPIServerConfig{image, extraArgs{}, env{}, resources{}, apiPort, certExtraSANs[], startupProbes}
KubeAdmissionControlConfig{name, configuration{}}
KubeAggregatorCAConfig{issuingCA{cert, key}, acceptedCAs[]}
KubeAuditPolicyConfig{configuration{}}
KubeAuthenticationConfig{configuration{}}
KubeAuthorizerConfig{name, type, webhook{}}
KubeClusterConfig{clusterName, endpoint}
KubeControllerManagerConfig{enabled, image, extraArgs{}, env{}, resources{}}
KubeCoreDNSConfig{enabled, image}
KubeCredentialProviderConfig{configuration{}}
KubeEtcdEncryptionConfig{config{}}
KubeExternalManifestConfig{name, headers{}, url}
KubeFlannelCNIConfig{backendType, backendPort, backendMTU, backendExtraConfig{}, resources{}, extraArgs[],
    kubeNetworkPoliciesEnabled}
KubeInlineManifestConfig{name, manifest}
KubeNetworkConfig{dnsDomain, podSubnets[], serviceSubnets[], nodeCIDRMaskSizeIPv4, nodeCIDRMaskSizeIPv6}
KubeNodeConfig{skipNodeRegistration, registerWithFQDN, nodeIP{validSubnets[]}, labels{}, annotations{},
    taints{}}
KubePrismConfig{port, tlsServerName}
KubeProxyConfig{enabled, image, mode, config{}, extraArgs{}, resources{}}
KubeSchedulerConfig{enabled, image, config{}, extraArgs{}, env{}, resources{}}
KubeServiceAccountConfig{issuer{privateKey, issuerURL}, accepted{publicKeys[], issuers[], audiences[]}}
KubeSpanConfig{enabled, advertiseKubernetesNetworks, allowDownPeerBypass, harvestExtraEndpoints, mtu,
    filters{endpoints[], excludeAdvertisedNetworks[]}}
KubeSpanEndpoints{extraAnnouncedEndpoints[]}
KubeStaticPodConfig{name, pod{}}
KubeTalosAPIAccessConfig{allowedRoles[], allowedKubernetesNamespaces[]}
KubeletConfig{image, config{}, extraArgs{}, clusterDNS[], defaultRuntimeSeccompProfileEnabled}
LVMLogicalVolumeConfig{name, type, mirrors, stripes, provisioning{volumeGroup, minSize, maxSize}}
LVMVolumeGroupConfig{name, provisioning{volumeSelector{match}}}
Layer2VIPConfig{name, link}
LinkAliasConfig{name, selector{match}}
LinkConfig{name, <link>}
NetworkDefaultActionConfig{ingress}
NetworkRuleConfig{name, portSelector{ports[], protocol}, ingress[{subnet, except}]}
OOMConfig{triggerExpression, cgroupRankingExpression, strictCgroupClassOrdering, sampleInterval}
PCIDriverRebindConfig{name, targetDriver}
RAIDArrayConfig{name, level, metadata, provisioning{volumeSelector{match}}}
RawVolumeConfig{name, provisioning{diskSelector{match}, grow, minSize, maxSize}, <encryption>}
RegistryAuthConfig{name, username, password, auth, identityToken}
RegistryMirrorConfig{name, endpoints[{url, overridePath}], skipFallback}
RegistryTLSConfig{name, clientIdentity{cert, key}, ca, insecureSkipVerify}
ResolverConfig{nameservers[{address, protocol, tlsServerName}], searchDomains{domains[], disableDefault},
    hostDNS{enabled, forwardKubeDNSToHost, resolveMemberNames}}
RoutingRuleConfig{name, src, dst, table, action, iifName, oifName, fwMark, fwMask}
SecurityProfileConfig{workloadIsolation}
SideroLinkConfig{apiUrl, uniqueToken}
StaticHostConfig{name, hostnames[]}
SwapVolumeConfig{name, provisioning{diskSelector{match}, grow, minSize, maxSize}, <encryption>}
SysctlConfig{params{}}
SysfsConfig{params{}}
TCPProbeConfig{name, interval, failureThreshold, endpoint, timeout}
TimeSyncConfig{enabled, bootTimeout, ntp{servers[], useNTS}, ptp{devices[]}}
TrustedRootsConfig{name, certificates}
UdevRulesConfig{rules[]}
UnattendedInstallConfig{reboot, installer{image}, provisioning{diskSelector{match}, wipe}}
UserVolumeConfig{name, volumeType, provisioning{diskSelector{match}, grow, minSize, maxSize}, filesystem{type,
    projectQuotaSupport, xfs{minAllocationGroupSize}}, <encryption>, mount{disableAccessTime, secure},
    trim{enabled, interval}, scrub{enabled, interval}}
VLANConfig{name, vlanID, vlanMode, parent, <link>}
VRFConfig{name, hardwareAddr, links[], table, <link>}
VethConfig{name, peer{name, <link>}, <link>}
VolumeConfig{name, provisioning{diskSelector{match}, grow, minSize, maxSize},
    filesystem{xfs{minAllocationGroupSize}}, <encryption>, mount{secure, disableAccessTime}, trim{enabled,
    interval}, scrub{enabled, interval}}
WatchdogTimerConfig{device, timeout}
WireguardConfig{name, privateKey, listenPort, firewallMark, peers[{publicKey, presharedKey, endpoint,
    persistentKeepaliveInterval, allowedIPs[]}], <link>}
ZswapConfig{maxPoolPercent, shrinkerEnabled}
"""

# Documents that older servers do not know, by the first minor version of Talos 1 that does.
_SINCE = {
    12: "HostnameConfig RegistryMirrorConfig RegistryAuthConfig RegistryTLSConfig",
    13: "KubeSpanConfig",
    14: """DiscoveryServiceConfig DiscoveryIdentityConfig UnattendedInstallConfig SecurityProfileConfig KubeletConfig
        FilesystemTrimConfig KubeAdmissionControlConfig KubeAggregatorCAConfig KubeAPIServerCAConfig KubeAPIServerConfig
        KubeAuditPolicyConfig KubeAuthenticationConfig KubeAuthorizerConfig KubeClusterConfig
        KubeControllerManagerConfig KubeCoreDNSConfig KubeEtcdEncryptionConfig KubeFlannelCNIConfig KubeNetworkConfig
        KubeNodeConfig KubePrismConfig KubeProxyConfig KubeSchedulerConfig KubeServiceAccountConfig
        KubeExternalManifestConfig""",
}

# Rejected on workers.
_CONTROL_PLANE_KINDS = """KubeAPIServerConfig KubeControllerManagerConfig KubeSchedulerConfig KubeProxyConfig
    KubeCoreDNSConfig KubeFlannelCNIConfig KubeAuditPolicyConfig KubeAuthenticationConfig KubeAuthorizerConfig
    KubeAdmissionControlConfig KubeAggregatorCAConfig KubeEtcdEncryptionConfig KubeServiceAccountConfig
    KubeTalosAPIAccessConfig"""
CONTROL_PLANE_KINDS = frozenset(_CONTROL_PLANE_KINDS.split())


@dataclass(frozen=True)
class Keys:
    """What a value may hold: ``kind`` is ``any``, ``mapping`` or ``list``.

    ``named`` are the keys of a mapping, ``rest`` what every other key or list element holds; without either, anything.
    """

    kind: str = "any"
    named: Mapping[str, Keys] = field(default_factory=dict)
    rest: Keys | None = None


def _tokens(text: str) -> list[str]:
    for name, fields in _SHARED.items():
        text = text.replace(name, fields)
    return re.findall(r"[\w-]+|[*{}\[\]]", text)


def _parse_value(tokens: list[str]) -> Keys:
    if not tokens or tokens[0] not in "{[":
        return Keys()
    opening = tokens.pop(0)
    if opening == "[":
        element = _parse_value(tokens)
        tokens.pop(0)
        return Keys("list", rest=element)
    named, rest = {}, None
    while (name := tokens.pop(0)) != "}":
        if name == "*":
            rest = _parse_value(tokens)
        else:
            named[name] = _parse_value(tokens)
    return Keys("mapping", named, rest)


@functools.cache
def document_keys() -> dict[str, Keys]:
    """Known keys by kind of document; the document without a kind is ``v1alpha1``."""
    tokens = _tokens(_V1ALPHA1 + _DOCUMENTS)
    documents = {}
    while tokens:
        name = tokens.pop(0)
        documents[name] = _parse_value(tokens)
    return documents


def knows_kind(kind: str, minor: int) -> bool:
    """Whether a server of Talos 1.``minor`` knows this kind of document."""
    since = next((first for first, kinds in _SINCE.items() if kind in kinds.split()), 0)
    return kind != "v1alpha1" and kind in document_keys() and minor >= since


def unknown_keys(value: Any, keys: Keys) -> Any:
    """The part of ``value`` that Talos does not know, in the same shape; empty when it knows all of it.

    Raises ``TypeError`` where a mapping or a list is expected and something else is found.
    """
    if value is None or keys.kind == "any":
        return {}
    if keys.kind == "list":
        if not isinstance(value, list):
            raise TypeError(f"cannot unmarshal {value!r} into a list")
        found = [unknown_keys(element, keys.rest or Keys()) for element in value]
        return [element for element in found if element]
    if not isinstance(value, dict):
        raise TypeError(f"cannot unmarshal {value!r} into a mapping")
    unknown = {}
    for key, element in value.items():
        known = keys.named.get(key, keys.rest)
        if known is None and keys.named:
            unknown[key] = element
        elif known and (part := unknown_keys(element, known)):
            unknown[key] = part
    return unknown
