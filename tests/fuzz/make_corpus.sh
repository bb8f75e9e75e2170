#!/bin/sh
# Writes the seed files of the store's fuzz targets into tests/fuzz/corpus/. They are part of the tree; run this again
# only to add seeds. Each is small: the fuzzer grows them by itself.
set -eu
mkdir -p "$(dirname "$0")/corpus"
cd "$(dirname "$0")/corpus"
mkdir -p safetensors recipe

# safetensors NAME HEADER DATA_BYTES: 8 bytes of length (headers here are shorter than 65536), header, zeros.
safetensors() {
    length=$(printf '%s' "$2" | wc -c)
    {
        printf "$(printf '\\%03o\\%03o' $((length % 256)) $((length / 256)))\\0\\0\\0\\0\\0\\0"
        printf '%s' "$2"
        head -c "$3" /dev/zero
    } >"safetensors/$1"
}
safetensors empty '{}' 0
safetensors one '{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}' 24
safetensors padded '{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}      ' 2
safetensors unsorted '{"b":{"shape":[2],"data_offsets":[4,8],"dtype":"BF16"},"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}' 8
safetensors meta '{"__metadata__":{"format":"pt","k":"{\"a\":1}"},"e":{"dtype":"I64","shape":[0,7],"data_offsets":[0,0]}}' 0
safetensors escapes '{ "a\u00e9\n" : { "dtype" : "BOOL" , "shape" : [ 3 ] , "data_offsets" : [ 0 , 3 ] } }' 3
safetensors hole '{"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}' 8
safetensors overlap '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[2,6]}}' 6
safetensors overflow '{"w":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}' 0

printf 'lr: 5e-4\nbatch: 64\n' >recipe/plain
printf 'adapter: hydra:at=attn.proj+mlp.fc2,rank=2\nat: [a, "b"]\n' >recipe/flow_list
printf 'at:\n  - attn.proj\n  - mlp.fc2\n# comment\n' >recipe/block_list
printf -- '---\na: "x\\ty"\nb: '"'it''s'"'\nc: |\n  two\n  lines\n...\n' >recipe/styles
printf 'a: &x 1\nb: *x\nc: !!int 3\n' >recipe/refused_marks
printf 'a: {b: {c: [d]}}\n' >recipe/refused_nesting
printf '? [k]\n: v\n' >recipe/refused_key
