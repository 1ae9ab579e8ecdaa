#!/usr/bin/env bash
# Two hosts on one machine: network namespaces, joined by a link of a chosen rate and delay. Needs root.
#
#     tools/measure/hosts.sh up RATE [DELAY]    RATE in Gbit/s, 0 for no limit; DELAY in ms each way
#     tools/measure/hosts.sh run COMMAND…       mpirun with one rank on each host
#     tools/measure/hosts.sh down
#
# The kernel limits the rate (`tbf`); a link with a delay is `link.py`.
#
# Open MPI starts its daemon on the second host with a remote shell; here that is this script, with a
# first argument that is an address.
set -euo pipefail
here=$(realpath "${BASH_SOURCE[0]}")
hosts=(10.77.0.1 10.77.0.2)

# inside HOST COMMAND…: runs a command on a host.
inside() { ip netns exec "simcse$1" unshare --uts bash -c 'hostname "$0"; exec "$@"' "host$1" "${@:2}"; }

case $1 in
  up)
    "$here" down
    for host in 1 2; do ip netns add "simcse$host"; done
    if [[ -n ${3:-} ]]; then
      log=$(mktemp)
      setsid python3 "${here%/*}/link.py" "$2" "$3" simcse1:link1 simcse2:link2 > "$log" 2>&1 < /dev/null &
      until grep -q up "$log"; do kill -0 $! || { cat "$log" && exit 1; }; sleep 0.1; done
    else
      ip link add link1 netns simcse1 type veth peer name link2 netns simcse2
    fi
    for host in 1 2; do
      ip -n "simcse$host" addr add "${hosts[host - 1]}/24" dev "link$host"
      ip -n "simcse$host" link set "link$host" up
      ip -n "simcse$host" link set lo up
      if [[ $2 != 0 && -z ${3:-} ]]; then
        ip netns exec "simcse$host" tc qdisc add dev "link$host" root tbf rate "$2gbit" burst 1mb latency 100ms
      fi
    done
    ;;
  down)
    pkill -f "${here%/*}/link.py" || true
    for host in 1 2; do ip netns del "simcse$host" 2>/dev/null || true; done
    ;;
  run)
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    inside 1 mpirun --host "${hosts[0]}:1,${hosts[1]}:1" -n 2 --mca plm_rsh_agent "$here" --mca btl tcp,self \
      --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 --bind-to none "${@:2}"
    ;;
  "${hosts[1]}")
    shift
    inside 2 bash -c "$*"
    ;;
  *)
    sed -n '2,11s/^# \{0,1\}//p' "$here" && exit 2
    ;;
esac
