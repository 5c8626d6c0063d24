#!/bin/bash
cd /tmp/rooms/faults/.run-tree
exec 9>/tmp/rooms/arch.lock; flock 9
export PYTHONPATH=/tmp/rooms/faults/.run-tree
rm -rf /tmp/rooms/faults-ev/k1 /tmp/rooms/faults-ev/k2
/tmp/rooms/faults/.venv/bin/python -m hms.cli drill run postgres-freeze-primary --trials 1 --inventory ../.inv.json --cluster arch --out /tmp/rooms/faults-ev/k1 9>&- &
pid=$!
owed=/root/.local/state/hms/drills/hms-arch.hms-dev.owed.json
for _ in $(seq 300); do [ -s $owed ] && break; sleep 0.1; done
sleep 1
kill -9 $pid; wait $pid
echo "killed with $?; owed: $(cat $owed)"
group=$(sed 's/.*"group":"\([^"]*\)".*/\1/' $owed)
echo "freezer: $(cat /sys/fs/cgroup/freezer$group/freezer.state)"
/tmp/rooms/faults/.venv/bin/python -m hms.cli drill run --seed 5 --length 3 --trials 1 --inventory ../.inv.json --cluster arch --out /tmp/rooms/faults-ev/k2 9>&-
echo "exit $?; owed file: $(ls $owed 2>&1); freezer: $(cat /sys/fs/cgroup/freezer$group/freezer.state 2>&1)"
