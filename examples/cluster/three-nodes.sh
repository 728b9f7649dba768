#!/bin/sh
# A head and two workers as processes of their own on this machine: three-nodes.sh start | address | stop
set -eu
port=${PORT:-6399}
small="--num-cpus 2 --object-store-memory 200000000 --disable-usage-stats"
case "${1:-}" in
  start)
    # One after another: nodes of one address that start together trip over each other.
    ray start --head --port "$port" --include-dashboard false $small
    ray start --address "127.0.0.1:$port" $small
    ray start --address "127.0.0.1:$port" $small
    ;;
  address) echo "127.0.0.1:$port" ;;
  stop) ray stop ;;
  *) echo "usage: three-nodes.sh start | address | stop" >&2; exit 2 ;;
esac
