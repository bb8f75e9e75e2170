#!/bin/sh
# Writes the seed files of the fuzz targets for NumPy's files, indexes, JSON and metadata into tests/fuzz/corpus/ (NumPy's archives
# need zip(1)). They are part of the tree; run this again only to add seeds.
set -eu
mkdir -p "$(dirname "$0")/corpus"
cd "$(dirname "$0")/corpus"
mkdir -p npy npz shards json

# npy NAME VERSION HEADER DATA_BYTES: magic, version, length (headers here are shorter than 256), header, data.
npy() {
    length=$(printf '%s' "$3" | wc -c)
    {
        # shellcheck disable=SC2059
        printf "\\223NUMPY\\00$2\\0"
        # shellcheck disable=SC2059
        printf "$(printf '\\%03o' "$length")\\0"
        [ "$2" = 1 ] || printf '\0\0'
        printf '%s' "$3"
        printf 'abcdefghijklmnopqrstuvwxyz' | head -c "$4"
    } >"$1"
}
npy npy/f4 1 "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   " 24
npy npy/fortran 1 "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }" 12
npy npy/big_endian 2 "{'descr': '>f8', 'fortran_order': False, 'shape': (2,), }" 16
npy npy/scalar 3 "{'descr': '<f2', 'fortran_order': False, 'shape': (), }" 2
npy npy/empty 1 "{'descr': '|b1', 'fortran_order': True, 'shape': (0, 7), }" 0
npy npy/long_sizes 1 '{"shape":(3L,),"fortran_order":False,"descr":"|u1"}' 3
npy npy/refused_objects 1 "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" 8
npy npy/refused_structure 1 "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }" 4
npy npy/refused_overflow 1 "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }" 0

if command -v zip >/dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/a"
    npy "$folder/a/b.npy" 1 "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" 24
    npy "$folder/cls.npy" 1 "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }" 3
    TZ=UTC touch -t 200001010000 "$folder/a/b.npy" "$folder/cls.npy" # the same bytes whenever it runs
    archive=$(pwd)/npz
    rm -f npz/stored npz/deflated
    (cd "$folder" && export TZ=UTC && zip -q -X -D -0 "$archive/s.zip" a/b.npy cls.npy && zip -q -X -D -9 "$archive/d.zip" a/b.npy cls.npy)
    mv npz/s.zip npz/stored
    mv npz/d.zip npz/deflated
fi

printf '{"metadata": {"total_size": 24}, "weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors", "c": "m-1.safetensors"}}' >shards/plain
printf '{"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}' >shards/bin
printf '{"weight_map": {"a": "../m.bin"}}' >shards/refused_path
printf '{"weight_map": {}}' >shards/refused_empty
printf '{"architectures": ["ViTForImageClassification"], "hidden_size": 48, "layer_norm_eps": 1e-12, "id2label": {"0": "cat"}, "x": null, "y": [true, false]}' >json/config
printf '{"a": "\\u00e9\\ud83d\\ude00\\n", "b": -0.0, "c": [[[[]]]]}' >json/escapes
printf '{"a": 1, "a": 2}' >json/refused_twice

# The first byte chooses the field: 0 classes, 1 preprocessing, 2 adapter.
mkdir -p metadata
input='{"height":224,"width":224,"mean":[0.5,0.5,0.5],"std":[0.5,0.25,0.5],"interpolation":"bicubic","crop_pct":0.9}'
hash=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
printf '0["cat","d\\u00f6g"]' >metadata/classes
printf '0["cat","cat"]' >metadata/refused_twice
printf '1%s' "$input" >metadata/preprocess
printf '2{"spec":"lora:at=attn.qkv,rank=2","arch":"vit:dim=48","fingerprint":"%s","model":"m.safetensors","preprocess":%s}' \
    "$hash" "$input" >metadata/adapter
