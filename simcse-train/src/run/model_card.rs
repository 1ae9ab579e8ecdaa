//! `README.md` of a trained model: what it is, how it was trained, how to use it.

use std::fmt::Write;

use simcse_model::{Named, SentenceEncoder};

use crate::evaluation::Figures;
use crate::run::provenance::Provenance;
use crate::run::summary::Summary;

/// The program that the card shows. The documentation tests compile it.
const USAGE: &str = include_str!("usage.rs");

#[cfg(doctest)]
#[doc = concat!("```no_run\n", include_str!("usage.rs"), "```")]
struct Usage;

/// The model card, with the run's own figures.
pub(crate) fn render(provenance: &Provenance, encoder: &SentenceEncoder, summary: &Summary) -> String {
    let mut card = front_matter(&provenance.model.name);
    card.push_str(&introduction(provenance, encoder.dimension()));
    card.push_str(&usage());
    card.push_str(&training(provenance, summary));
    if let (Some(before), Some(after)) = (&summary.before, &summary.after) {
        evaluation(&mut card, before, after);
    }
    if let Some(figures) = &summary.test {
        test(&mut card, figures);
    }
    card
}

fn front_matter(base: &str) -> String {
    let base_model = if is_hub_name(base) { format!("base_model: {base}\n") } else { String::new() };
    format!(
        "---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
{base_model}tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
- simcse
---
"
    )
}

/// Whether a name can be that of a model on the hub, not a path.
fn is_hub_name(name: &str) -> bool {
    let valid = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    !name.starts_with('.') && name.split('/').count() <= 2 && name.split('/').all(valid)
}

fn introduction(provenance: &Provenance, dimension: usize) -> String {
    let Provenance { model, data, .. } = provenance;
    format!(
        "
# A sentence-embedding model trained with unsupervised SimCSE

It maps a sentence to a vector of {dimension} values. The cosine similarity of two vectors says how close
the sentences are in meaning. Starting from `{base}`, it was trained without labels on {sentences}
sentences of `{data}` ([SimCSE](https://arxiv.org/abs/2104.08821)): each sentence is encoded twice under
dropout; its two embeddings are pulled together and pushed away from those of the other sentences in the
batch.
",
        base = model.name,
        sentences = data.sentences,
        data = data.name,
    )
}

fn usage() -> String {
    format!(
        "
## Usage

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(\"path/to/this/directory\")
embeddings = model.encode([\"one sentence\", \"another\"])
print(model.similarity(embeddings, embeddings))
```

```rust
{USAGE}```
"
    )
}

fn training(provenance: &Provenance, summary: &Summary) -> String {
    let Provenance { data, settings, .. } = provenance;
    let skipped = match summary.skipped {
        0 => String::new(),
        steps => format!(", {steps} of them without an update because the gradient was not finite"),
    };
    format!(
        "
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
        steps = summary.steps,
        step_size = settings.step_size(),
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
    )
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

fn test(card: &mut String, figures: &Figures) {
    card.push_str("\n## Test\n\n| | |\n|---|---|\n");
    for (name, figure) in figures.iter().filter_map(|(name, figure)| Some((name, figure.as_f64()?))) {
        let _ = writeln!(card, "| {} | {figure:.4} |", name.trim_start_matches("test_"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_model_is_named_if_it_may_be_on_the_hub() {
        for name in ["distilroberta-base", "sentence-transformers/all-MiniLM-L6-v2"] {
            assert!(front_matter(name).contains(&format!("\nbase_model: {name}\n")), "{name}");
        }
        for path in ["./model", "/home/me/model", "a/b/c", "a model with random weights", ""] {
            assert!(!front_matter(path).contains("base_model"), "{path}");
        }
    }
}
