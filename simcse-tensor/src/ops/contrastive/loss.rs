//! What a contrastive loss compares, and its options.

use std::ops::Range;

use crate::named::Named;
use crate::ops::contrastive::noise::Noise;

/// Which pairs an anchor's positive is compared with, in addition to the anchor and all documents.
///
/// sentence-transformers: `directions` of `MultipleNegativesRankingLoss`, where `query_to_doc` is
/// always included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directions {
    /// The anchor and all other anchors.
    pub query_to_query: bool,
    /// The positive and all anchors.
    pub doc_to_query: bool,
    /// The positive and the documents of all other anchors.
    pub doc_to_doc: bool,
}

/// Whether the directions share one softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// One softmax over all candidates of all directions.
    #[default]
    Joint,
    /// A softmax for each direction; their losses are averaged.
    PerDirection,
}

impl Named for Partition {
    const ALL: &'static [Self] = &[Self::Joint, Self::PerDirection];

    fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::PerDirection => "per_direction",
        }
    }
}

/// Which negatives of an anchor count for more, the more similar they are.
///
/// sentence-transformers: `hardness_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardness {
    /// None.
    #[default]
    None,
    /// All documents of the other examples. Lan et al. 2025, equation 5.
    InBatchNegatives,
    /// The example's own hard negatives.
    HardNegatives,
    /// Both.
    AllNegatives,
}

impl Named for Hardness {
    const ALL: &'static [Self] = &[Self::None, Self::InBatchNegatives, Self::HardNegatives, Self::AllNegatives];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::InBatchNegatives => "in_batch_negatives",
            Self::HardNegatives => "hard_negatives",
            Self::AllNegatives => "all_negatives",
        }
    }
}

impl Hardness {
    /// Whether a document of column `column` (0 for positives), which is the anchor's `own` or
    /// another one's, counts for more.
    pub(super) fn applies(self, own: bool, column: usize) -> bool {
        match self {
            Self::None => false,
            Self::InBatchNegatives => !own,
            Self::HardNegatives => own && column > 0,
            Self::AllNegatives => !own || column > 0,
        }
    }
}

/// The rows of an example's similarities: those of its anchor; those of its positive or of its text
/// without dropout; and those of its anchor and the noise.
pub(super) const SIDES: usize = 3;
pub(super) const ANCHORS: usize = 0;
pub(super) const OTHERS: usize = 1;
pub(super) const NOISE: usize = 2;

/// A contrastive loss and its options.
///
/// sentence-transformers: `MultipleNegativesRankingLoss` with cosine similarity, up to
/// `hard_negative_weight`. The options below it change the logits of negatives as published, with
/// gradients through everything but the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastiveLoss {
    /// Texts per example, 2 or more: the anchor, its positive, and its hard negatives.
    pub columns: usize,
    /// The factor on cosine similarities: the inverse of the temperature.
    pub scale: f32,
    /// Further candidates.
    pub directions: Directions,
    /// Whether all candidates share one softmax.
    pub partition: Partition,
    /// Which logits of anchor and document are raised by `hardness_strength · cos`, as a constant.
    pub hardness: Hardness,
    /// The factor of `hardness`, 0 or more.
    pub hardness_strength: f32,
    /// Added to the logits of an anchor and its own hard negatives. princeton-nlp/SimCSE:
    /// `hard_negative_weight`.
    pub hard_negative_weight: f32,
    /// Focal-InfoNCE (Hou and Li 2023, equation 2) with this `m`: the logit of a positive is
    /// `scale·cos²`, that of a negative `scale·cos·(cos + m)`.
    pub focal_m: Option<f32>,
    /// Off-dropout sampling of SimCSE++ (Xu et al. 2023). There are three columns: the two views of
    /// a sentence, of which an anchor is compared with its own positive only, and the sentence
    /// without dropout. Negatives are the cosines of the third column's rows with one another.
    pub off_dropout: bool,
    /// The factor on the logit of a positive. Jiahao004/SimCSE-plus-plus: `pos_ratio`.
    pub pos_ratio: f32,
    /// GS-InfoNCE (Wu et al. 2022): random negatives of every anchor.
    pub noise: Option<Noise>,
}

impl ContrastiveLoss {
    /// SimCSE's loss (Gao et al. 2021, equation 4): two views of each sentence, in-batch negatives.
    #[must_use]
    pub const fn simcse(scale: f32) -> Self {
        Self {
            columns: 2,
            scale,
            directions: Directions { query_to_query: false, doc_to_query: false, doc_to_doc: false },
            partition: Partition::Joint,
            hardness: Hardness::None,
            hardness_strength: 0.0,
            hard_negative_weight: 0.0,
            focal_m: None,
            off_dropout: false,
            pos_ratio: 1.0,
            noise: None,
        }
    }

    /// For each row of an example's similarities, the first row of `z` on its left, and the rows of
    /// `z`, or of the noise, that it is compared with. There are none unless an option asks for
    /// them. `size` is the number of examples.
    pub(super) fn sides(&self, size: usize) -> [(usize, Range<usize>); SIDES] {
        let noise = 0..self.noise.map_or(0, |noise| noise.count);
        if self.off_dropout {
            return [(0, size..2 * size), (2 * size, 2 * size..3 * size), (0, noise)];
        }
        let Directions { query_to_query, doc_to_query, doc_to_doc } = self.directions;
        let first = |anchors: bool| if anchors { 0 } else { size };
        let last = |documents: bool| if documents { self.columns * size } else { size };
        let of_positives = if doc_to_query || doc_to_doc { first(doc_to_query)..last(doc_to_doc) } else { 0..0 };
        [(0, first(query_to_query)..last(true)), (size, of_positives), (0, noise)]
    }

    /// How many similarities an example has in each of its rows.
    pub(super) fn widths(&self, size: usize) -> [usize; SIDES] {
        self.sides(size).map(|(_, candidates)| candidates.len())
    }

    /// Whether the similarities are the logits, up to the scale.
    pub(super) fn is_plain(&self) -> bool {
        let Directions { query_to_query, doc_to_doc, .. } = self.directions;
        let hard = self.columns > 2 && self.hard_negative_weight != 0.0;
        let changed = self.hardness != Hardness::None || hard || self.is_modulated() || self.noise.is_some();
        !(query_to_query || doc_to_doc || self.off_dropout || changed)
    }

    /// Whether the gradient of a logit with respect to its cosine depends on the pair.
    pub(super) fn is_modulated(&self) -> bool {
        self.focal_m.is_some() || self.pos_ratio != 1.0
    }
}
