FROM python
CMD echo "$PYTHON"
ENTRYPOINT exec app
RUN --network=none whoami
WORKDIR sub
MAINTAINER somebody
