# syntax=docker/dockerfile:1

# Skerry in an image: the environment of uv.lock, without development tools, for a user without rights.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG UV=0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/skerry UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir "uv==${UV}"
WORKDIR /build
# Dependencies change less often than the code: they are a layer of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project
COPY README.md LICENSE ./
COPY src ./src
RUN uv sync --frozen --no-dev --no-editable

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="Skerry" \
      org.opencontainers.image.description="A self-hosted Live Activities server" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin skerry \
 && install --directory --owner skerry --group skerry --mode 0700 /data \
 && install --directory /etc/skerry
COPY --from=build /opt/skerry /opt/skerry
ENV PATH=/opt/skerry/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SKERRY_DATA_DIR=/data \
    SKERRY_HTTP__HOST=0.0.0.0 \
    SKERRY_LOG__FORMAT=json
# skerry.toml is read from here, where one is mounted.
WORKDIR /etc/skerry
USER 10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('SKERRY_HTTP__PORT', 8080)}/healthz\", timeout=4)"]
ENTRYPOINT ["skerry"]
CMD ["serve"]
