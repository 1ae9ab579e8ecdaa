#!/usr/bin/env bash
# Shows that the tests see a wrong gradient: edits one line of the source at a time, in a copy of the tree, and requires
# that the tests named beside it fail. Prints a table; fails if an edit survives, or no longer fits the source.
# usage: mutants.sh [REGEX]: only the mutants whose names match
set -euo pipefail
only=${1:-.}
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
copy=$(mktemp -d "$(realpath "$target")/mutants.XXXXXX")
trap 'rm -rf "$copy"' EXIT
tar -c --exclude=./target --exclude=./.git . | tar -x -C "$copy"
# Links to the dependencies that are compiled already.
for part in deps build .fingerprint; do
    if [ -d "$target/debug/$part" ]; then
        mkdir -p "$copy/target/debug"
        cp -al "$target/debug/$part" "$copy/target/debug/"
    fi
done
export CARGO_TARGET_DIR=$copy/target CARGO_INCREMENTAL=0 PROPTEST_MAX_SHRINK_ITERS=0

failures=0
row() { printf '%-48s %s\n' "$1" "$2"; }
tests() { (cd "$copy" && nice -n 19 cargo test -j1 --quiet -p "$crate" --lib "$@") >"$copy/log" 2>&1; }

# mutant NAME SED: SED must change one line of $file, and the tests of $crate that $filter selects must then fail.
mutant() {
    [[ $1 =~ $only ]] || return 0
    check_unchanged
    sed -i "$2" "$copy/$file"
    local changed result
    changed=$(diff "$file" "$copy/$file" | grep -c '^>' || true)
    if [ "$changed" != 1 ]; then
        result="the edit changes $changed lines of $file"
    elif ! tests --no-run; then
        result='the edit does not compile'
    elif tests "$filter"; then
        result='SURVIVED'
    else
        result=caught
    fi
    [ "$result" = caught ] || failures=$((failures + 1))
    row "$1" "$result"
    cp "$file" "$copy/$file"
}

# on CRATE FILTER FILE: what the mutants below are about.
on() { crate=$1 filter=$2 file=$3 checked=no; }

# Without a mutant, the tests must pass.
check_unchanged() {
    [ $checked = no ] || return 0
    checked=yes
    if ! tests "$filter" || grep -q ' 0 passed' "$copy/log"; then
        cat "$copy/log" >&2
        echo "the tests $filter of $crate do not pass unchanged" >&2
        exit 1
    fi
}

row mutant result
ops=simcse-tensor/src/ops

on simcse-tensor ops::embedding $ops/embedding.rs
mutant 'embedding: last gradient of a row only' 's/\*drow += dy)/*drow = *dy)/'

on simcse-tensor ops::linear $ops/linear.rs
mutant 'linear: dW overwritten' 's/gemm(precision, dy.t(), x.view(), Init::Keep/gemm(precision, dy.t(), x.view(), Init::Zero/'
mutant 'linear: db missing' 's/add_column_sums(dy, &ends, grads.slice_mut(bias));/let _ = add_column_sums;/'
mutant 'linear: dx added to what is there' 's/gemm(precision, dy.view(), params.matrix(weight), init,/gemm(precision, dy.view(), params.matrix(weight), { let _ = init; Init::Keep },/'

on simcse-tensor ops::gelu_linear $ops/gelu_linear.rs
mutant "gelu: Φ for Φ + h·φ" 's/s.fma(s.mul(h, bell), s.splat(INV_SQRT_2PI), cdf)/{ let _ = (bell, INV_SQRT_2PI); cdf }/'
mutant 'gelu: dW from h, not gelu(h)' 's/s.store_fitting(s.mul(h, cdf), &mut self.h/s.store_fitting(h, \&mut self.h/'

on simcse-tensor ops::layer_norm $ops/layer_norm.rs
mutant 'layer_norm: mean(g) missing' 's/s.sub(s.sub(g, mean_g), s.mul(x, mean_gx))/{ let _ = mean_g; s.sub(g, s.mul(x, mean_gx)) }/'
mutant 'layer_norm: mean(g ⊙ x̂) missing' 's/s.sub(s.sub(g, mean_g), s.mul(x, mean_gx))/{ let _ = (x, mean_gx); s.sub(g, mean_g) }/'
mutant 'layer_norm: dγ missing' 's/super::add(dgamma, grads.slice_mut(op.gamma));/let _ = dgamma;/'
mutant 'layer_norm: dβ missing' 's/super::add(dbeta, grads.slice_mut(op.beta));/let _ = dbeta;/'
mutant 'layer_norm: dx without the mask' 's/math::zip(s, dy, dx, |ds, m| s.mul(m, ds));/math::zip(s, dy, dx, |ds, _| ds);/'

on simcse-tensor ops::dropout $ops/dropout.rs
mutant 'dropout: kept values not scaled' 's|1.0 / (1.0 - self.rate)|1.0|'
mutant 'dropout: dy passed through' 's/^    forward(dy, dropout, rows);/    let _ = (dy, dropout, rows);/'

on simcse-tensor ops::attention $ops/attention.rs
mutant 'attention: dS without 1/√D' 's/s.mul(s.mul(p, s.sub(dp, along)), scale_all)/{ let _ = scale_all; s.mul(p, s.sub(dp, along)) }/'
mutant 'attention: rowsum(P ⊙ dP) missing' 's/s.mul(p, s.sub(dp, along))/{ let _ = along; s.mul(p, dp) }/'
mutant 'attention: dP without the mask' 's/math::zip(s, m, dp_, |m, dp| s.mul(m, dp));//'
mutant 'attention: dV without the mask' 's/math::zip(s, p, m, |p, m| s.mul(p, m));/math::zip(s, p, m, |p, _| p);/'
mutant 'attention: dQ and dK exchanged' 's/product(s, \[t, dp, t\], (dp_, tp, 1), (k, dp)/product(s, [t, dp, t], (dp_, 1, tp), (k, dp)/'

on simcse-tensor ops::pooling $ops/pooling.rs
mutant 'mean pooling: not divided' 's|\*dx = dy / length|{ let _ = length; *dx = *dy }|'
mutant 'cls pooling: every row' 's/dx.iter_mut().zip(dy).for_each(|(dx, &dy)| \*dx = dy);/dx.iter_mut().zip(dy.iter().cycle()).for_each(|(dx, \&dy)| *dx = dy);/'
mutant 'max pooling: the smallest' 's/if x\[i\] > x\[best\]/if x[i] < x[best]/'

on simcse-tensor ops::normalize $ops/normalize.rs
mutant 'normalize: projection missing' 's/(f64::from(\*dy) - f64::from(y) \* along)/{ let _ = (y, along); f64::from(*dy) }/'

on simcse-tensor ops::contrastive $ops/contrastive.rs
mutant 'contrastive: dz₁ missing' 's/gemm(precision, ds, z2.*/let _ = (ds, z2); dz1.fill(0.0);/'
mutant 'contrastive: dz₂ of the last block only' 's/gemm(precision, ds.t(), z1, Init::Keep/gemm(precision, ds.t(), z1, Init::Zero/'
mutant "contrastive: every block's labels from 0" 's/cross_entropy(rows, block \* ROWS, size, scale)/cross_entropy(rows, 0 * block, size, scale)/'
mutant 'contrastive: the 1 not subtracted' 's/row\[label\] -= 1.0;//'
mutant 'contrastive: gradient of the cosines without the scale' 's/s.splat(scale \/ row.len() as f32)/s.splat(1.0 \/ row.len() as f32)/'
mutant 'contrastive: dloss ignored' 's/\*dz \*= dloss)/{ let _ = (dloss, dz); })/'

on simcse-model encoder::tests simcse-model/src/batch.rs
mutant 'RoBERTa: positions from pad_token_id' 's/pad + next$/pad + next - 1/'
mutant 'RoBERTa: padding has a position' 's/Architecture::Roberta if id == pad => pad,/Architecture::Roberta if id == u32::MAX => pad,/'

on simcse-model encoder::tests simcse-model/src/names.rs
mutant 'DistilBERT: dropout of the attention output' 's/attention_output_dropout: false/attention_output_dropout: true/'

on simcse-model encoder::tests simcse-model/src/layer.rs
mutant 'layer: residual of the layer, not of a' 's/tape.layer_norm(fed, Some(a)/tape.layer_norm(fed, Some(x)/'
mutant 'layer: both outputs share a mask' 's/Site::Output(self.number)/Site::AttentionOutput(self.number)/'

on simcse-model encoder::tests simcse-tensor/src/tape.rs
mutant 'tape: an earlier gradient overwritten' 's/Some(dx) => (dx, Init::Keep),/Some(dx) => (dx, Init::Zero),/'
mutant 'tape: gradient of the residual missing' 's/d.add(residual, dy, self.pool);/{ let _ = residual; self.pool.give(dy) }/'

[ "$failures" = 0 ]
