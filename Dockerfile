# Burrow as a container image: docker build -t burrow .
# docs/container.md describes its mounts, secrets and limits. test/container checks and runs the steps below.

FROM node:24-bookworm-slim AS build
# /opt is the place of added packages (Filesystem Hierarchy Standard), as in docs/systemd.md.
WORKDIR /opt/burrow
# The packages have a layer of their own, which changes only with the lock file. No package runs code here (.npmrc); the image has its Node already.
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY bin ./bin
COPY scripts ./scripts
COPY src ./src
COPY appliance ./appliance
COPY docs ./docs
COPY monitoring ./monitoring
COPY tsconfig.json config.schema.json config.example.json LICENSE README.md ./
RUN node scripts/bundle.mjs && npm prune --omit=dev --omit=optional

FROM node:24-bookworm-slim
# xz and bzip2 decompress files of other caches and old build logs. setpriv, which ends cloudflared together with Burrow, is part of the base image.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates bzip2 xz-utils && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/burrow /opt/burrow
RUN ln -s /opt/burrow/bin/burrow.mjs /usr/local/bin/burrow
# Verified by its SHA-256, which is part of Burrow.
RUN burrow tunnel install --to /usr/local/bin
# A fixed user, so that volumes keep their owner: chown 10001:10001.
RUN groupadd --gid 10001 burrow && useradd --uid 10001 --gid 10001 --home-dir /var/lib/burrow --no-create-home --shell /usr/sbin/nologin burrow && install -d -o 10001 -g 10001 -m 0700 /var/lib/burrow /var/cache/burrow /run/burrow && install -d -m 0755 /etc/burrow
ENV NODE_ENV=production STATE_DIRECTORY=/var/lib/burrow CACHE_DIRECTORY=/var/cache/burrow RUNTIME_DIRECTORY=/run/burrow BURROW_COMMAND=burrow
USER 10001:10001
# The config is burrow.json there, if it is mounted.
WORKDIR /etc/burrow
VOLUME ["/var/lib/burrow", "/var/cache/burrow"]
STOPSIGNAL SIGTERM
# Asks the running Burrow through the operator's socket. It does not depend on the tunnel: a restart does not mend the edge.
HEALTHCHECK --interval=60s --timeout=15s --start-period=60s --retries=3 CMD ["burrow", "status", "--json"]
ENTRYPOINT ["burrow"]
CMD ["serve"]
