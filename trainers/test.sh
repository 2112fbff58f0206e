#!/usr/bin/env bash
# Mines the samples and runs the trainers: test.sh [--all] [--validation]. Fails where mined triplets do not beat random ones on the
# mean of the seeds (pairs aside), or rounds of mining do not raise recall. PyTorch, TensorFlow, Keras and the rounds always; --all adds
# pytorch-metric-learning, JAX, Hugging Face datasets and sentence-transformers. --validation holds out the other half of the classes.
# Needs Python 3.11 on Linux x86-64, a C compiler and binutils (see cpu_torch.sh), and PyPI. MINER=PATH names a built program;
# otherwise cargo builds it. The environment is kept in target/trainers.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
home="$target/trainers"
python="$home/venv/bin/python"

split=test
requirements=(torch tensorflow)
pipelines=(triplets pairs)
scripts=(torch_triplet torch_contrastive tensorflow_triplet keras_triplet refresh/refresh)
for option in "$@"; do
    case "$option" in
        --validation) split=validation ;;
        --all)
            requirements+=(more)
            pipelines+=(text)
            scripts+=(torch_metric_learning jax_triplet huggingface_datasets sentence_transformers_trainer)
            ;;
        *)
            sed -n '2,6s/^# //p' "$0"
            exit 2
            ;;
    esac
done
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

if [ -z "${MINER:-}" ]; then
    cargo build --locked --release --bin miner
    MINER="$target/release/miner"
fi
export MINER="$(realpath "$MINER")"

step environment
[ -x "$python" ] || python3 -m venv "$home/venv"
for name in "${requirements[@]}"; do # Once, and again when the file has changed.
    file="trainers/requirements/$name.txt"
    cmp -s "$file" "$home/$name.txt" && continue
    "$python" -m pip install --quiet --no-cache-dir --no-deps -r "$file"
    if [ "$name" = torch ]; then trainers/cpu_torch.sh "$python"; fi
    cp "$file" "$home/$name.txt"
done
du -sh "$home/venv"

step mining
declare -A other_half=([triplets]="label < 5" [pairs]="label < 5" [text]="length(label) % 2 = 1")
for pipeline in "${pipelines[@]}"; do
    settings=(--set output.path="../out/trainers/$split/$pipeline")
    if [ "$split" = validation ]; then settings+=(--set "store.where=${other_half[$pipeline]}"); fi
    "$MINER" run "trainers/$pipeline.toml" "${settings[@]}" --quiet --overwrite > /dev/null
    "$MINER" verify "out/trainers/$split/$pipeline" --full
done

# One thread each: the figures then do not hang on the machine's cores.
export OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
export TF_CPP_MIN_LOG_LEVEL=3 HF_HUB_OFFLINE=1 HF_DATASETS_CACHE="$home/datasets" TOKENIZERS_PARALLELISM=false
failed=()
for script in "${scripts[@]}"; do
    step "$script"
    "$python" "trainers/$script.py" --split "$split" || failed+=("$script")
done
printf '\n%d passed, %d failed\n' $((${#scripts[@]} - ${#failed[@]})) ${#failed[@]}
[ ${#failed[@]} -eq 0 ]
