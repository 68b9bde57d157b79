# The whole workflow, from the lock file: docs/using.md#in-a-container says how it is built and run.
FROM python:3.11-slim

# DVC needs git.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

# Outside /project, which the project's folder is mounted over.
ENV VENV=/opt/venv PATH="/opt/venv/bin:$PATH" HOME=/tmp
WORKDIR /project
COPY Makefile pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY dogs_vs_cats dogs_vs_cats
RUN UV_COMPILE_BYTECODE=1 make setup

CMD ["dvc", "repro"]
