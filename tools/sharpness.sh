#!/usr/bin/env bash
# Can simcse-train/tests/pytorch.rs tell right from nearly right? Plants one mistake after the other in a copy of the tree;
# the test must pass without any and fail with each. Prints a table; exits 1 if a mistake goes unnoticed.
#
#     tools/sharpness.sh
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents -t "$tree"
log=$tree/log
unnoticed=0

run_test() {
    (cd "$tree" && cargo test --quiet -p simcse-train --test pytorch -- --skip published_sizes) >"$log" 2>&1
}

build() {
    (cd "$tree" && cargo test --quiet -p simcse-train --test pytorch --no-run) >"$log" 2>&1 || { cat "$log"; exit 1; }
}

# plant NAME FILE SED_SCRIPT
plant() {
    cp "$tree/$2" "$tree/original"
    sed -i "$3" "$tree/$2"
    if cmp -s "$tree/original" "$tree/$2"; then
        echo "$1: the edit of $2 changes nothing" >&2
        exit 1
    fi
    build
    if run_test; then
        echo "| $1 | NO | |"
        unnoticed=1
    else
        echo "| $1 | yes | $(grep -E '^(bert|roberta|distilbert): ' "$log" | sort | sed 's/;.*//' | paste -sd';' | sed 's/;/; /g') |"
    fi
    cp "$tree/original" "$tree/$2" # not mv: cargo looks at the time of the change
}

build
run_test || { cat "$log"; echo "the test fails on the tree as it is" >&2; exit 1; }

echo "| mistake | noticed | first bound that breaks |"
echo "|---|---|---|"
# Φ(x) = 1/(1 + e^(−2√(2/π)·(x + 0.044715x³)))
tanh='let tanh = s.div(one, s.add(one, exp(s, s.mul(x, s.fma(s.mul(x, x), s.splat(-0.071_354_8), s.splat(-1.595_769_1))))));'
plant "tanh-GELU instead of erf" simcse-tensor/src/math.rs \
    "s|^    (s.where_less(x, zero, tail, s.sub(one, tail)), bell)|    $tanh let _ = (zero, tail); (tanh, bell)|"
plant "attention without 1/√D" simcse-tensor/src/ops/attention.rs 's|scale: 1.0 / (size as f32).sqrt()|scale: 1.0|'
plant "LayerNorm's ε 1e-5 where it is 1e-12" simcse-tensor/src/ops/layer_norm.rs 's|variance + self.op.eps|variance + 1e-5|'
plant "BERT's positions off by one" simcse-model/src/batch.rs 's|^\( *\)next - 1$|\1u32::saturating_sub(next, 2)|'
plant "RoBERTa's positions off by one" simcse-model/src/batch.rs 's|^\( *\)pad + next$|\1pad + next - 1|'
plant "weight decay on biases" simcse-model/src/layer.rs 's|side_by_side("bias", &\[out\], false)|side_by_side("bias", \&[out], true)|'
plant "dropout behind DistilBERT's attention" simcse-model/src/names.rs 's|attention_output_dropout: false|attention_output_dropout: true|'
plant "padding trains its embedding" simcse-model/src/encoder.rs 's|let padding = Some(.*);|let padding = None;|'
exit $unnoticed
