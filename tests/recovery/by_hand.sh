#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mesh by hand: three nodes and four agents, started by the command line and by nothing else, any of them killed by its
# pid at any moment, and started again as an operator's supervisor would. Every workflow that was accepted has to end right.
#
#     cd an-empty-folder; export NERVENET_REDIS=… NERVENET_ETCD=…
#     by_hand.sh 7701,7702,7703 WORKFLOWS KILLS SEED
#
# Nobody is anybody's parent here: each process has a session of its own. Ends with one line; exit code 1 where it is bad.
set -eu -o pipefail
IFS=, read -r -a ports <<<"$1"
workflows=$2 kills=$3 RANDOM=$4
export NERVENET_ADDRESS=127.0.0.1:${ports[0]},127.0.0.1:${ports[1]},127.0.0.1:${ports[2]}

cat >errands.py <<'PYTHON'
import asyncio

from nervenet import Context, Mesh

mesh = Mesh("errands")


@mesh.agent(slots=50)
async def fetch(n: int) -> int:
    await asyncio.sleep(0.3)
    return n + 1


@mesh.workflow
async def errand(ctx: Context, n: int) -> int:
    for _ in range(4):
        n, _ = await asyncio.gather(ctx.call(fetch, n), ctx.call(fetch, n))
        await asyncio.sleep(0.2)
    return n
PYTHON

up() { # NAME: start it, in the background of nobody
  case $1 in
    node*) set -- "$1" node errands.py --listen "127.0.0.1:${ports[${1#node}]}" ;;
    agent*) set -- "$1" agent errands.py ;;
  esac
  rm -f "$1.ready"
  setsid nohup nervenet "${@:2}" --ready-file "$PWD/$1.ready" >>"$1.log" 2>&1 </dev/null &
  echo $! >"$1.pid"
}

ready() { # NAMES: wait until each of them serves
  for name in "$@"; do
    until [ -e "$name.ready" ]; do
      kill -0 "$(cat "$name.pid")" 2>/dev/null || { cat "$name.log"; exit 1; }
      sleep 0.05
    done
  done
}

end() { for file in *.pid; do kill -9 "$(cat "$file")" 2>/dev/null || true; done; }
trap end EXIT

all=(node0 node1 node2 agent0 agent1 agent2 agent3)
for name in "${all[@]}"; do up "$name"; done
ready "${all[@]}"

touch accepted
for ((i = 0; i < workflows; i++)); do
  if nervenet start errand "$i" --id "errand-$i" >/dev/null; then echo "$i" >>accepted; fi
done &
starting=$!

for ((k = 0; k < kills; k++)); do
  victim=${all[RANDOM % 7]}
  echo "kill -9 $(cat "$victim.pid")   ($victim)" >>kills.log
  kill -9 "$(cat "$victim.pid")"
  sleep "0.$((RANDOM % 10))"
  up "$victim"
  sleep "0.$((RANDOM % 10))"
  ready "$victim"
done
wait $starting

right=0
while read -r i; do
  if found=$(nervenet result "errand-$i" --timeout 60s) && [ "$found" = $((i + 4)) ]; then
    right=$((right + 1))
  else
    echo "errand-$i: ${found:-nothing}"
    nervenet show "errand-$i" || true
  fi
done <accepted
accepted=$(wc -l <accepted)
echo "$accepted of $workflows workflows accepted, $right ended right, $kills processes killed (seed $4)"
[ "$accepted" -gt 0 ] && [ "$right" = "$accepted" ]
