#!/usr/bin/env bash
# Makes the torch of PyPI importable without CUDA: cpu_torch.sh PYTHON, after `pip install --no-deps torch`. Linux; needs cc, binutils.
# That build is linked against some two gigabytes of CUDA libraries, which are loaded even where no GPU is. This puts one small
# library in their place: it has every function that torch looks for, and each says cudaErrorNoDevice (100), in words where asked.
# Where pip reaches PyTorch's own index, its CPU build needs none of this.
set -euo pipefail
lib="$("$1" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')/lib"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

needed="$(readelf -d "$lib"/libtorch*.so "$lib"/libc10*.so | grep -oE 'lib(cu|nccl|nv)[A-Za-z_]*\.so\.[0-9]+' | sort -u)"
# Functions, and the version that each is asked for under: "cudaMalloc libcudart.so.13".
nm -D --undefined-only "$lib"/libtorch*.so "$lib"/libc10*.so | grep -oE ' [Uw] (__cuda|cu|nccl|nvrtc|nvshmem)[A-Za-z0-9_]*(@.*)?' |
    tr -s '@' ' ' | awk '{print $2, $3}' | sort -u > "$work/functions"
awk '!/^cuGet/ && /GetError(String|Name)/ {print "const char *" $1 "(void) { return \"no CUDA here\"; }"; next}
    {print "int " $1 "(void) { return 100; }"}' "$work/functions" > "$work/no_cuda.c"
awk 'NF == 2 {of[$2] = of[$2] $1 "; "}
    END {for (version in of) print version " { " of[version] "};"}' "$work/functions" > "$work/no_cuda.map"
cc -w -shared -fPIC -fno-builtin -Wl,--version-script="$work/no_cuda.map" "$work/no_cuda.c" -o "$lib/libno_cuda.so"
for name in $needed; do ln -sf libno_cuda.so "$lib/$name"; done
