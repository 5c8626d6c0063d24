#!/bin/bash
cd /tmp/rooms/faults
flock /tmp/rooms/arch.lock .venv/bin/hms images loadgen --cluster arch > .images.log 2>&1
tag=$(grep -o 'localhost/hms/loadgen:[0-9a-f]*' .images.log | tail -1)
sed -i "s#\"loadgen_image\": \"[^\"]*\"#\"loadgen_image\": \"$tag\"#" .inv.json
./.run.sh "$@"
