#!/bin/sh
# Writes the seed files of the fuzz targets for PyTorch's files into tests/fuzz/corpus/: from the reference checkpoints in the folder
# that is named (golden/data/ckpt of the shared data; needs unzip(1)), and pickles of the text protocols. They are part of the
# tree; run this again only to add seeds.
#     tests/fuzz/make_torch_corpus.sh FOLDER
set -eu
from=$(cd "$1" && pwd)
mkdir -p "$(dirname "$0")/corpus"
cd "$(dirname "$0")/corpus"
mkdir -p zip pickle torch_legacy

for name in bare_tensor deflated zip64 zip_comment newer_layout byteorder_big; do
    cp "$from/valid/$name.pt" "zip/$name"
done
for name in zip_duplicate_pkl zip_overlapping_entries zip_deflate_garbage; do
    cp "$from/malicious/$name.pt" "zip/refused_$name"
done
for name in nested views_shared parameter misc_objects dtypes list_of_tensors proto4; do
    unzip -p "$from/valid/$name.pt" archive/data.pkl >"pickle/$name"
done
for name in zip_getattr_chain t_expand_bomb cyclic_dict bomb_tuple_doubling sparse_tensor; do
    unzip -p "$from/malicious/$name.pt" archive/data.pkl >"pickle/refused_$name"
done
for name in bare_tensor parameter misc_objects views_shared proto4; do
    cp "$from/valid/$name.legacy.pth" "torch_legacy/$name"
done
cp "$from/malicious/legacy_numel_huge.pth" torch_legacy/refused_numel
chmod u+w zip/* pickle/* torch_legacy/*

printf "(dp0\nS'a\\\\x41'\np1\nI01\nsVb\\\\u00e9\nF1e-3\nsI-7\n(lp2\nL123456789012345678901234567890L\naNas(I1\nI2\nttd." >pickle/protocol0
printf 'ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR(dVlr\nF0.1\nsb.' >pickle/object0
printf '\200\005\225\014\0\0\0\0\0\0\0\217\224(K\1K\2\220\226\2\0\0\0\0\0\0\0ab\224\206.' >pickle/protocol5
