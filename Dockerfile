# gotunnel-server and gotunnel-agent in one image:
#
#   docker build -t gotunnel .
#   docker run gotunnel                                  the gateway
#   docker run gotunnel gotunnel-agent --config /etc/gotunnel/config.yaml
#
# It runs as `node` (uid 1000) and still binds 80 and 443: Docker sets net.ipv4.ip_unprivileged_port_start
# to 0 in a container's own network since 20.10. With an older engine, or with Podman, add
# `--sysctl net.ipv4.ip_unprivileged_port_start=0`. With `--network host` the machine's own setting counts.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# `prepare` would build, and src/ is not here yet: so that a change there does not fetch everything anew.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY build.js ./
COPY src ./src
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY LICENSE ./
# The working directory is where `.env`, `config.yaml` and `cert-cache` are looked for.
RUN ln -s /app/dist/cli/server.js /usr/local/bin/gotunnel-server \
  && ln -s /app/dist/cli/agent.js /usr/local/bin/gotunnel-agent \
  && install -d -o node -g node -m 0700 /var/lib/gotunnel
WORKDIR /var/lib/gotunnel
VOLUME /var/lib/gotunnel
USER node
EXPOSE 80 443 8080 9443

# The dashboard's own answer. An agent has no page: that its process runs is all there is to ask.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["node", "-e", "\
  const isAgent = require('fs').readFileSync('/proc/1/cmdline', 'latin1').includes('gotunnel-agent'); \
  const { DASHBOARD_BIND, DASHBOARD_PASSWORD, BIND_ADDRESS } = process.env; \
  const bind = DASHBOARD_BIND || (DASHBOARD_PASSWORD && BIND_ADDRESS) || '127.0.0.1'; \
  const host = /^(::|0\\.0\\.0\\.0)$/.test(bind) ? '127.0.0.1' : bind.includes(':') ? '[' + bind + ']' : bind; \
  if (!isAgent) fetch(`http://${host}:${process.env.DASHBOARD_PORT || 8080}/healthz`) \
    .then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

# The programs take the signals of `docker stop` themselves, as process 1: no shell in between. The
# gateway drains for SHUTDOWN_GRACE_SEC (15), so give it longer than Docker's 10 s: `docker stop -t 20`.
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["gotunnel-server"]
