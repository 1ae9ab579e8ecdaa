//! Types that only settings have, and how values that are chosen by name are read and written.

use simcse_model::{Named, PooledLayers, Pooling, Precision, WordWeighting};
use simcse_tensor::{Hardness, Partition};

use crate::data::batches::BatchSampler;
use crate::settings::recipe::Recipe;
use crate::settings::setting::{Value, named_from_toml, shown};

/// How the share of warm-up steps is rounded to a number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `⌈ratio · steps⌉`. transformers: `TrainingArguments.get_warmup_steps`.
    Up,
    /// `⌊ratio · steps⌋`.
    Down,
}

impl Named for Rounding {
    const ALL: &'static [Self] = &[Self::Up, Self::Down];

    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Training {
    /// Embeddings, by a contrastive loss.
    Contrastive,
    /// The language model, by predicting masked tokens.
    Mlm,
}

impl Named for Training {
    const ALL: &'static [Self] = &[Self::Contrastive, Self::Mlm];

    fn name(self) -> &'static str {
        match self {
            Self::Contrastive => "contrastive",
            Self::Mlm => "mlm",
        }
    }
}

/// Which pairs a batch compares. sentence-transformers: `directions` of
/// `MultipleNegativesRankingLoss`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The anchor and all documents: positives and hard negatives.
    QueryToDoc,
    /// The positive and all anchors.
    DocToQuery,
    /// The anchor and all other anchors.
    QueryToQuery,
    /// The positive and the documents of all other examples.
    DocToDoc,
}

impl Named for Direction {
    const ALL: &'static [Self] = &[Self::QueryToDoc, Self::DocToQuery, Self::QueryToQuery, Self::DocToDoc];

    fn name(self) -> &'static str {
        match self {
            Self::QueryToDoc => "query_to_doc",
            Self::DocToQuery => "doc_to_query",
            Self::QueryToQuery => "query_to_query",
            Self::DocToDoc => "doc_to_doc",
        }
    }
}

/// Where the tanh layer of SimCSE's authors is used. princeton-nlp/SimCSE: `pooler_type` `cls` and
/// `mlp_only_train`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mlp {
    /// Nowhere.
    None,
    /// In training and evaluation: it is part of the model.
    Always,
    /// In training alone.
    OnlyTrain,
}

impl Named for Mlp {
    const ALL: &'static [Self] = &[Self::None, Self::Always, Self::OnlyTrain];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Always => "always",
            Self::OnlyTrain => "only_train",
        }
    }
}

/// What else the lines of `metrics.jsonl` are written to, for other programs. transformers:
/// `report_to` of `TrainingArguments`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportTo {
    /// Event files, for TensorBoard.
    pub tensorboard: bool,
    /// `metrics.csv`, for spreadsheets.
    pub csv: bool,
}

impl ReportTo {
    /// Everything.
    pub const ALL: Self = Self { tensorboard: true, csv: true };
    /// Nothing.
    pub const NONE: Self = Self { tensorboard: false, csv: false };

    /// The same, and what `name` stands for.
    fn and(self, name: &str) -> std::result::Result<Self, String> {
        match name {
            "tensorboard" => Ok(Self { tensorboard: true, ..self }),
            "csv" => Ok(Self { csv: true, ..self }),
            "all" => Ok(Self::ALL),
            "none" => Ok(self),
            _ => Err("tensorboard, csv, all or none, separated by commas (services such as W&B read what tensorboard \
                      writes: `wandb sync DIR`)"
                .to_owned()),
        }
    }
}

impl Value for ReportTo {
    /// A list of names, or several in one text.
    fn from_toml(value: &toml::Value) -> std::result::Result<Self, String> {
        shown(value).split(',').try_fold(Self::NONE, |found, name| found.and(name.trim()))
    }

    fn to_toml(&self) -> Option<toml::Value> {
        let names = [(self.tensorboard, "tensorboard"), (self.csv, "csv")];
        let chosen: Vec<_> = names.into_iter().filter(|(chosen, _)| *chosen).map(|(_, name)| name).collect();
        (!chosen.is_empty()).then(|| chosen.into())
    }
}

/// Settings whose values are chosen by name.
macro_rules! named_values {
    ($($Type:ty),*) => {$(
        impl Value for $Type {
            fn from_toml(value: &toml::Value) -> std::result::Result<Self, String> {
                named_from_toml(value)
            }

            fn to_toml(&self) -> Option<toml::Value> {
                Some(self.name().into())
            }
        }
    )*};
}

named_values!(
    BatchSampler,
    Direction,
    Hardness,
    Mlp,
    Partition,
    PooledLayers,
    Pooling,
    Recipe,
    Rounding,
    Training,
    WordWeighting
);

impl Value for Precision {
    /// `auto` is the fastest one on this processor.
    fn from_toml(value: &toml::Value) -> std::result::Result<Self, String> {
        Self::from_name_or_auto(&shown(value)).map_err(|unknown| unknown.expected)
    }

    fn to_toml(&self) -> Option<toml::Value> {
        Some(self.name().into())
    }
}
