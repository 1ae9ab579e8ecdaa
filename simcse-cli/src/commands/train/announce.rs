//! What the user sees before the first step.

use simcse_model::Named;
use simcse_model::io::{excerpt, format_bytes};
use simcse_train::ranks::Ranks;
use simcse_train::{MemoryPlan, Settings, Trainer, Training};

use crate::report::{self, counted};

/// The longest piece of a prompt that is shown, in characters.
const PROMPT: usize = 100;
/// The longest list of columns that is shown, in characters.
const COLUMNS: usize = 200;

/// Describes the run that is about to start.
pub(super) fn announce(trainer: &Trainer, plan: &MemoryPlan) {
    describe_ranks(&trainer.ranks);
    describe_examples(trainer);
    describe_model(trainer);
    describe_settings(trainer.settings());
    report::note(&format!(
        "{} of {}, written to {}",
        counted(trainer.total_steps() as usize, "step", "steps"),
        trainer.settings().step_size(trainer.examples().columns()),
        trainer.output().display()
    ));
    report::note(&memory_note(plan, trainer.settings().mini_batch_tokens));
}

fn describe_ranks(ranks: &Ranks) {
    if ranks.size() > 1 {
        let hosts = counted(ranks.hosts(), "host", "hosts");
        report::note(&format!("{} ranks on {hosts}, each with its share of every batch", ranks.size()));
    }
}

fn describe_examples(trainer: &Trainer) {
    let examples = trainer.examples();
    let name = examples.name();
    let skipped = examples.skipped();
    let equal = examples.duplicates();
    let columns = examples.columns();
    if columns == 1 {
        let count = counted(examples.len(), "sentence", "sentences");
        report::note(&format!("{name}: {count}, {skipped} too short and skipped, {equal} equal to an earlier one"));
        return;
    }
    let count = counted(examples.len(), "example", "examples");
    let texts = examples.column_names().join(", ");
    let texts = if texts.is_empty() { format!("{columns} texts") } else { excerpt(texts, COLUMNS) };
    // Someone who has named the columns knows how.
    let chosen = !trainer.sources.inputs.text_columns.is_empty();
    let advice = if chosen { "" } else { " (for single sentences, name one column with --text-column)" };
    report::note(&format!(
        "{name}: {count} of {texts}{advice}, {skipped} with a text missing or too short and skipped, {equal} texts equal \
         to an earlier one"
    ));
}

fn describe_model(trainer: &Trainer) {
    let encoder = trainer.encoder();
    let config = encoder.config();
    report::note(&format!(
        "{}: {}, {} wide with {}, feed-forward {}, {} tokens in the vocabulary",
        trainer.sources.model,
        counted(config.num_hidden_layers, "layer", "layers"),
        config.hidden_size,
        counted(config.num_attention_heads, "head", "heads"),
        config.intermediate_size,
        config.vocab_size
    ));
    if encoder.directory.word_weights.is_some() {
        let training = if encoder.word_weights_in_training { "in training, too" } else { "but not in training" };
        report::note(&format!("tokens are weighted by word in evaluations and in the saved model, {training}"));
    }
    let untrained = encoder.params.layout().parameters().iter().filter(|parameter| !parameter.trainable);
    let untrained: Vec<_> = untrained.map(|parameter| parameter.name.as_str()).collect();
    if !untrained.is_empty() {
        report::note(&format!("not trained, because the loss does not depend on them: {}", untrained.join(", ")));
    }
}

fn describe_settings(settings: &Settings) {
    let scale = match settings.objective {
        Training::Contrastive => format!("scale {}, ", settings.scale),
        Training::Mlm => String::new(),
    };
    report::note(&format!(
        "learning rate {}, warm-up {}, weight decay {}, gradients clipped to {}, \
         dropout {} (attention {}), {}{} pooling, at most {} tokens, \
         matrix products in {}, seed {}",
        settings.learning_rate,
        settings.warmup(),
        settings.weight_decay,
        settings.max_grad_norm,
        settings.hidden_dropout,
        settings.attention_dropout,
        scale,
        settings.pooling.name(),
        settings.max_seq_length,
        settings.precision.name(),
        settings.seed
    ));
    let pooler = settings.pooler_flags();
    if !pooler.is_empty() {
        report::note(&format!("between encoder and loss: {}", pooler.join(" ")));
    }
    let objective = settings.objective_flags();
    if !objective.is_empty() {
        report::note(&format!("objective: {}", objective.join(" ")));
    }
    if !settings.prompt.is_empty() {
        report::note(&format!("in front of every text: {}", excerpt(&settings.prompt, PROMPT)));
    }
}

/// How much memory the run will use, and whether its batches are encoded in pieces.
fn memory_note(plan: &MemoryPlan, mini_batch_tokens: Option<usize>) -> String {
    let limit = plan.limit.map(|limit| format!(" of {}", format_bytes(limit))).unwrap_or_default();
    let pieces = mini_batch_tokens.zip(plan.whole_batch).map(|(tokens, whole)| {
        format!(
            "; batches are encoded in pieces of at most {tokens} tokens (GradCache); \
             whole batches would need {}",
            format_bytes(whole)
        )
    });
    format!("memory: at most {}{limit}{}", format_bytes(plan.peak), pieces.unwrap_or_default())
}
