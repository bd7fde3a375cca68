FROM debian
ENV NAME=world
RUN <<EOF
set -e
echo "hello $NAME"
EOF
RUN <<-EOF
	indented
	EOF
RUN <<EOF
#!/usr/bin/env python3
print("hello")
EOF
RUN cat <<A > /a && cat <<'B' > /b
one
A
two
B
SHELL ["/bin/bash", "-ec"]
RUN <<EOF
source /etc/profile
EOF
WORKDIR /srv
COPY --chmod=755 --chown=node:node <<EOF bin/hello
#!/bin/sh
echo $NAME \$NAME "$NAME"
EOF
COPY <<first.txt <<"second.txt" ./
$NAME
first.txt
$NAME
second.txt
ADD <<EOF /etc/../motd
EOF
