#!/bin/bash
# as .run.sh, from the tree whose pod fits the running stack
cd /tmp/rooms/faults/.run-tree
tag=$1; shift
rm -rf /tmp/rooms/faults-ev/$tag
flock /tmp/rooms/arch.lock env PYTHONPATH=/tmp/rooms/faults/.run-tree /tmp/rooms/faults/.venv/bin/python -m hms.cli drill run "$@" --trials 1 --inventory ../.inv.json --cluster arch --out /tmp/rooms/faults-ev/$tag 2>&1 | while IFS= read -r line; do printf '%s %s\n' "$(date +%T)" "$line"; done > ../.log.$tag
echo "exit ${PIPESTATUS[0]}" >> ../.log.$tag
