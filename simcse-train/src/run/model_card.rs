//! `README.md` of a trained model: what it is, how it was made, how it is used.

use std::fmt::Write;

use simcse_model::{Named, SentenceEncoder};

use crate::evaluation::Figures;
use crate::run::provenance::Provenance;
use crate::run::summary::Summary;

/// The model card, with the run's own figures.
pub(crate) fn render(provenance: &Provenance, encoder: &SentenceEncoder, summary: &Summary) -> String {
    let Provenance { model, data, settings, .. } = provenance;
    let mut card = format!(
        "---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
{base_model}tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
- simcse
---

# A sentence-embedding model tuned by unsupervised SimCSE

It maps sentences to vectors of {dimension} values; the cosine of two vectors says how close the sentences are in meaning.
It began as `{base}` and was trained without labels on {sentences} sentences of `{data}` ([SimCSE](https://arxiv.org/abs/2104.08821)):
each sentence is encoded twice under dropout, its two embeddings are pulled together and pushed from those of the other
sentences in the batch.

## Usage

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(\"path/to/this/directory\")
embeddings = model.encode([\"one sentence\", \"another\"])
print(model.similarity(embeddings, embeddings))
```

```rust
let encoder = simcse_model::SentenceEncoder::load(\"path/to/this/directory\")?;
let embeddings = encoder.encode(&[\"one sentence\", \"another\"])?;
```

## Training

| | |
|---|---|
| steps | {steps} of {step_size} ({seconds:.0} s){skipped} |
| mean training loss | {loss:.4} |
| maximum length | {length} tokens |
| pooling | {pooling} |
| scale | {scale} |
| learning rate, weight decay, warm-up | {rate}, {decay}, {warmup} |
| dropout: hidden, attention | {hidden}, {attention} |
| seed | {seed} |
| sentences (SHA-256) | `{digest}` |
",
        base_model = base_model(&model.name),
        dimension = encoder.dimension(),
        base = model.name,
        sentences = data.sentences,
        data = data.name,
        steps = summary.steps,
        step_size = settings.step_size(),
        skipped = skipped(summary.skipped),
        seconds = summary.train_seconds,
        loss = summary.train_loss,
        length = settings.max_seq_length,
        pooling = settings.pooling.name(),
        scale = settings.scale,
        rate = settings.learning_rate,
        decay = settings.weight_decay,
        warmup = settings.warmup(),
        hidden = settings.hidden_dropout,
        attention = settings.attention_dropout,
        seed = settings.seed,
        digest = data.sha256,
    );
    if let (Some(before), Some(after)) = (&summary.before, &summary.after) {
        evaluation(&mut card, before, after);
    }
    if let Some(test) = &summary.test {
        card.push_str("\n## Test\n\n| | |\n|---|---|\n");
        for (name, figure) in test.iter().filter_map(|(name, figure)| Some((name, figure.as_f64()?))) {
            let _ = writeln!(card, "| {} | {figure:.4} |", name.trim_start_matches("test_"));
        }
    }
    card
}

/// The front matter's `base_model`, if the name is one of the hub's and no path.
fn base_model(name: &str) -> String {
    let hub = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let is_hub_name = !name.starts_with('.') && name.split('/').count() <= 2 && name.split('/').all(hub);
    if is_hub_name { format!("base_model: {name}\n") } else { String::new() }
}

fn skipped(steps: u64) -> String {
    if steps == 0 { String::new() } else { format!(", {steps} of them without an update: no finite gradient") }
}

fn evaluation(card: &mut String, before: &Figures, after: &Figures) {
    card.push_str("\n## Evaluation\n\n| | before | after |\n|---|---|---|\n");
    for (name, after) in after {
        let before = before.get(name).and_then(serde_json::Value::as_f64);
        if let (Some(before), Some(after)) = (before, after.as_f64()) {
            let _ = writeln!(card, "| {} | {before:.4} | {after:.4} |", name.trim_start_matches("eval_"));
        }
    }
}
