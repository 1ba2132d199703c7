"""As much of a Kubernetes API server as ConfigMaps need, over TLS with a bearer token: answers as documented.

Kubernetes documentation, "API Concepts": `resourceVersion` rises with each change; a PUT with an old one is a 409
Conflict, a POST of a known name a 409 AlreadyExists; refusals are Status objects. What it takes is checked by the rules
of "ConfigMaps", "Labels and Selectors", "Annotations". Discovery is there for kubectl.
"""

import copy
import json
import re
import ssl
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PLACE = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/configmaps(?:/([a-z0-9.-]+))?")
BYTES_MAX = 1 << 20
VERBS = {
    "name": "configmaps",
    "singularName": "configmap",
    "namespaced": True,
    "kind": "ConfigMap",
    "shortNames": ["cm"],
}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{**VERBS, "verbs": ["create", "get", "list", "patch", "update", "watch"]}],
    },
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
}


class Refused(Exception):
    def __init__(self, code, reason, message):
        super().__init__(message)
        self.code, self.status = (
            code,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": message,
                "reason": reason,
                "code": code,
            },
        )


class KubernetesApi:
    """A server with one namespace. `token` is what it accepts, `verbs` what it lets that token do."""

    def __init__(self, authority, namespace="moveout", token="token-1"):  # noqa: S107  of a stand-in
        self.namespace, self.token = namespace, token
        self.verbs = {"get", "create", "update", "patch", "list", "watch"}
        self.maps, self.asked, self.before_put = {}, [], None
        self._version, self._lock = 100, threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("api-server", hosts=("127.0.0.1",)))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def change(self, name, **data):
        """As somebody else does it."""
        with self._lock:
            found = copy.deepcopy(self.maps[name])
            found["data"].update(data)
            self._store(found)

    def answer(self, method, path, token, body):
        """Status and object."""
        if token != self.token:
            raise Refused(401, "Unauthorized", "Unauthorized")
        if path in DISCOVERY:
            return 200, DISCOVERY[path]
        found = PLACE.fullmatch(path)
        if found is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace, name = found.groups()
        verb = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}[method]
        if verb not in self.verbs:
            subject = '"system:serviceaccount:moveout:moveout"'
            raise Refused(403, "Forbidden", f'configmaps "{name}" is forbidden: User {subject} cannot {verb} resource')
        if namespace != self.namespace:
            missing = f'namespaces "{namespace}" not found' if verb == "create" else f'configmaps "{name}" not found'
            raise Refused(404, "NotFound", missing)
        if verb == "update" and self.before_put is not None:
            self.before_put()
        with self._lock:
            return getattr(self, f"_{verb}")(name, body)

    def _get(self, name, _):
        if name not in self.maps:
            raise Refused(404, "NotFound", f'configmaps "{name}" not found')
        return 200, self.maps[name]

    def _list(self, _, __):
        listed = {"resourceVersion": str(self._version)}
        return 200, {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": listed, "items": [*self.maps.values()]}

    def _create(self, _, body):
        name = body["metadata"]["name"]
        if name in self.maps:
            raise Refused(409, "AlreadyExists", f'configmaps "{name}" already exists')
        if body["metadata"].get("resourceVersion"):
            raise Refused(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        own = {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-11-21T00:00:00Z", "namespace": self.namespace}
        return 201, self._store({**body, "metadata": {**body["metadata"], **own}})

    def _update(self, name, body):
        _, known = self._get(name, None)
        metadata = body["metadata"]
        if metadata["name"] != name:
            raise Refused(400, "BadRequest", f"the name of the object ({metadata['name']}) does not match ({name})")
        version = metadata.get("resourceVersion")
        if version and version != known["metadata"]["resourceVersion"]:
            changed = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on configmaps "{name}": {changed}')
        if metadata.get("uid", known["metadata"]["uid"]) != known["metadata"]["uid"]:
            raise Refused(409, "Conflict", "Precondition failed: UID in precondition does not match")
        if known.get("immutable") and body.get("data") != known.get("data"):
            raise Refused(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        return 200, self._store(body)

    def _patch(self, name, body):
        """RFC 7386, of data and metadata."""
        _, known = self._get(name, None)
        merged = copy.deepcopy(known)
        for part in ("data", "metadata"):
            merged[part] = {k: v for k, v in {**known.get(part, {}), **body.get(part, {})}.items() if v is not None}
        return 200, self._store(merged)

    def _store(self, body):
        check(body)
        self._version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.maps[stored["metadata"]["name"]] = stored
        return stored

    def _handler(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
                address = urlsplit(self.path)
                api.asked.append((self.command, address.path, parse_qs(address.query)))
                try:
                    token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                    code, said = api.answer(self.command, address.path, token, body)
                except Refused as refused:
                    code, said = refused.code, refused.status
                told = json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815  the library's names

            def log_message(self, *_):
                pass

        return Handler


def check(body):
    """The rules that a ConfigMap is held to."""
    metadata, faults = body.get("metadata", {}), []
    faults += [] if (body.get("apiVersion"), body.get("kind")) == ("v1", "ConfigMap") else ["no ConfigMap of v1"]
    faults += [
        f"unknown field {n}"
        for n in body.keys() - {"apiVersion", "kind", "metadata", "data", "binaryData", "immutable"}
    ]
    faults += [
        f"data {k}" for k, v in (body.get("data") or {}).items() if not (KEY.fullmatch(k) and isinstance(v, str))
    ]
    for field in ("labels", "annotations"):
        given = metadata.get(field) or {}
        faults += [f"{field} {k}" for k, v in given.items() if not (QUALIFIED.fullmatch(k) and isinstance(v, str))]
    faults += [f"label {k}: {v}" for k, v in (metadata.get("labels") or {}).items() if not LABEL.fullmatch(v)]
    if sum(len(k) + len(v) for k, v in (body.get("data") or {}).items()) > BYTES_MAX:
        faults.append("too long: must have at most 1048576 bytes")
    if faults:
        raise Refused(422, "Invalid", f'ConfigMap "{metadata.get("name")}" is invalid: {", ".join(faults)}')
