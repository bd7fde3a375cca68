FROM python AS unused
RUN never
FROM debian AS Base
ARG SHARED=yes
SHELL ["/bin/bash", "-c"]
CMD ["serve"]
FROM base AS build
RUN make $SHARED
FROM python
COPY --from=build /out /usr/local/
COPY --from=BUILD --chown=1:1 --chmod=0644 /a/*.txt b/../c.txt /data/
COPY --from=1 /etc/os-release os-release
COPY --from=debian /usr/bin/env .
ENTRYPOINT ["app"]
USER root
HEALTHCHECK CMD true
VOLUME /data
