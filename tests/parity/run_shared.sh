#!/bin/sh
# The parity runner on the shared reference tensors, over the kinds that are done: run_shared.sh PARITY FOLDER KINDS.
# They lie beside the project where it is developed and are absent elsewhere; then the test is skipped (status 77), and says so.
if [ ! -d "$2" ]; then
    echo "skipped: no reference tensors in $2"
    exit 77
fi
exec "$1" --only "$3" "$2"
