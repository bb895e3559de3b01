# An image with every role of Culvert:
#
#   docker build -t culvert .
#   docker run --rm culvert base --help
#
#   deno ─▶ system ─┬─▶ program: the packages of deno.lock, and the tree ─┐
#                   └─▶ the image: a user, a state directory ◀────────────┘
#
# docs/containers.md says how to run it, and deploy/compose/ has whole deployments. `deno task test:image` carries out these
# very steps without a docker.

# Give digests instead (--build-arg DEBIAN_IMAGE=debian@sha256:…) for an image that is the same to the byte each time.
ARG DENO_IMAGE=denoland/deno:bin-2.9.6
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${DENO_IMAGE} AS deno

FROM ${DEBIAN_IMAGE} AS system
# libcrypto seals packets ten times as fast as what there is without it.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libssl3 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=deno /deno /usr/local/bin/deno
ENV DENO_DIR=/opt/deno DENO_NO_UPDATE_CHECK=1

FROM system AS program
WORKDIR /opt/culvert
COPY . .
# What only tests use stays out. The rest is what the lock says, to the hash, or the build fails. All is compiled here, not at
# each start.
RUN deno remove --quiet --lockfile-only \
    axe-core dclint dockerfile-ast dockerfile-utils fast-check playwright-core typescript \
  && deno ci --quiet \
  && deno install --quiet --cached-only --frozen --entrypoint roles/main.ts

FROM system
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/culvert --shell /usr/sbin/nologin culvert \
  && install --directory --owner culvert --group culvert --mode 0700 /var/lib/culvert
COPY --from=program /opt /opt
RUN printf '#!/bin/sh\nexec deno run --allow-all --cached-only /opt/culvert/roles/main.ts "$@"\n' > /usr/local/bin/culvert \
  && chmod 755 /usr/local/bin/culvert
ENV CULVERT_STATE_DIR=/var/lib/culvert CULVERT_METRICS_LISTEN=127.0.0.1:9090
VOLUME ["/var/lib/culvert"]
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --start-interval=2s --retries=3 CMD ["culvert", "health"]
ENTRYPOINT ["culvert"]
CMD ["help"]
