//! Checks of settings: each by itself, with one another, with the model and with the examples.

use simcse_model::io::counted;
use simcse_model::{
    DenseActivation, DenseModule, Named, Pooling, SentenceEncoder, TEMPLATE_MASK, WordWeighting, WordWeights,
};
use simcse_tensor::{Hardness, Partition};

use crate::data::examples::Examples;
use crate::error::{Error, Result};
use crate::settings::setting::{Setting, shown};
use crate::settings::table::Settings;
use crate::settings::values::{Direction, Mlp, Training};

impl Settings {
    /// Checks every range, and settings that need others.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the flag.
    pub fn check(&self) -> Result<()> {
        if let Some(setting) = Self::TABLE.iter().find(|setting| !(setting.check)(self)) {
            let found = (setting.get)(self).as_ref().map_or_else(|| "nothing".to_owned(), shown);
            return Err(Error::Setting { setting: setting.flag(), expected: setting.expected.to_owned(), found });
        }
        if self.early_stopping_patience.is_some() && (self.eval_steps.is_none() || !self.load_best_model_at_end) {
            return Err(Error::Setting {
                setting: "early-stopping-patience".to_owned(),
                expected: "--eval-steps and --load-best-model-at-end with it".to_owned(),
                found: "only one of them, or neither".to_owned(),
            });
        }
        self.check_objective()
    }

    /// Checks settings of the objective that need others.
    fn check_objective(&self) -> Result<()> {
        let others = [Direction::QueryToQuery, Direction::DocToDoc];
        if self.partition_mode == Partition::PerDirection && self.directions.iter().any(|name| others.contains(name)) {
            let expected = "query_to_doc and doc_to_query only with --partition-mode per_direction, because the others \
                            do not contain the pair to pull together";
            let names: Vec<_> = self.directions.iter().map(|direction| direction.name()).collect();
            return Err(refused("directions", expected, names.join(",")));
        }
        if self.objective == Training::Mlm && self.mlm_weight == 0.0 {
            return Err(refused("mlm-weight", "a positive number with --objective mlm", "0".to_owned()));
        }
        if (self.hardness_mode == Hardness::None) != (self.hardness_strength == 0.0) {
            let expected = "a positive number with --hardness-mode, and 0 without it";
            return Err(refused("hardness-strength", expected, self.hardness_strength.to_string()));
        }
        self.check_variants()?;
        let dimensions = self.matryoshka_dims.len();
        if !self.matryoshka_weights.is_empty() && self.matryoshka_weights.len() != dimensions {
            let expected = format!("as many numbers as --matryoshka-dims has, {dimensions}");
            return Err(refused("matryoshka-weights", &expected, listed(&self.matryoshka_weights)));
        }
        Ok(())
    }

    /// Checks that published variants are combined as they are defined.
    fn check_variants(&self) -> Result<()> {
        let alone = |setting: &str, expected: &str| Err(refused(setting, expected, "both".to_owned()));
        if self.focal_m.is_some() && self.hardness_mode != Hardness::None {
            return alone("focal-m", "it or --hardness-mode: both weigh negatives by their similarity");
        }
        if self.off_dropout && self.directions.len() > 1 {
            return alone("off-dropout", "it or further --directions: without dropout, a sentence has only one view");
        }
        if self.off_dropout && self.partition_mode != Partition::Joint {
            return alone("off-dropout", "it or --partition-mode per_direction: there is only one direction");
        }
        if self.off_dropout && self.hardness_mode != Hardness::None {
            return alone("off-dropout", "it or --hardness-mode, which raises the logits of negatives with dropout");
        }
        if self.off_dropout && self.noise_negatives > 0 {
            return alone("off-dropout", "it or --noise-negatives: which view noise is compared with is not defined");
        }
        if self.word_weights == Some(WordWeighting::Idf) && self.pooling != Pooling::Mean {
            return Err(refused("pooling", "mean with --word-weights idf", self.pooling.name().to_owned()));
        }
        if self.template.ends_with(TEMPLATE_MASK) && self.pooling != Pooling::LastToken {
            let expected = "lasttoken with a --template that ends in [MASK]";
            return Err(refused("pooling", expected, self.pooling.name().to_owned()));
        }
        if self.pos_ratio != 1.0 && !self.off_dropout {
            return Err(refused("pos-ratio", "1 without --off-dropout", self.pos_ratio.to_string()));
        }
        if self.noise_weight != 1.0 && self.noise_negatives == 0 {
            return Err(refused("noise-weight", "1 without --noise-negatives", self.noise_weight.to_string()));
        }
        Ok(())
    }

    /// Checks settings that need hard negatives, or sentences, against examples of `columns` texts.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the flag.
    pub(crate) fn check_columns(&self, columns: usize) -> Result<()> {
        if self.objective == Training::Mlm && columns > 1 {
            let expected = "examples of one text with --objective mlm (name one column with --text-column)";
            return Err(refused("objective", expected, format!("{columns} texts in each")));
        }
        let of_sentences = [
            (self.off_dropout, "off-dropout"),
            (self.dup_rate > 0.0, "dup-rate"),
            (self.word_deletion > 0.0, "word-deletion"),
        ];
        if let Some((_, setting)) = of_sentences.into_iter().find(|&(given, _)| given && columns > 1) {
            let expected = "single sentences, whose second view it concerns (name one column with --text-column)";
            return Err(refused(setting, expected, format!("{columns} texts in each example")));
        }
        let setting = if self.hardness_mode == Hardness::HardNegatives {
            "hardness-mode"
        } else if self.hard_negative_weight != 0.0 {
            "hard-negative-weight"
        } else {
            return Ok(());
        };
        if columns > 2 {
            return Ok(());
        }
        let expected = "examples with hard negatives: a third text";
        Err(refused(setting, expected, format!("{} in each", counted(columns, "text", "texts"))))
    }

    /// Checks that a resumed run is given the settings that it was started with.
    ///
    /// # Errors
    /// [`Error::Changed`], naming the first setting that differs.
    pub fn check_same(&self, given: &Self) -> Result<()> {
        let differs = |setting: &&Setting<Self>| (setting.get)(self) != (setting.get)(given);
        let Some(setting) = Self::TABLE.iter().find(differs) else { return Ok(()) };
        let value = |settings| (setting.get)(settings).as_ref().map_or_else(|| "nothing".to_owned(), shown);
        Err(Error::Changed { what: format!("--{}", setting.flag()), recorded: value(self), given: value(given) })
    }

    /// Gives `encoder` the length, pooling, pooled layers and precision of the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model cannot encode sentences of that length, if its embeddings
    /// have fewer values than --matryoshka-dims names, or if word weights and pooling do not fit.
    pub(crate) fn apply_to(&self, encoder: &mut SentenceEncoder) -> Result<()> {
        let most = encoder.config().max_tokens();
        if self.max_seq_length > most {
            return Err(Error::Setting {
                setting: "max-seq-length".to_owned(),
                expected: format!("at most {most} for this model"),
                found: self.max_seq_length.to_string(),
            });
        }
        let width = encoder.dimension();
        if self.matryoshka_dims.iter().any(|&dimension| dimension > width) {
            let expected = format!("at most {width} for this model");
            return Err(refused("matryoshka-dims", &expected, listed(&self.matryoshka_dims)));
        }
        let directory = &mut encoder.directory;
        if self.word_weights == Some(WordWeighting::None) {
            directory.word_weights = None;
        }
        let weighted = self.word_weights == Some(WordWeighting::Idf) || directory.word_weights.is_some();
        if weighted && self.pooling != Pooling::Mean {
            let expected = "mean, because the model has word weights (--word-weights none removes them)";
            return Err(refused("pooling", expected, self.pooling.name().to_owned()));
        }
        if self.word_weights_in_training && !weighted {
            let expected = "a model with word weights, or --word-weights idf";
            return Err(refused("word-weights-in-training", expected, "neither".to_owned()));
        }
        directory.max_seq_length = self.max_seq_length;
        directory.pooling = self.pooling;
        if let Some(layers) = self.pooled_layers {
            encoder.directory.layer_mix = layers.mix(encoder.config().num_hidden_layers);
        }
        encoder.precision = self.precision;
        encoder.word_weights_in_training = self.word_weights_in_training;
        Ok(())
    }

    /// Gives `encoder`, at the start of a run on `examples`, the template, the word weights, the
    /// head of masked language modeling and the layer of the setting `mlp`, if the run has them.
    /// Weights that the model does not bring are drawn from the seed.
    ///
    /// # Errors
    /// What the tokenizer, and reading the head, report.
    pub(crate) fn add_parts(&self, encoder: &mut SentenceEncoder, examples: &Examples) -> Result<()> {
        let directory = &mut encoder.directory;
        if !self.template.is_empty() {
            directory.tokenizer.set_template(&self.template)?;
        }
        if self.word_weights == Some(WordWeighting::Idf) {
            let texts: Vec<_> = examples.texts().collect();
            let weights = WordWeights::idf(&directory.tokenizer, &self.prompt, &texts, directory.max_seq_length)?;
            directory.word_weights = Some(weights);
        }
        self.add_mlm_head(encoder)?;
        let width = encoder.dimension();
        match self.mlp {
            Mlp::None => {}
            Mlp::Always => encoder.add_dense(DenseModule::new(width, width, DenseActivation::Tanh), self.seed),
            Mlp::OnlyTrain => encoder.add_training_mlp(self.seed),
        }
        Ok(())
    }

    /// Gives `encoder` the head of masked language modeling, if the run has one.
    ///
    /// # Errors
    /// What reading the head reports.
    pub(crate) fn add_mlm_head(&self, encoder: &mut SentenceEncoder) -> Result<()> {
        if self.has_masked_lm() {
            encoder.add_mlm_head(self.seed)?;
        }
        Ok(())
    }

    /// Whether a layer is used in training alone.
    pub(crate) fn has_training_mlp(&self) -> bool {
        self.mlp == Mlp::OnlyTrain
    }
}

fn refused(setting: &str, expected: &str, found: String) -> Error {
    Error::Setting { setting: setting.to_owned(), expected: expected.to_owned(), found }
}

fn listed<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
