# syntax=docker/dockerfile:1
ARG BASE=deb
ARG SUFFIX=${BASE:+ian}
FROM ${BASE}$SUFFIX
ARG BASE
ARG TARGETARCH
ARG NOBODY
ARG VERSION=1.2
ENV A="one two" B='$A' C=$VERSION-${BASE:-none}-${NOBODY:-unset}
ENV PATH=/opt/bin:$PATH A=${A} D=$D
ENV OLD form of $A
WORKDIR ${C%-*}
WORKDIR ../x
RUN echo $A ${B} \
    # between
    && echo "$C"
USER ${B:+node}:$TARGETARCH
RUN ["echo", "$A"]
ARG A=shadowed
RUN true
LABEL computer.bothy.desktop=/usr/bin/$B
EXPOSE $VERSION
STOPSIGNAL SIGTERM
