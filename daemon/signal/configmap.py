"""The decision as a Kubernetes ConfigMap: `kubectl wait --for=jsonpath=…`, a mounted volume, any controller.

Plain HTTPS as a pod speaks to its API server (Kubernetes documentation, "Accessing the Kubernetes API from a Pod"): the
service account's token, read again at each request since it is renewed, and the cluster's CA. Replaced by
compare-and-set on `resourceVersion` ("API Concepts", "Resource versions"). Not run in a cluster: run against the real
API server of one (`tests/kube_apiserver.py`), and against `tests/kubernetes_api.py`, which answers as documented.
"""

import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from daemon.sections import ConfigMap
from daemon.signal.document import Document
from daemon.signal.publisher import PublishFailed, is_older, outdated, told

ATTEMPTS = 5  # somebody else may write labels at the same moment
TIMEOUT_SECONDS = 5.0
ANSWER_BYTES_MAX = 4 << 20  # a ConfigMap has at most 1 MiB of data
EPOCH, PUBLISHED_AT, MIGRATION = "moveout/epoch", "moveout/published-at", "moveout/migration"
LABELS = {
    "app.kubernetes.io/name": "moveout",
    "app.kubernetes.io/component": "signal",
    "app.kubernetes.io/managed-by": "moveout",
}
_HINTS = {
    401: "the token is not accepted: signal.configmap.token_file",
    403: "the service account may get and update one that is there: deploy/kubernetes/components/signal",
    404: "the namespace must exist: signal.configmap.namespace",
}


class _Reply(NamedTuple):
    status: int
    body: Any


class ConfigMapPublisher:
    """`signal.configmap`. Labels, annotations and keys that others have put there stay."""

    every_seconds = 15.0

    def __init__(self, options: ConfigMap, environment: Mapping[str, str] = os.environ) -> None:
        self._options = options
        self._environment = environment
        self.name = f"signal.configmap {options.name}"

    def publish(self, document: Document) -> None:
        """Read, compare, replace; again when somebody was quicker. Raises PublishFailed."""
        collection = f"/api/v1/namespaces/{self._namespace()}/configmaps"
        for _ in range(ATTEMPTS):
            found = self._ask("GET", f"{collection}/{self._options.name}")
            if found.status == HTTPStatus.NOT_FOUND:
                reply = self._ask("POST", collection, self._wanted({}, document))
            else:
                self._check(found.body, document)
                reply = self._ask("PUT", f"{collection}/{self._options.name}", self._wanted(found.body, document))
            if reply.status < HTTPStatus.BAD_REQUEST:
                return
            if reply.status == found.status == HTTPStatus.NOT_FOUND:
                raise self._refused(reply)
        raise PublishFailed(f"{self.name} has changed under {ATTEMPTS} attempts: who else writes it?")

    def _check(self, found: Mapping[str, Any], document: Document) -> None:
        notes = found.get("metadata", {}).get("annotations") or {}
        migration, epoch, at = notes.get(MIGRATION), notes.get(EPOCH, ""), notes.get(PUBLISHED_AT, "")
        if migration is not None and migration != document.migration:
            raise PublishFailed(f"{self.name} is that of the migration {migration}: give this one another name")
        if epoch.isdecimal() and is_older(document, int(epoch), at):
            raise outdated(self.name, document, epoch, at)

    def _wanted(self, found: Mapping[str, Any], document: Document) -> dict[str, Any]:
        """What was found, with ours in it; its resourceVersion makes the write conditional."""
        metadata = found.get("metadata", {})
        notes = {MIGRATION: document.migration, EPOCH: str(document.epoch), PUBLISHED_AT: document.published_at}
        return {
            **found,
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                **metadata,
                "name": self._options.name,
                "labels": {**(metadata.get("labels") or {}), **self._options.labels, **LABELS},
                "annotations": {**(metadata.get("annotations") or {}), **notes},
            },
            "data": {**(found.get("data") or {}), **_data(document)},
        }

    def _ask(self, method: str, path: str, body: Any = None) -> _Reply:
        """An answer of 200, 201, 404 or 409. Raises PublishFailed for any other, and for none."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self._read('token_file').strip()}"
        data = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(self._server() + path, data, headers, method=method)  # noqa: S310  https only
        try:
            reply = _sent(self._opener(), request)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise PublishFailed(f"{self.name}: the API server does not answer {method}: {error}") from error
        if reply.status not in (200, 201, 404, 409):
            raise self._refused(reply)
        return reply

    def _refused(self, reply: _Reply) -> PublishFailed:
        """With what the Status object says ("API Concepts", "Response reasons")."""
        said = reply.body.get("message") if isinstance(reply.body, dict) else None
        hint = _HINTS.get(reply.status, "see its message")
        return PublishFailed(f"{self.name}: the API server answers {reply.status}: {said or 'no message'} ({hint})")

    def _opener(self) -> urllib.request.OpenerDirector:
        try:
            context = ssl.create_default_context(cafile=self._options.ca_file)
        except OSError as error:
            raise PublishFailed(f"signal.configmap.ca_file {self._options.ca_file} cannot be used: {error}") from error
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), NoRedirect())

    def _server(self) -> str:
        if self._options.api_url is not None:
            return self._options.api_url.rstrip("/")
        host, port = (self._environment.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
        if not host:
            raise PublishFailed(f"{self.name}: this is no pod (KUBERNETES_SERVICE_HOST): set signal.configmap.api_url")
        return f"https://{f'[{host}]' if ':' in host else host}:{port or 443}"

    def _namespace(self) -> str:
        return self._options.namespace or self._read("namespace").strip()

    def _read(self, name: str) -> str:
        """A file of the service account's volume; the namespace's lies beside the token's."""
        token = self._options.token_file
        path = token if name == "token_file" else token.parent / name
        try:
            return path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = (
                f"{self.name}: {path} cannot be read: set signal.configmap.{name}, or mount the service account's token"
            )
            raise PublishFailed(why) from error


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: neither a token nor a consent is to be taken elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Nowhere."""


def _sent(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> _Reply:
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return _Reply(answer.status, msgspec.json.decode(answer.read(ANSWER_BYTES_MAX)))
    except urllib.error.HTTPError as error:
        with error:
            return _Reply(error.code, _status(error.read(ANSWER_BYTES_MAX)))


def _status(said: bytes) -> Any:
    try:
        return msgspec.json.decode(said)
    except msgspec.MsgspecError:
        return None


def _data(document: Document) -> dict[str, str]:
    """Values of a ConfigMap are text ("ConfigMaps"): those of JSON, and whole documents as files."""
    values = {
        name.replace("_", "-"): value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in told(document)._asdict().items()
    }
    return {**values, "document.json": msgspec.json.format(msgspec.json.encode(document), indent=2).decode()}
