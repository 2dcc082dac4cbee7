# The three programs of gradd. `docker build -t gradd .`; see deploy/compose.yaml.
FROM docker.io/library/debian:bookworm-slim AS build
WORKDIR /src
COPY deploy/packages.sh deploy/packages.sh
RUN deploy/packages.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF -DCMAKE_CXX_COMPILER_LAUNCHER= \
  && cmake --build --preset release --target gradd gradctl gradworker \
  && strip build/release/bin/grad*

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    libgrpc++1.51 libprotobuf32 libabsl20220623 libre2-9 libprometheus-cpp-core1.0 \
    libspdlog1.10 libopenblas0-pthread zlib1g dataset-fashion-mnist \
  && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*
COPY --from=build /src/build/release/bin/gradd /src/build/release/bin/gradctl \
  /src/build/release/bin/gradworker /usr/local/bin/
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gradd \
  && install -d -o gradd /var/lib/gradd
USER 10001
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
  CMD ["gradd", "--probe", "127.0.0.1:50051"]
# Runs outlive the container where this is a volume that is used again.
VOLUME /var/lib/gradd
# In a container, the network outside is the one that counts.
ENV GRADD_LISTEN=0.0.0.0:50051 GRADD_HTTP=0.0.0.0:9464 GRADD_STATE_DIR=/var/lib/gradd/state
CMD ["gradd"]
