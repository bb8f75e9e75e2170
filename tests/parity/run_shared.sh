#!/bin/sh
# The parity runner on the shared reference tensors: run_shared.sh FOLDER PARITY [OPTION...].
# They lie beside the project where it is developed and are absent elsewhere; then the test is skipped (status 77), and says so.
folder=$1
shift
if [ ! -d "$folder" ]; then
    echo "skipped: no reference tensors in $folder"
    exit 77
fi
exec "$@" "$folder"
