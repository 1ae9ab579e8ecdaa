# The program alone: one layer with one static file.
#
#     docker build --tag simcse .
#     docker run --rm --volume "$PWD:/data" simcse train titles.txt --model distilroberta-base --output-dir output/m
#
# Models are downloaded to /data/.cache, so that they are kept.

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends musl-tools
WORKDIR /source
COPY . .
RUN tools/release/static.sh /dist

FROM scratch
COPY --from=build /dist/simcse /simcse
WORKDIR /data
ENV HOME=/data TMPDIR=/data
ENTRYPOINT ["/simcse"]
