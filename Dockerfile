# Two images from one file: `--target web` (no torch) and `--target worker` (light and encode workers).

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN useradd --uid 10001 --create-home touchstone \
    && install --directory --owner touchstone --group touchstone /data \
    && python -m venv /opt/venv
WORKDIR /srv/touchstone
# The packages first, so that a change of our code does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app/__init__.py app/
COPY worker/__init__.py worker/

FROM base AS web-packages
RUN pip install --constraint constraints.txt --editable .

FROM base AS worker-packages
# Where pip finds torch besides PyPI: the address that PyTorch's install page names for a CPU or a CUDA version.
# Empty: PyPI's own build, which on x86-64 Linux is made for CUDA and runs on a CPU too.
ARG TORCH_INDEX_URL=""
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX_URL" pip install --constraint constraints.txt --editable '.[worker,demo]'

FROM web-packages AS web
COPY app app
COPY migrations migrations
COPY templates templates
COPY static static
COPY demo demo
ENV TOUCHSTONE_DATA_DIR=/data \
    TOUCHSTONE_HOST=0.0.0.0
USER touchstone
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["touchstone", "serve"]

FROM worker-packages AS worker
COPY app app
COPY worker worker
COPY migrations migrations
ENV TOUCHSTONE_DATA_DIR=/data \
    HF_HOME=/data/huggingface
USER touchstone
VOLUME /data
# Well is a worker of this very container that the database has heard of within two minutes.
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 \
    CMD touchstone doctor --json | grep --quiet "@$(hostname)-"
CMD ["touchstone", "worker", "encode"]
