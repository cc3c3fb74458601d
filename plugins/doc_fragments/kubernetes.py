# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options shared by the modules that talk to a Kubernetes API server."""

from __future__ import annotations


class ModuleDocFragment:
    """Mirrors ``KUBERNETES_ARGUMENTS``."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file.
      - Without it, and without O(context) or both O(host) and O(api_key), the service account of the pod is used, or
        else C(~/.kube/config).
      - Default is the environment variable E(K8S_AUTH_KUBECONFIG).
    type: path
  context:
    description:
      - Name of a context in the kubeconfig; without it, the file's current context.
      - Default is the environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server, instead of the kubeconfig's.
      - Default is the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token, instead of the kubeconfig's credentials.
      - Default is the environment variable E(K8S_AUTH_API_KEY).
    type: str
  ca_cert:
    description:
      - Path of a PEM file with the certificate authority of the API server, instead of the kubeconfig's.
      - Default is the environment variable E(K8S_AUTH_SSL_CA_CERT), or E(K8S_AUTH_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether to verify the certificate of the API server. Without it, what the kubeconfig says; V(true) if it says
        nothing.
      - Default is the environment variable E(K8S_AUTH_VERIFY_SSL), or E(K8S_AUTH_VALIDATE_CERTS).
    type: bool
    aliases: [verify_ssl]
requirements:
  - kubernetes >= 28.1.0
"""
