#!/bin/sh
# The same with curl alone: upload a table, train with focal loss, read the test metrics.
# Run as `sh examples/quickstart.sh FILE TARGET` against a running `counterweight serve`.
set -eu
API="${COUNTERWEIGHT_URL:-http://127.0.0.1:8321}/api/v1"

id_of() { sed -n 's/^{"id":"\([^"]*\)".*/\1/p'; }
ask() { curl --fail-with-body --silent --show-error "$@"; }

dataset=$(ask "$API/datasets" --form "file=@$1" --form "options={\"target\": \"$2\"}" | id_of)
[ -n "$dataset" ] || exit 1
echo "dataset $dataset"
while ask "$API/datasets/$dataset?wait=30" | grep -q '"state":"processing"'; do :; done

job=$(ask "$API/jobs" --header 'Content-Type: application/json' --header "Idempotency-Key: quickstart-$dataset" \
  --data "{\"dataset_id\": \"$dataset\", \"loss\": {\"kind\": \"focal\", \"gamma\": 2}, \"training\": {\"max_epochs\": 30}}" | id_of)
[ -n "$job" ] || exit 1
echo "job $job"
while ask "$API/jobs/$job?wait=60" | grep -q '"is_terminal":false'; do :; done

ask "$API/jobs/$job"
