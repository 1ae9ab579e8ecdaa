#!/usr/bin/env bash
# Do the unit tests notice a wrong gradient? Changes one line of the source at a time, in a copy of
# the tree, and requires that the tests named with it fail. Prints a table; fails if a mistake goes
# unnoticed, or no longer fits the source.
#
#     tools/mutants/gradients.sh [--check] [REGEX]
#
# REGEX selects mistakes by name; --check only checks that all of them fit the source.
source "$(dirname "$0")/common.sh"
export PROPTEST_MAX_SHRINK_ITERS=0 # a failure is enough, a minimal one would take longer

print_header() { printf '| mistake | result |\n|---|---|\n'; }
tests() { (cd "$copy" && nice -n 19 cargo test -j1 --quiet -p "$crate" --lib "$@") >"$copy/log" 2>&1; }

# on CRATE FILTER FILE: the mistakes below are in FILE, and the tests of CRATE that FILTER selects
# must notice them.
on() {
  crate=$1 filter=$2 checked=
  in_file "$3"
}

check_unchanged() {
  if [[ $checked ]]; then return; fi
  checked=yes
  if ! tests "$filter" || grep -q ' 0 passed' "$copy/log"; then
    cat "$copy/log" >&2
    echo "error: the tests $filter of $crate do not pass on the unchanged tree" >&2
    exit 1
  fi
}

try_mistake() {
  local result=noticed
  if ! tests --no-run; then
    result='DOES NOT COMPILE'
  elif tests "$filter"; then
    result='NOT NOTICED'
  fi
  [[ $result == noticed ]] || failures=$((failures + 1))
  echo "| $1 | $result |"
}

all_mistakes() {
  on simcse-tensor ops::embedding ops/embedding.rs
  plant 'embedding: last gradient of a row only' 's/\*drow += dy)/*drow = *dy)/'

  on simcse-tensor ops::linear ops/linear.rs
  plant 'linear: dW overwritten' 's/(context.precision, Addend::Existing)/(context.precision, Addend::Zero)/'
  plant 'linear: db missing' 's/&ends, dbias, dweight)/\&ends, \&mut dbias.to_vec(), dweight)/'
  plant 'linear: dx added to what the buffer holds' 's/dy.view(), weight, addend,/dy.view(), weight, { let _ = addend; Addend::Existing },/'

  on simcse-tensor ops::activation ops/activation.rs
  plant "gelu: Φ instead of Φ + h·φ" 's/s.fma(s.mul(h, bell), s.splat(INV_SQRT_2PI), cdf)/{ let _ = (bell, INV_SQRT_2PI); cdf }/'
  plant 'activation: dW from h instead of f(h)' 's/s.store_fitting(value, &mut self.h\[i..\]);/let _ = value;/'
  plant 'gated activation: slope without p′' 's/s.mul(gate, complement)), dp, gate)/s.mul(gate, complement)), { let _ = dp; s.splat(1.0) }, gate)/'
  plant 'tanh-gelu: p′ without the 3' 's/3.0 \* CUBIC/CUBIC/'
  plant 'relu: slope 1 everywhere' 's/s.where_less(s.splat(0.0), h, s.splat(1.0), s.splat(0.0))/s.splat(1.0)/'

  on simcse-tensor ops::select ops/select.rs
  plant 'select: what was in dx is left there' 's/flat_mut(dx).fill(0.0);/let _ = flat_mut(dx);/'

  on simcse-tensor ops::vocabulary_loss ops/vocabulary_loss.rs
  plant 'vocabulary: the 1 not subtracted' 's/logits\[label\] -= 1.0;//'
  plant 'vocabulary: dE of the last rows only' 's/dlogits.t(), x, Addend::Existing/dlogits.t(), x, Addend::Zero/'
  plant 'vocabulary: gradient not scaled' 's/let factor = s.splat(scale);/let factor = s.splat({ let _ = scale; 1.0 });/'
  plant 'vocabulary: parts continue across blocks' 's/(end - start).min(most);/(rows.tokens() - start).min(most);/'
  on simcse-tensor ops::dense ops/dense.rs
  plant 'dense: slope 1 everywhere' 's/(1.0 - tanh \* tanh)/{ let _ = tanh; 1.0 }/'

  on simcse-tensor ops::weighted_sum ops/weighted_sum.rs
  plant 'weighted sum: dx without the weight' 's/\*dx = weight \* dy/{ let _ = weight; *dx = *dy }/'

  on simcse-tensor ops::layer_norm ops/layer_norm.rs
  plant 'layer_norm: mean(g) missing' 's/s.sub(s.sub(g, mean_g), s.mul(x, mean_gx))/{ let _ = mean_g; s.sub(g, s.mul(x, mean_gx)) }/'
  plant 'layer_norm: mean(g ⊙ x̂) missing' 's/s.sub(s.sub(g, mean_g), s.mul(x, mean_gx))/{ let _ = (x, mean_gx); s.sub(g, mean_g) }/'
  plant 'layer_norm: dγ missing' 's/add(dgamma, grads.slice_mut(op.norm.gamma));/let _ = dgamma;/'
  plant 'layer_norm: dβ missing' 's/add(dbeta, grads.slice_mut(beta));/let _ = (dbeta, beta);/'
  plant 'layer_norm: dx without the mask' 's/math::zip(s, dy, dx, |ds, m| s.mul(m, ds));/math::zip(s, dy, dx, |ds, _| ds);/'

  on simcse-tensor ops::dropout ops/dropout.rs
  plant 'dropout: kept values not scaled' 's|1.0 / (1.0 - self.rate)|1.0|'
  plant 'dropout: dy passed through' 's/^    forward(dy, dropout, rows);/    let _ = (dy, dropout, rows);/'

  on simcse-tensor ops::attention attention/kernels.rs
  plant 'attention: dS without 1/√D' 's/s.mul(s.mul(s.load(&p\[i..\]), difference), scale)/{ let _ = scale; s.mul(s.load(\&p[i..]), difference) }/'
  plant 'attention: rowsum(P ⊙ dP) missing' 's/let difference = s.sub(s.load(&dp\[i..\]), along);/let _ = along; let difference = s.load(\&dp[i..]);/'
  plant 'attention: dP without the mask' 's/let gradient = s.mul(m, s.load(&dp\[i..\]));/let gradient = s.load(\&dp[i..]);/'
  plant 'attention: dV without the mask' 's/s.store(s.mul(probability, m), &mut mask/s.store(probability, \&mut mask/'
  plant 'attention: a block overwrites what others added to dK and dV' 's/product_onto(s, by_key/product(s, by_key/'
  plant 'attention: dQ and dK rotated forward' 's/Direction::Backward, x/Direction::Forward, x/'
  plant 'attention: keys beyond the window have a score' 's/p\[..seen.start\].fill(0.0);/let _ = seen.start;/'
  on simcse-tensor ops::attention attention/head.rs
  plant 'attention: the mask of a window by key' 's/if columns < self.tokens => seen.start + window - i/if columns < self.tokens => seen.start.min(window + i - i)/'
  on simcse-tensor ops::gated_linear ops/gated_linear.rs
  plant 'gated_linear: the gate without the activation' 's/s.store_fitting(s.mul(d, value), &mut gate/s.store_fitting(s.mul(d, x), \&mut gate/'
  plant 'gated_linear: dW without the mask' 's/s.store_fitting(s.mul(s.mul(value, g), m), &mut fh/s.store_fitting(s.mul(value, g), \&mut fh/'
  on simcse-tensor ops::residual ops/residual.rs
  plant 'residual: dx without the mask' 's/dropout::backward(dx, dropout, rows);/let _ = (dropout, rows);/'

  on simcse-tensor ops::pooling ops/pooling.rs
  plant 'mean pooling: not divided' 's|\*dx = weight \* dy / divisor|{ let _ = divisor; *dx = weight * dy }|'
  plant 'weighted mean: weights from 0' 's/(position + 1) as f32/position as f32/'
  plant 'mean by square root: by the length' 's/Self::MeanSqrtLen => length.sqrt()/Self::MeanSqrtLen => length/'
  plant 'cls pooling: every row' 's/dx.iter_mut().zip(dy).for_each(|(dx, &dy)| \*dx = dy);/dx.iter_mut().zip(dy.iter().cycle()).for_each(|(dx, \&dy)| *dx = dy);/'
  plant 'max pooling: the smallest' 's/if x\[i\] > x\[best\]/if x[i] < x[best]/'

  on simcse-tensor ops::weighted_pooling ops/weighted_pooling.rs
  plant 'weighted pooling: dx without the share' 's/\*dx = share \* dy/{ let _ = share; *dx = *dy }/'
  plant 'weighted pooling: the first token alone' 's/shares\[range\].iter().zip(dx/shares[range].iter().take(1).zip(dx/'

  on simcse-tensor ops::normalize ops/normalize.rs
  plant 'normalize: projection missing' 's/(f64::from(\*dy) - f64::from(y) \* along)/{ let _ = (y, along); f64::from(*dy) }/'

  on simcse-tensor ops::contrastive ops/contrastive/mod.rs
  plant 'contrastive: dz₁ missing' 's/gemm(precision, ds, right(side).*/let _ = (ds, dleft);/'
  plant 'contrastive: dz₂ of the last block only' 's/\(gemm(precision, ds.t(), .*\), Addend::Existing/\1, Addend::Zero/'
  plant "contrastive: every block's labels from 0" 's/cross_entropy(Block { loss, size, first, /cross_entropy(Block { loss, size, first: 0 * first, /'
  plant 'contrastive: the left rows are always the anchors' 's/let (column, candidates) = &sides\[side\];/let (column, candidates) = (\&0, \&sides[side].1);/'
  plant 'contrastive: dloss ignored' 's/\*dz \*= dloss)/{ let _ = (dloss, dz); })/'

  on simcse-tensor ops::contrastive ops/contrastive/example.rs
  plant 'contrastive: the 1 not subtracted' 's/self.rows\[ANCHORS\]\[label\] -= 1.0;//'
  plant 'contrastive: gradient of the cosines not scaled' 's/s.splat(scale \/ size as f32)/s.splat(1.0 \/ size as f32)/'
  plant 'focal: slope of a negative without m' 's/2.0 \* of_side\[i\] + m,/{ let _ = m; 2.0 * of_side[i] },/'
  plant 'focal: slopes of logits, not of cosines' 's/copy.copy_from_slice(row);/copy.fill(row[0]);/'
  plant 'pos_ratio: not in the gradient' 's/\*= ratio \* slope/*= { let _ = ratio; slope }/'

  on simcse-model encoder::tests encoder/batch.rs
  plant 'RoBERTa: positions from pad_token_id' 's/pad + next$/pad + next - 1/'
  plant 'RoBERTa: padding has a position' 's/true if id == pad => pad,/true if id == u32::MAX => pad,/'

  on simcse-tensor attention::relative_bias attention/relative_bias.rs
  plant 'relative bias: of the next query' 's/    tokens - 1 - i..2 \* tokens - 1 - i/    let i = i.saturating_sub(1); tokens - 1 - i..2 * tokens - 1 - i/'
  plant 'relative bias: keys before their query as after it' 's/if offset > 0 { HALF/if offset != 0 { HALF/'
  on simcse-tensor attention::relative_bias attention/kernels.rs
  plant 'relative bias: gradient without √D' 's/collect_gradient(ddiagonals, h, tokens, scale.recip(), dtable)/collect_gradient(ddiagonals, h, tokens, 1.0, dtable)/'
  plant 'relative bias: left out of the recomputed scores' 's/add_to_scores(s, diagonals, i, &mut p\[seen.clone()\])/add_to_scores(s, diagonals, i, \&mut vec![0.0; seen.len()])/'

  on simcse-model encoder::tests architecture.rs
  plant 'DistilBERT: dropout of the attention output' 's/attention_output_dropout: None/attention_output_dropout: Some(Rate::Hidden)/'

  on simcse-model encoder::tests encoder/layer.rs
  plant 'layer: residual from x instead of a' 's/tape.layer_norm(fed, Some(a)/tape.layer_norm(fed, Some(x)/'
  plant 'layer: both outputs share a mask' 's/Site::Output(self.number)/Site::AttentionOutput(self.number)/'

  on simcse-model encoder::tests tape/backward.rs
  plant 'tape: an earlier gradient overwritten' 's/Some(dx) => (dx, Addend::Existing),/Some(dx) => (dx, Addend::Zero),/'
  plant 'tape: gradient of the residual missing' 's/Some(residual) => d.add(residual, dr, self.buffers),/Some(_) => self.buffers.give(dr),/'
}

main "$@"
