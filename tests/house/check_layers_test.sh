#!/bin/sh
# Does check_layers.sh see each offence? A small tree is made for each, and the sentence about it is looked for.
# Usage: check_layers_test.sh CHECK_LAYERS.SH
set -eu
check=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

put() { # file, line of code
    mkdir -p "$work/tree/$(dirname "$1")"
    printf '/* What lives here. */\n%s\n' "$2" >"$work/tree/$1"
}

expect() { # exit status, part of the sentence
    status=0
    sh "$check" "$work/tree" >"$work/out" 2>&1 || status=$?
    if [ "$status" -ne "$1" ] || ! grep -qF -- "$2" "$work/out"; then
        echo "expected status $1 and \"$2\", got $status and:"
        cat "$work/out"
        failed=1
    fi
    rm -rf "$work/tree"
}

good() {
    put include/fettle/model.h '#include "fettle/status.h"'
    put src/base/base.h '#include "fettle/status.h"'
    put src/base/text.c '#include "base/base.h"'
    put src/tensor/op.h '#include "base/base.h"'
    put src/graph/graph.h '#include "tensor/op.h"'
    put src/graph/graph_int.h '#include "graph/graph.h"'
    put src/kernel/dnnl/matmul_dnnl.c '#include <dnnl.h>'
    put src/plan/place.c '#include "graph/graph.h"'
    put cli/main.c '#include "cli/args.h"'
    put cli/args.h '#include "fettle/model.h"'
}

good; expect 0 'checked 10 files'
good; put src/base/up.c '#include "tensor/tensor.h"'; expect 1 'src/base/up.c:2: base/ may not include tensor/tensor.h'
good; put src/kernel/k.c '#include "graph/graph.h"'; expect 1 'kernel/ may not include graph/graph.h'
good; put src/store/s.c '  #  include "image/image.h"'; expect 1 'store/ may not include image/image.h'
good; put src/plan/p.c '#include "graph/graph_int.h"'; expect 1 'graph/graph_int.h is private to graph/'
good; put src/plan/p.c '#include "span.h"'; expect 1 'does not name its folder'
good; put src/gpu/g.c 'int x;'; expect 1 'no layer of that name'
good; put cli/tune.c '#include "base/base.h"'; expect 1 'cli/ may include only fettle/ headers, not base/base.h'
good; put include/fettle/x.h '#include "base/base.h"'; expect 1 'include/ may include only fettle/ headers'
good; put src/exec/e.c '#include <oneapi/dnnl/dnnl.h>'; expect 1 'src/exec/e.c: only src/kernel/dnnl/ may include oneDNN'
good; put src/exec/e.c '#include "dnnl.h"'; expect 1 'only src/kernel/dnnl/ may include oneDNN'
good; put src/graph/text.c 'int x;'; expect 1 'more than one file is called text.c'
good; put src/graph/utils.c 'int x;'; expect 1 'a name that says nothing'
good; put src/graph/long.c "$(yes 'int x;' | head -n 1000)"; expect 1 'src/graph/long.c: 1001 lines'
good; echo 'int x;' >"$work/tree/src/graph/bare.c"; expect 1 'does not open with a comment'
exit $failed
