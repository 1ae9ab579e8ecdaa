//! The arguments that name a data set of one's own, or SentEval's, and the set that they name.
//!
//! This file knows how sets are read. It must not know how they are scored or shown.

use std::path::PathBuf;

use clap::Args;
use simcse_eval::sets::Aggregation;
use simcse_eval::{ColumnList, Error, Labels, Positives, Retrieval, RowOptions, SentEval, Triplets};
use simcse_model::Named;

use crate::args::named;
use crate::commands::eval::judge::JudgeArgs;
use crate::error::Failure;
use crate::inputs::senteval_dir;

const RETRIEVAL_HELP: &str = "\
The figures are those of sentence-transformers' InformationRetrievalEvaluator. A document is its \
title and its text, joined by a space. Queries without a relevant document are left out and \
counted; relevant documents that the corpus lacks count as not found; a document with the query's \
own id is not a candidate. Documents are encoded in blocks, so memory does not grow with their \
embeddings.

Example:
  simcse eval retrieval --model output/my-model --data cqadupstack/android";

#[derive(Debug, Args)]
#[command(after_help = RETRIEVAL_HELP)]
pub(crate) struct RetrievalArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    /// A directory in BEIR's layout: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, plain or
    /// .gz
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Split to score
    #[arg(long, value_name = "NAME", default_value = "test")]
    split: String,
}

impl RetrievalArgs {
    pub(crate) fn read(&self) -> Result<Retrieval, Error> {
        Retrieval::read(&self.data, Some(&self.split))
    }
}

/// A table of texts.
#[derive(Debug, Args)]
struct TableArgs {
    /// The data: a .jsonl, .csv or .tsv file, plain or .gz
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Columns to read, in the order given below: names in the first line, JSON keys, or numbers
    /// from 1 if the first line is no header
    #[arg(long, value_name = "A,B…", value_parser = str::parse::<ColumnList>)]
    columns: Option<ColumnList>,
    /// Split to score, from a file with a `split` column, such as dev or test
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
}

impl TableArgs {
    fn options(&self) -> RowOptions {
        RowOptions { columns: self.columns.clone(), split: self.split.clone() }
    }
}

const PAIRS_HELP: &str = "\
The accuracies are those of sentence-transformers' TranslationEvaluator: how often the nearest \
text of the other column is the right one, in both directions. Columns are found by their names: \
anchor and positive, query and answer, question and answer, sentence1 and sentence2, sent0 and \
sent1, and others. Pairs with a score are read by `simcse eval sts`.

Examples:
  simcse eval pairs --model output/my-model --data faq.csv
  simcse eval pairs --model output/my-model --data faq.csv --columns problem,solution";

#[derive(Debug, Args)]
#[command(after_help = PAIRS_HELP)]
pub(crate) struct PairsArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    #[command(flatten)]
    table: TableArgs,
}

impl PairsArgs {
    pub(crate) fn read(&self) -> Result<Positives, Error> {
        Positives::read(&self.table.data, &self.table.options())
    }
}

const TRIPLETS_HELP: &str = "\
The accuracy is that of sentence-transformers' TripletEvaluator: how often the anchor is more \
similar to the positive than to the negative. Columns are found by their names: anchor, positive \
and negative; query, positive and negative; sent0, sent1 and hard_neg (SimCSE's NLI file).

Example:
  simcse eval triplets --model output/my-model --data nli_for_simcse.csv";

#[derive(Debug, Args)]
#[command(after_help = TRIPLETS_HELP)]
pub(crate) struct TripletsArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    #[command(flatten)]
    table: TableArgs,
}

impl TripletsArgs {
    pub(crate) fn read(&self) -> Result<Triplets, Error> {
        Triplets::read(&self.table.data, &self.table.options())
    }
}

const LABELS_HELP: &str = "\
Each text gets the label that most of its ten nearest neighbors have: accuracy and macro F1, as \
scikit-learn's KNeighborsClassifier has them when each text is left out in turn. Columns are found \
by their names: text and label, sentence and label, text and category, and others.

Example:
  simcse eval labels --model output/my-model --data topics.tsv";

#[derive(Debug, Args)]
#[command(after_help = LABELS_HELP)]
pub(crate) struct LabelsArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    #[command(flatten)]
    table: TableArgs,
}

impl LabelsArgs {
    pub(crate) fn read(&self) -> Result<Labels, Error> {
        Labels::read(&self.table.data, &self.table.options())
    }
}

const SENTEVAL_HELP: &str = "\
STS12 to STS16, STS-B and SICK-R, as in the SimCSE paper: Spearman's correlation of cosine \
similarities with gold scores over all pairs of a task, and the average of the tasks. Tasks that \
the directory lacks are named and left out of the average; pairs without a gold score are left out \
and counted; STS13 is without SMT.

Examples:
  simcse fetch sts
  simcse eval senteval --model output/my-model --data senteval
  simcse eval senteval --model output/my-model --data SentEval/data/downstream --aggregation wmean";

#[derive(Debug, Args)]
#[command(after_help = SENTEVAL_HELP)]
pub(crate) struct SentEvalArgs {
    #[command(flatten)]
    pub(crate) judge: JudgeArgs,
    /// SentEval's data/downstream, a directory with the folders STS12-en-test and so on, or
    /// `senteval` for the directory that `simcse fetch sts` downloads
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How the subsets of STS12 to STS16 become one figure: all (concatenated, as in the paper),
    /// mean, or wmean (weighted by their numbers of pairs)
    #[arg(long, value_name = "NAME", default_value = Aggregation::All.name(), value_parser = named::<Aggregation>)]
    aggregation: Aggregation,
}

impl SentEvalArgs {
    pub(crate) fn read(&self) -> Result<SentEval, Failure> {
        let mut set = SentEval::read(senteval_dir(&self.data)?)?;
        set.aggregation = self.aggregation;
        Ok(set)
    }
}
