# Lethe in a container: docker build -t lethe . && docker run -p 11112:11112 -p 8080:8080 -p 8081:8081 -v lethe:/var/lib/lethe lethe
# The first stage may compile; the second holds only what runs.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /tools && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-dev.lock
RUN python -m venv /opt/lethe && /opt/lethe/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY storage storage
COPY dicomweb dicomweb
COPY fhir fhir
COPY node node
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/lethe/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
# Films are cleaned where ffmpeg is: docker build --build-arg MORE=ffmpeg. Left out: 200 MB that most do not need.
ARG MORE=
RUN apt-get update \
    && apt-get install -y --no-install-recommends tesseract-ocr $MORE \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/lethe --shell /usr/sbin/nologin lethe
COPY --from=build /opt/lethe /opt/lethe
COPY docs/container.toml /etc/lethe/config.toml
ENV PATH=/opt/lethe/bin:$PATH PYTHONUNBUFFERED=1
USER lethe
WORKDIR /var/lib/lethe
VOLUME /var/lib/lethe
EXPOSE 11112 8080 8081
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["lethe"]
CMD ["serve", "--config", "/etc/lethe/config.toml"]
