# textbench with the versions of the recorded results, on the processor:
#
#   docker build -t textbench .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" textbench run --algos mle,cot --task synthetic
#
# The digest is that of all platforms together, as docker-library/repo-info has it on 2026-09-01
# (repos/python/remote/3.11.16-slim-bookworm.md at 422f3cfe488dc9ae394c5058b27db617f72c91db).
FROM python:3.11.16-slim-bookworm@sha256:c425d915a89a6dcd3183b1797ad9bd8878caff5a417f6371c8df93c8ea8b727f

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

WORKDIR /source
COPY constraints.txt ./
# From PyTorch's own index, whose builds bring no CUDA. A layer of its own: it changes seldom.
RUN python -m pip install -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch

COPY pyproject.toml README.md LICENSE ./
COPY textbench/ textbench/
COPY algorithms/ algorithms/
COPY metrics/ metrics/
RUN python -m pip install -c constraints.txt ".[kjv]" && rm -r build ./*.egg-info

# Any user's: caches must not need a home, and stores are written where the host's folder is mounted.
ENV HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
RUN useradd --create-home --uid 1000 textbench
USER textbench
WORKDIR /work
ENTRYPOINT ["textbench"]
CMD ["--help"]
