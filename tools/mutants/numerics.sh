#!/usr/bin/env bash
# Does simcse-train/tests/pytorch.rs tell right from nearly right? Plants one mistake after another
# in a copy of the tree; the test must pass without any and fail with each. Prints a table; fails if
# a mistake goes unnoticed, or no longer fits the source.
#
#     tools/mutants/numerics.sh [--check] [REGEX]
#
# REGEX selects mistakes by name; --check only checks that all of them fit the source.
source "$(dirname "$0")/common.sh"

print_header() { printf '| mistake | noticed | first bound that breaks |\n|---|---|---|\n'; }
tests() { (cd "$copy" && cargo test --quiet -p simcse-train --test pytorch "$@") >"$copy/log" 2>&1; }

checked=
check_unchanged() {
  if [[ $checked ]]; then return; fi
  checked=yes
  if ! tests -- --skip published_sizes; then
    cat "$copy/log" >&2
    echo "error: the test does not pass on the unchanged tree" >&2
    exit 1
  fi
}

try_mistake() {
  if ! tests --no-run; then
    cat "$copy/log" >&2
    echo "error: $1: does not compile" >&2
    exit 1
  fi
  if tests -- --skip published_sizes; then
    echo "| $1 | NO | |"
    failures=$((failures + 1))
  else
    echo "| $1 | yes | $(first_bounds) |"
  fi
}

# first_bounds: prints the first bound that each model breaks.
first_bounds() {
  grep -E '^[a-z]+: ' "$copy/log" | sort | sed 's/;.*//' | paste -sd';' | sed 's/;/; /g'
}

all_mistakes() {
  # Φ(x) = 1/(1 + e^(−2√(2/π)·(x + 0.044715x³)))
  local tanh='let tanh = s.div(one, s.add(one, exp(s, s.mul(x, s.fma(s.mul(x, x), s.splat(-0.071_354_8), s.splat(-1.595_769_1))))));'
  in_file math.rs
  plant "tanh-GELU instead of erf" \
    "s|^    (s.where_less(x, zero, tail, s.sub(one, tail)), bell)|    $tanh let _ = (zero, tail); (tanh, bell)|"
  in_file attention/head.rs
  plant "attention without 1/√D" 's|scale: 1.0 / (size as f32).sqrt()|scale: 1.0|'
  in_file ops/layer_norm.rs
  plant "LayerNorm's ε 1e-5 where it is 1e-12" 's|variance + self.op.norm.eps|variance + 1e-5|'
  in_file encoder/batch.rs
  plant "BERT's positions off by one" 's|^\( *\)next - 1$|\1u32::saturating_sub(next, 2)|'
  plant "RoBERTa's positions off by one" 's|^\( *\)pad + next$|\1pad + next - 1|'
  in_file encoder/layer.rs
  plant "weight decay on biases" 's|side_by_side("bias", &\[out\], false)|side_by_side("bias", \&[out], true)|'
  in_file architecture.rs
  plant "dropout after DistilBERT's attention" 's|attention_output_dropout: None|attention_output_dropout: Some(Rate::Hidden)|'
  plant "ModernBERT's attention output dropped out at the other rate" \
    's|attention_output_dropout: Some(Rate::Attention)|attention_output_dropout: Some(Rate::Hidden)|'
  in_file attention/relative_bias.rs
  plant "MPNet's keys before and after a query changed for each other" 's|if offset > 0 {|if offset < 0 {|'
  in_file attention/head.rs
  plant "ModernBERT's windows one token wider" 's|tokens.min(i + window + 1)|tokens.min(i + window + 2)|'
  in_file encoder/distances.rs
  plant "ModernBERT's rotations exchanged" 's|if window.is_some() { local } else { global }|if window.is_none() { local } else { global }|'
  in_file encoder/mod.rs
  plant "ModernBERT without its last LayerNorm" 's|filter(._. number == self.layers.len())|filter(\|_\| number > self.layers.len())|'
  in_file encoder/mod.rs
  plant "padding trains its embedding" 's|let padding = Some(.*);|let padding = None;|'
}

main "$@"
