//! What the user sees before the first step.

use simcse_model::Named;
use simcse_model::io::{excerpt, format_bytes};
use simcse_train::{MemoryPlan, Settings, Trainer};

use crate::report::{self, counted};

/// The longest piece of a prompt that is shown, in characters.
const PROMPT: usize = 100;

/// Describes the run that is about to start.
pub(super) fn announce(trainer: &Trainer, plan: &MemoryPlan) {
    describe_sentences(trainer);
    describe_model(trainer);
    describe_settings(trainer.settings());
    report::note(&format!(
        "{} of {}, written to {}",
        counted(trainer.total_steps() as usize, "step", "steps"),
        trainer.settings().step_size(),
        trainer.output().display()
    ));
    report::note(&memory_note(plan, trainer.settings().mini_batch_tokens));
}

fn describe_sentences(trainer: &Trainer) {
    let sentences = trainer.sentences();
    report::note(&format!(
        "{}: {}, {} too short and skipped, {} equal to an earlier one",
        sentences.name(),
        counted(sentences.len(), "sentence", "sentences"),
        sentences.skipped(),
        sentences.duplicates()
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
    let untrained = encoder.params.layout().parameters().iter().filter(|parameter| !parameter.trainable);
    let untrained: Vec<_> = untrained.map(|parameter| parameter.name.as_str()).collect();
    if !untrained.is_empty() {
        report::note(&format!("not trained, because no sentence embedding depends on them: {}", untrained.join(", ")));
    }
}

fn describe_settings(settings: &Settings) {
    report::note(&format!(
        "learning rate {}, warm-up {}, weight decay {}, gradients clipped to {}, \
         dropout {} (attention {}), scale {}, {} pooling, at most {} tokens, \
         matrix products in {}, seed {}",
        settings.learning_rate,
        settings.warmup(),
        settings.weight_decay,
        settings.max_grad_norm,
        settings.hidden_dropout,
        settings.attention_dropout,
        settings.scale,
        settings.pooling.name(),
        settings.max_seq_length,
        settings.precision.name(),
        settings.seed
    ));
    if !settings.prompt.is_empty() {
        report::note(&format!("in front of every sentence: {}", excerpt(&settings.prompt, PROMPT)));
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
