//! `README.md` of a trained model: what it is, how it was trained, how to use it.

use std::fmt::Write;
use std::path::Path;

use simcse_model::io::figure;
use simcse_model::{DenseModule, Named, SentenceEncoder, hub};

use crate::evaluation::Figures;
use crate::run::provenance::{ModelSource, Provenance};
use crate::run::summary::Summary;
use crate::settings::{Mlp, Settings, Training};

/// The program that the card shows. The documentation tests compile it.
const USAGE: &str = include_str!("usage.rs");

#[cfg(doctest)]
#[doc = concat!("```no_run\n", include_str!("usage.rs"), "```")]
struct Usage;

/// The model card, with the run's own figures.
pub(crate) fn render(provenance: &Provenance, encoder: &SentenceEncoder, summary: &Summary) -> String {
    let mut card = front_matter(&provenance.model);
    card.push_str(&match provenance.settings.objective {
        Training::Contrastive => introduction(provenance, encoder.dimension()),
        Training::Mlm => introduction_of_language_model(provenance),
    });
    card.push_str(&usage());
    card.push_str(&training(provenance, encoder, summary));
    if let (Some(before), Some(after)) = (&summary.before, &summary.after) {
        evaluation(&mut card, before, after);
    }
    if let Some(figures) = &summary.test {
        test(&mut card, figures);
    }
    card
}

/// The card names a `base_model` only if it is known to be a name on the hub, because a local path
/// may look like one.
fn front_matter(model: &ModelSource) -> String {
    let repository = model.on_hub.then(|| hub::repository(&model.name).ok()).flatten();
    let base_model = repository.map(|repository| format!("base_model: {repository}\n")).unwrap_or_default();
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

/// The name of a model or a text file for others: cards are published, so local directories are
/// left out.
fn public_name(name: &str) -> &str {
    Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name)
}

/// The model that training started from: a name in a code span, or a description.
fn base(model: &ModelSource) -> String {
    match &*model.name {
        name if model.on_hub => format!("`{name}`"),
        description if description.starts_with("a ") => description.to_owned(),
        path => format!("`{}`", public_name(path)),
    }
}

fn introduction_of_language_model(provenance: &Provenance) -> String {
    let Provenance { model, data, .. } = provenance;
    format!(
        "
# A language model trained by masked language modeling

Starting from {base}, it was trained to predict masked tokens of {count}
sentences of `{data}` ([BERT](https://arxiv.org/abs/1810.04805)). Its token embeddings, pooled, are a
first sentence embedding; SimCSE makes a better one of it (`simcse train SENTENCES --model` with this
directory). The head that predicts tokens is in `mlm_head.safetensors`.
",
        base = base(model),
        count = data.examples,
        data = public_name(&data.name),
    )
}

fn introduction(provenance: &Provenance, dimension: usize) -> String {
    let Provenance { model, data, .. } = provenance;
    let (kind, labels, examples) = match data.texts_per_example {
        1 => ("unsupervised", "without labels ", "sentences"),
        2 => ("supervised", "", "pairs"),
        _ => ("supervised", "", "examples with hard negatives"),
    };
    format!(
        "
# A sentence-embedding model trained with {kind} SimCSE

It maps a sentence to a vector of {dimension} values. The cosine similarity of two vectors says how close
the sentences are in meaning. Starting from {base}, it was trained {labels}on {count}
{examples} of `{data}` ([SimCSE](https://arxiv.org/abs/2104.08821)): {method}.
",
        base = base(model),
        count = data.examples,
        method = method(data.texts_per_example),
        data = public_name(&data.name),
    )
}

/// How examples of this many texts are trained on.
fn method(texts: usize) -> &'static str {
    match texts {
        1 => {
            "each sentence is encoded twice under
dropout; its two embeddings are pulled together and pushed away from those of the other sentences in the
batch"
        }
        2 => {
            "the embeddings of
a pair are pulled together and pushed away from those of the other texts in the batch"
        }
        _ => {
            "the embeddings of
an anchor and its positive are pulled together and pushed away from those of its hard negatives and of the
other texts in the batch"
        }
    }
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

fn training(provenance: &Provenance, encoder: &SentenceEncoder, summary: &Summary) -> String {
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
| mean training loss | {loss} |
| maximum length | {length} tokens |
{prompt}| pooling | {pooling} |
{dense}{scale}| learning rate, weight decay, warm-up | {rate}, {decay}, {warmup} |
| dropout: hidden, attention | {hidden}, {attention} |
| seed | {seed} |
{objective}| texts (SHA-256) | `{digest}` |
",
        steps = summary.steps,
        step_size = settings.step_size(data.texts_per_example),
        seconds = summary.train_seconds,
        loss = figure(summary.train_loss),
        length = settings.max_seq_length,
        prompt = prompt(&settings.prompt),
        pooling = pooling(encoder, settings),
        dense = dense(encoder, settings.mlp),
        scale = if settings.objective == Training::Contrastive {
            format!("| scale | {} |\n", settings.scale)
        } else {
            String::new()
        },
        rate = settings.learning_rate,
        decay = settings.weight_decay,
        warmup = settings.warmup(),
        hidden = settings.hidden_dropout,
        attention = settings.attention_dropout,
        seed = settings.seed,
        objective = objective(settings),
        digest = data.sha256,
    )
}

/// How tokens are pooled, and which hidden states.
fn pooling(encoder: &SentenceEncoder, settings: &Settings) -> String {
    let directory = &encoder.directory;
    let layers = directory.layer_mix.as_ref().map(|mix| mix.name().unwrap_or("a weighted mean of layers"));
    let layers = layers.map_or(String::new(), |layers| format!(" of {layers}"));
    let weights = match &directory.word_weights {
        None => "",
        Some(_) if settings.word_weights_in_training => ", weighted by word",
        Some(_) => ", weighted by word except in training",
    };
    format!("{}{layers}{weights}", directory.pooling.name())
}

/// The row of the dense layers that follow pooling, if there are any.
fn dense(encoder: &SentenceEncoder, mlp: Mlp) -> String {
    let layers = encoder.directory.dense().iter().map(|dense| {
        let DenseModule { in_features, out_features, activation, .. } = dense;
        format!("{in_features} to {out_features} values ({})", activation.name())
    });
    let in_training = (mlp == Mlp::OnlyTrain).then(|| "in training alone: one with Tanh".to_owned());
    let layers: Vec<_> = layers.chain(in_training).collect();
    if layers.is_empty() { String::new() } else { format!("| dense layers | {} |\n", layers.join("; ")) }
}

/// The row of the objective's options, if there are any.
fn objective(settings: &Settings) -> String {
    match settings.objective_flags()[..] {
        [] => String::new(),
        ref flags => format!("| objective | `{}` |\n", in_code(&flags.join(" "))),
    }
}

/// The row of the prompt, if there is one: a JSON string, escaped for a code span in a table.
fn prompt(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = serde_json::Value::from(text).to_string().replace('`', "\\u0060");
    format!("| prompt in front of every text | `{}` |\n", in_code(&text))
}

/// Escapes what would end a code span in a table, or its cell.
fn in_code(text: &str) -> String {
    text.replace('`', "'").replace('|', "\\|").replace(char::is_control, " ")
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
    fn only_a_name_on_the_hub_is_a_base_model() {
        let card =
            |name: &str, on_hub| front_matter(&ModelSource { name: name.to_owned(), on_hub, sha256: String::new() });
        assert!(card("owner/name", true).contains("\nbase_model: owner/name\n"));
        assert!(card("owner/name@v1", true).contains("\nbase_model: owner/name\n"));
        assert!(card("mini", true).contains("\nbase_model: sentence-transformers/mini\n"));
        assert!(!card("owner/name", false).contains("base_model"), "a local path looks the same");
    }

    #[test]
    fn no_prompt_breaks_the_table() {
        assert_eq!(prompt(""), "");
        assert_eq!(prompt("query: "), "| prompt in front of every text | `\"query: \"` |\n");
        assert_eq!(prompt("a|`\n"), "| prompt in front of every text | `\"a\\|\\u0060\\n\"` |\n");
    }

    #[test]
    fn a_published_card_does_not_show_local_directories() {
        for (name, public) in [
            ("/home/me/models/bert", "bert"),
            ("../titles.txt", "titles.txt"),
            ("standard input", "standard input"),
            ("a model with random weights", "a model with random weights"),
            ("..", ".."),
        ] {
            assert_eq!(public_name(name), public);
        }
    }
}
