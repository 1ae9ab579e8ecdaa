//! Published settings, by name.

use simcse_model::Named;

/// Settings with a source. What a recipe does not set keeps its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// `st-2021`: the script that produced the published AskUbuntu figures of SimCSE,
    /// `examples/unsupervised_learning/SimCSE/train_askubuntu_simcse.py` of sentence-transformers
    /// 1.2: batches of 128 in which equal sentences may meet, the last incomplete batch dropped, 32
    /// tokens, mean pooling, one epoch, warm-up over `int(0.1 · steps)` steps. From
    /// `SentenceTransformer.fit` of version 1.2.0: learning rate 2e-5, weight decay 0.01,
    /// `WarmupLinear`, gradients clipped to 1. And from its optimizer, `AdamW` of transformers
    /// 4.6.1 (`optimization.py`): ε 1e-6, β 0.9 and 0.999.
    ///
    /// Three things differ. That AdamW added ε before correcting the bias and decayed the weights
    /// after the step; here, as in PyTorch, ε is added after the correction and the decay comes
    /// first. `fit` also decayed DistilBERT's LayerNorm weights, because its list of exemptions
    /// does not match their names; here no LayerNorm decays. And the script computed in f16 if its
    /// GPU could.
    St2021,
    /// `st-6`: the defaults of the trainer of sentence-transformers 6.2 with transformers 5
    /// (`SentenceTransformerTrainingArguments`): learning rate 5e-5, no weight decay, no warm-up,
    /// linear decay, gradients clipped to 1, ε 1e-8, batches in which equal sentences may meet.
    /// Batch size, length and epochs (128, 32, 1) are those of its
    /// `examples/sentence_transformer/unsupervised_learning/SimCSE/train_askubuntu_simcse.py`,
    /// which itself sets a warm-up over 0.1 of the steps.
    St6,
    /// `princeton-unsup-bert`: unsupervised SimCSE of BERT base by its authors. From the table of
    /// hyperparameters in the `README.md` of princeton-nlp/SimCSE and its `run_unsup_example.sh`:
    /// batches of 64, learning rate 3e-5, one epoch, 32 tokens, temperature 0.05; from `train.py`,
    /// with the defaults of transformers 4.2's `TrainingArguments`: no warm-up, linear decay, no
    /// weight decay, gradients clipped to 1, batches in which equal sentences may meet.
    ///
    /// All four recipes pool the `[CLS]` token and add a layer with `tanh`, with weights of its own
    /// (`--pooler_type cls`); the unsupervised ones leave it out after training
    /// (`--mlp_only_train`). Two things differ: they computed in f16, and kept the best model on
    /// STS-B's development set, scored every 125 steps.
    PrincetonUnsupBert,
    /// `princeton-unsup-roberta`: the same for RoBERTa base: batches of 512, learning rate 1e-5.
    PrincetonUnsupRoberta,
    /// `princeton-sup-bert`: supervised SimCSE of BERT base, on triplets: from the same table and
    /// `run_sup_example.sh`, batches of 512 (four processes of 128), learning rate 5e-5, three
    /// epochs, 32 tokens, temperature 0.05, hard negatives of weight 1; the rest as
    /// `princeton-unsup-bert`.
    PrincetonSupBert,
    /// `princeton-sup-roberta`: the same for RoBERTa base.
    PrincetonSupRoberta,
}

impl Named for Recipe {
    const ALL: &'static [Self] = &[
        Self::St2021,
        Self::St6,
        Self::PrincetonUnsupBert,
        Self::PrincetonUnsupRoberta,
        Self::PrincetonSupBert,
        Self::PrincetonSupRoberta,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::St2021 => "st-2021",
            Self::St6 => "st-6",
            Self::PrincetonUnsupBert => "princeton-unsup-bert",
            Self::PrincetonUnsupRoberta => "princeton-unsup-roberta",
            Self::PrincetonSupBert => "princeton-sup-bert",
            Self::PrincetonSupRoberta => "princeton-sup-roberta",
        }
    }
}

impl Recipe {
    /// The settings that the recipe sets, by name.
    pub fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::St2021 => &[
                ("batch_sampler", "batch"),
                ("pooling", "mean"),
                ("learning_rate", "2e-5"),
                ("weight_decay", "0.01"),
                ("adam_epsilon", "1e-6"),
                ("warmup_ratio", "0.1"),
                ("warmup_rounding", "down"),
            ],
            Self::St6 => &[("batch_sampler", "batch"), ("pooling", "mean"), ("warmup_steps", "0")],
            Self::PrincetonUnsupBert => &[
                ("batch_sampler", "batch"),
                ("pooling", "cls"),
                ("mlp", "only_train"),
                ("warmup_steps", "0"),
                ("batch_size", "64"),
                ("learning_rate", "3e-5"),
            ],
            Self::PrincetonUnsupRoberta => &[
                ("batch_sampler", "batch"),
                ("pooling", "cls"),
                ("mlp", "only_train"),
                ("warmup_steps", "0"),
                ("batch_size", "512"),
                ("learning_rate", "1e-5"),
            ],
            Self::PrincetonSupBert | Self::PrincetonSupRoberta => &[
                ("batch_sampler", "batch"),
                ("pooling", "cls"),
                ("mlp", "always"),
                ("warmup_steps", "0"),
                ("batch_size", "512"),
                ("learning_rate", "5e-5"),
                ("epochs", "3"),
            ],
        }
    }
}
