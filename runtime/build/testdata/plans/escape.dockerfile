# escape=`
FROM debian
ENV DIR=C:\x Q=`$DIR
RUN dir `
  $DIR
