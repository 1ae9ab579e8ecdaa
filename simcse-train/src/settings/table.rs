//! The table of settings.

use simcse_model::{PooledLayers, Pooling, Precision, TEMPLATE_MASK, TEMPLATE_TEXT, WordWeighting};
use simcse_tensor::{Hardness, Partition, Rows};

use crate::data::batches::BatchSampler;
use crate::settings::recipe::Recipe;
use crate::settings::setting::{Setting, Value, optional, settings};
use crate::settings::values::{Direction, Mlp, ReportTo, Rounding, Training};

/// The largest integer of TOML.
pub(super) const LARGEST: u64 = i64::MAX as u64;

settings! {
    /// Every setting of a run.
    ///
    /// ```
    /// use simcse_train::Settings;
    ///
    /// let settings = Settings { batch_size: 64, max_steps: Some(100), ..Settings::default() };
    /// assert!(settings.check().is_ok());
    /// let error = Settings { batch_size: 1, ..settings }.check().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "--batch-size: expected 2 or more: a sentence needs negatives, found 1"
    /// );
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    // The descriptions are the help of flags, too, where a template's [X] has no escape.
    #[allow(rustdoc::broken_intra_doc_links)]
    pub struct Settings {
        /// Published settings; flags take precedence over them. st-2021: the script that produced
        /// sentence-transformers' figures on AskUbuntu; st-6: the defaults of
        /// sentence-transformers 6's trainer; princeton-unsup-bert, princeton-unsup-roberta,
        /// princeton-sup-bert, princeton-sup-roberta: those of SimCSE's authors
        recipe: Option<Recipe> = None, "NAME", "a recipe" if |_| true;

        /// What is trained: contrastive, embeddings by pairs of texts; or mlm, the language model
        /// alone, by predicting masked tokens (which is what `simcse pretrain` does)
        objective: Training = Training::Contrastive, "NAME", "an objective" if |_| true;

        /// Examples per batch; the texts of each are negatives for all the others
        batch_size: usize = 128, "N", "2 or more: a sentence needs negatives" if |&size| size >= 2;

        /// Batches per step; their gradients are averaged. This does not add negatives, because a
        /// sentence's negatives come from its own batch: for more of them, raise --batch-size
        gradient_accumulation_steps: usize = 1, "N", "1 or more" if |&batches| batches >= 1;

        /// Encode at most N tokens at a time (all views count, in multiples of 512) to save memory
        /// (GradCache): memory no longer grows with the batch, results stay the same to the last
        /// bit, and a step takes up to a third longer. Chosen automatically if a whole batch would
        /// not fit in --memory-limit
        mini_batch_tokens: Option<usize> = None, "N" default "the whole batch",
            "512 or more tokens" if |&tokens| tokens.is_none_or(|tokens| tokens >= Rows::BLOCK);

        /// Truncate texts to this many tokens, special tokens included
        max_seq_length: usize = 32, "N", "3 or more tokens" if |&tokens| tokens >= 3;

        /// Put this text in front of every sentence that is trained on; it counts toward the
        /// length, and is left out of pooling if the model says so. The model's default prompt is
        /// not used in training unless it is given here, as in sentence-transformers
        prompt: String = String::new(), "TEXT" default "none",
            "a text that goes in front of the sentence (for one around it, see --template)"
                if |prompt| !prompt.contains(TEMPLATE_TEXT);

        /// Encode every sentence inside this text, in place of [X], from now on: it becomes part of
        /// the model's tokenizer, and counts toward the length. [MASK] at its end stands for the
        /// mask token, whose hidden state --pooling lasttoken takes, as in PromptBERT: 'This
        /// sentence : "[X]" means [MASK]'
        template: String = String::new(), "TEXT" default "none",
            "a text with one [X], and [MASK] at its end or not at all, because no pooling of sentence-transformers \
             finds it elsewhere" if |template| template.is_empty() || is_template(template);

        /// Passes over the examples
        epochs: u32 = 1, "N" replaces max_steps, "1 or more" if |&epochs| epochs >= 1;

        /// Steps of the run, instead of --epochs; epochs are repeated as needed
        max_steps: Option<u64> = None, "N", "1 or more" if |&steps| within(steps);

        /// How token embeddings are combined into a sentence embedding: mean, cls, max,
        /// mean_sqrt_len_tokens, weightedmean or lasttoken
        pooling: Pooling = Pooling::Mean, "MODE" default "the model's, or mean", "a pooling mode" if |_| true;

        /// Which layers' outputs are pooled: last, that of the last layer; avg_top2, the mean of
        /// the last two; avg_first_last, the mean of the first and the last
        pooled_layers: Option<PooledLayers> = None, "LAYERS" default "the model's, or last", "layers" if |_| true;

        /// How much each token counts in mean pooling: idf, its inverse document frequency in the
        /// text that is trained on; none, all the same. Evaluations and the model that is saved
        /// weigh tokens; training does not, unless --word-weights-in-training says so. For a model
        /// that started from nothing, which does not know which words matter
        word_weights: Option<WordWeighting> = None, "WEIGHTS" default "the model's, or none", "word weights" if |_| true;

        /// Weigh tokens in training, too, as sentence-transformers does; training then unlearns
        /// what the weights add
        word_weights_in_training: bool = false, "", "true or false" if |_| true;

        /// Add a layer with tanh to what is pooled, as SimCSE's authors do: none; always, in
        /// training and as part of the model; only_train, in training alone (their
        /// --mlp_only_train): evaluations and the model that is saved do without it
        mlp: Mlp = Mlp::None, "WHEN", "when to use it" if |_| true;

        /// Factor on the cosine similarities: the inverse of the temperature
        scale: f32 = 20.0, "X", "a positive number" if |&scale| positive(scale.into());

        /// What is compared in a batch, separated by commas: query_to_doc, the anchor (a sentence's
        /// first view) with all other texts, always; doc_to_query, the positive (the second view)
        /// with all anchors; query_to_query, the anchor with the other anchors; doc_to_doc, the
        /// positive with the other examples' texts except anchors
        directions: Vec<Direction> = vec![Direction::QueryToDoc], "NAMES",
            "query_to_doc, and each direction once" if |directions| each_once(directions);

        /// joint: one softmax over all --directions; per_direction: one for each of query_to_doc
        /// and doc_to_query, averaged (a symmetric loss)
        partition_mode: Partition = Partition::Joint, "MODE", "a partition" if |_| true;

        /// Negatives that count for more, the more similar they are: in_batch_negatives, the texts
        /// of other examples; hard_negatives, an example's own; all_negatives; or none
        hardness_mode: Hardness = Hardness::None, "MODE", "a hardness mode" if |_| true;

        /// With --hardness-mode: X times its cosine similarity is added to the logit of a negative
        hardness_strength: f32 = 0.0, "X", "0 or more" if |&strength| strength >= 0.0 && strength.is_finite();

        /// Added to the logits of an example's own hard negatives: the logarithm of a weight
        hard_negative_weight: f32 = 0.0, "X", "a finite number" if |weight| weight.is_finite();

        /// Focal-InfoNCE with this m (published: 0.3): the logit of a positive is its squared
        /// cosine, that of a negative cos·(cos + m), both times --scale: negatives count for more,
        /// the more similar they are
        focal_m: Option<f32> = None, "M" default "off", "a finite number" if |m| m.is_none_or(f32::is_finite);

        /// Off-dropout sampling of SimCSE++, for sentences: negatives are compared without dropout,
        /// for which each sentence is encoded a third time; published with --pos-ratio 0.9
        off_dropout: bool = false, "", "true or false" if |_| true;

        /// With --off-dropout: a factor on the cosine of a sentence's two views
        pos_ratio: f32 = 1.0, "X", "a positive number" if |&ratio| positive(ratio.into());

        /// GS-InfoNCE: in each batch, compare every anchor with N random vectors, too, as further
        /// negatives; published: multiples of the batch size
        noise_negatives: usize = 0, "N", "0 or more" if |_| true;

        /// With --noise-negatives: how many negatives each of them counts as (λ)
        noise_weight: f32 = 1.0, "X", "a positive number" if |&weight| positive(weight.into());

        /// Word repetition of ESimCSE, for sentences (published: 0.32): in the second view, up to
        /// this share of the tokens, or two if that is more, are there twice, as far as
        /// --max-seq-length leaves room
        dup_rate: f64 = 0.0, "X", "0 to 1" if |rate| (0.0..=1.0).contains(rate);

        /// Word deletion, for sentences: each word of either view is left out with this
        /// probability. Dropout alone is better for a pretrained BERT (SimCSE, table 1); a small
        /// model that started from nothing learns from it which words tell a sentence apart
        word_deletion: f64 = 0.0, "P", "at least 0 and below 1" if |rate| (0.0..1.0).contains(rate);

        /// Train embeddings that may be truncated to these numbers of values (Matryoshka), such as
        /// 384,128,64: the losses of all of them are added. The full number counts only if it is
        /// one of them
        matryoshka_dims: Vec<usize> = Vec::new(), "NUMBERS" default "none",
            "different numbers of values, 1 or more" if |dims| !dims.contains(&0) && each_differs(dims);

        /// Weights of the losses of --matryoshka-dims, as many numbers
        matryoshka_weights: Vec<f32> = Vec::new(), "NUMBERS" default "1 for each",
            "positive numbers" if |weights| weights.iter().all(|&weight| positive(weight.into()));

        /// Also predict masked tokens, and add X times that loss (as --do_mlm with --mlm_weight
        /// does in SimCSE's own program; 0.1 is its default): every view is encoded a second time,
        /// with masked tokens
        mlm_weight: f32 = 0.0, "X", "0 or more" if |&weight| weight >= 0.0 && weight.is_finite();

        /// Share of the tokens that are masked; of these, 80% become the mask token, 10% a random
        /// token, and 10% stay
        mlm_probability: f32 = 0.15, "P", "above 0 and below 1" if |&share| share > 0.0 && share < 1.0;

        /// Mask whole words: all tokens of a word, or none
        whole_word_mask: bool = false, "", "true or false" if |_| true;

        /// AdamW's peak learning rate
        learning_rate: f64 = 5e-5, "X", "a positive number" if |&rate| positive(rate);

        /// AdamW's weight decay; biases and LayerNorm are exempt
        weight_decay: f64 = 0.0, "X", "at least 0 and below 1" if |decay| (0.0..1.0).contains(decay);

        /// AdamW's epsilon
        adam_epsilon: f64 = 1e-8, "X", "a positive number" if |&epsilon| positive(epsilon);

        /// Share of the steps during which the learning rate rises from 0
        warmup_ratio: f64 = 0.1, "X" replaces warmup_steps, "0 to 1" if |ratio| (0.0..=1.0).contains(ratio);

        /// Number of steps during which the learning rate rises from 0, instead of --warmup-ratio
        warmup_steps: Option<u64> = None, "N", "less than 2^63" if |&steps| steps.is_none_or(|steps| steps <= LARGEST);

        /// How --warmup-ratio is rounded to whole steps: up, as in the Hugging Face Trainer, or
        /// down, as in older scripts
        warmup_rounding: Rounding = Rounding::Up, "DIRECTION", "a direction" if |_| true;

        /// Clip gradients to this norm
        max_grad_norm: f64 = 1.0, "X", "a positive number" if |&norm| positive(norm);

        /// Dropout rate, except that of the attention probabilities
        hidden_dropout: f32 = 0.1, "P" default "the model's",
            "at least 0 and below 1" if |rate| (0.0..1.0).contains(rate);

        /// Dropout rate of the attention probabilities
        attention_dropout: f32 = 0.1, "P" default "the model's",
            "at least 0 and below 1" if |rate| (0.0..1.0).contains(rate);

        /// no-duplicates: examples with equal texts, or texts with the same token ids, are never in
        /// the same batch; batch: they may be, which is sentence-transformers' default
        batch_sampler: BatchSampler = BatchSampler::NoDuplicates, "NAME", "a batch sampler" if |_| true;

        /// Operands of matrix products: f32, bf16 (faster, on processors with instructions for it),
        /// or auto, the fastest on this processor
        precision: Precision = Precision::F32, "NAME",
            "f32, or bf16 on a processor with instructions for it" if |precision| precision.is_available();

        /// Seed of the order of the examples and of dropout
        seed: u64 = 42, "N", "less than 2^63" if |&seed| seed <= LARGEST;

        /// Steps between measurements of the embeddings of 256 of the sentences: alignment and
        /// uniformity, mean cosine and effective rank
        logging_steps: Option<u64> = None, "N" default "as many as take about 0.5% of the time",
            "1 or more" if |&steps| within(steps);

        /// What else the lines of metrics.jsonl are written to, separated by commas: tensorboard,
        /// event files in the output directory; csv, metrics.csv; all of these, or none
        report_to: ReportTo = ReportTo::NONE, "NAMES" default "none", "names of reports" if |_| true;

        /// Steps between checkpoints; the last step always has one
        save_steps: u64 = 500, "N", "1 or more" if |&steps| within(Some(steps));

        /// Keep only the N newest checkpoints, and the best one with --load-best-model-at-end
        save_total_limit: Option<usize> = None, "N", "1 or more" if |&limit| within(limit.map(|limit| limit as u64));

        /// Steps between evaluations during training
        eval_steps: Option<u64> = None, "N", "1 or more" if |&steps| within(steps);

        /// Make the best evaluated model the final one; it gets a checkpoint of its own
        load_best_model_at_end: bool = false, "", "true or false" if |_| true;

        /// The figure by which models are compared for --load-best-model-at-end and
        /// --early-stopping-patience: its name in metrics.jsonl without `eval_`, such as map or
        /// spearman_cosine
        choose_best_by: String = String::new(), "FIGURE" default "the first one of the first set", "a figure" if |_| true;

        /// Stop after N evaluations in a row that are no better than the best one so far; needs
        /// --eval-steps and --load-best-model-at-end
        early_stopping_patience: Option<u64> = None, "N", "1 or more" if |&evaluations| within(evaluations);

        /// An evaluation must be better than the best one by more than X to count as better for
        /// --early-stopping-patience
        early_stopping_threshold: f64 = 0.0, "X", "0 or more" if |&gain| gain >= 0.0 && gain.is_finite();
    }
}

fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

fn within(steps: Option<u64>) -> bool {
    steps.is_none_or(|steps| (1..=LARGEST).contains(&steps))
}

fn each_differs<T: PartialEq>(values: &[T]) -> bool {
    values.iter().enumerate().all(|(index, value)| !values[..index].contains(value))
}

fn each_once(directions: &[Direction]) -> bool {
    directions.contains(&Direction::QueryToDoc) && each_differs(directions)
}

fn is_template(text: &str) -> bool {
    let parts: Vec<_> = text.split(TEMPLATE_TEXT).collect();
    let mask = text.find(TEMPLATE_MASK);
    parts.len() == 2 && mask.is_none_or(|start| text[start..] == *TEMPLATE_MASK && !parts[0].contains(TEMPLATE_MASK))
}
