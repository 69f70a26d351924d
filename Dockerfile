# One image for every process of UserSplit; the command says which.
FROM python:3.13-slim

RUN useradd --create-home --uid 10001 usersplit \
    && mkdir -p /var/lib/usersplit/configs /var/lib/usersplit/warehouse \
    && chown -R usersplit /var/lib/usersplit
WORKDIR /app
COPY requirements/app.txt requirements/app.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/app.txt
COPY sdk sdk
RUN pip install --no-cache-dir --no-deps --no-build-isolation ./sdk
COPY alembic.ini ./
COPY accounts accounts
COPY api api
COPY audience audience
COPY commands commands
COPY consumers consumers
COPY domain domain
COPY entrypoints entrypoints
COPY events events
COPY migrations migrations
COPY notifications notifications
COPY projections projections
COPY streams streams
COPY warehouse warehouse
COPY web web

USER usersplit
ENTRYPOINT ["python", "-m", "entrypoints"]
CMD ["--help"]
