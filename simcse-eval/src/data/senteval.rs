//! The seven STS sets of the SimCSE paper, in the layout of SentEval's `data/downstream`.
//!
//! | task | files | fields |
//! |---|---|---|
//! | STS12–16 | `STS/STS12-en-test/STS.input.<subset>.txt` | two sentences |
//! | | `STS/STS12-en-test/STS.gs.<subset>.txt` | a gold score, or nothing |
//! | STS-B | `STS/STSBenchmark/sts-test.csv` | score in field 5, sentences in fields 6 and 7 |
//! | SICK-R | `SICK/SICK_test_annotated.txt` | sentences in fields 2 and 3, score in field 4 |
//!
//! Fields are separated by tabs, without quoting. The last file has a header. Words are joined by
//! single spaces, as SentEval does before it encodes a sentence.

use std::path::{Path, PathBuf};

use simcse_model::Named;
use simcse_model::io::{Line, Lines};

use crate::data::directories::entries_of;
use crate::data::pairs::ScoredPair;
use crate::error::Error;

/// One of the seven sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentEvalTask {
    /// SemEval 2012.
    Sts12,
    /// SemEval 2013 without its SMT subset, whose license does not allow copies.
    Sts13,
    /// SemEval 2014.
    Sts14,
    /// SemEval 2015.
    Sts15,
    /// SemEval 2016.
    Sts16,
    /// The test set of the STS benchmark.
    StsB,
    /// The relatedness scores of SICK's test set.
    SickR,
}

impl Named for SentEvalTask {
    const ALL: &'static [Self] =
        &[Self::Sts12, Self::Sts13, Self::Sts14, Self::Sts15, Self::Sts16, Self::StsB, Self::SickR];

    fn name(self) -> &'static str {
        match self {
            Self::Sts12 => "sts12",
            Self::Sts13 => "sts13",
            Self::Sts14 => "sts14",
            Self::Sts15 => "sts15",
            Self::Sts16 => "sts16",
            Self::StsB => "stsb",
            Self::SickR => "sickr",
        }
    }
}

impl SentEvalTask {
    /// The name in tables, as in the SimCSE paper.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Sts12 => "STS12",
            Self::Sts13 => "STS13",
            Self::Sts14 => "STS14",
            Self::Sts15 => "STS15",
            Self::Sts16 => "STS16",
            Self::StsB => "STS-B",
            Self::SickR => "SICK-R",
        }
    }

    /// How many pairs with a score the published set has.
    #[must_use]
    pub fn published_pairs(self) -> usize {
        match self {
            Self::Sts12 => 3108,
            Self::Sts13 => 1500,
            Self::Sts14 => 3750,
            Self::Sts15 => 3000,
            Self::Sts16 => 1186,
            Self::StsB => 1379,
            Self::SickR => 4927,
        }
    }

    /// The subsets of STS12–16, as SentEval lists them; the others have none.
    fn subsets(self) -> &'static [&'static str] {
        match self {
            Self::Sts12 => &["MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"],
            Self::Sts13 => &["FNWN", "headlines", "OnWN"],
            Self::Sts14 => &["deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"],
            Self::Sts15 => &["answers-forums", "answers-students", "belief", "headlines", "images"],
            Self::Sts16 => &["answer-answer", "headlines", "plagiarism", "postediting", "question-question"],
            Self::StsB | Self::SickR => &[],
        }
    }

    /// Where the task is in a directory: a folder of subsets, or a file. The directory is
    /// `data/downstream`, or has the folders of the tasks in it.
    fn places(self, directory: &Path) -> [PathBuf; 2] {
        let name = match self {
            Self::StsB => "STSBenchmark/sts-test.csv".to_owned(),
            Self::SickR => {
                return [
                    directory.join("SICK/SICK_test_annotated.txt"),
                    directory.join("../SICK/SICK_test_annotated.txt"),
                ];
            }
            task => format!("{}-en-test", task.label()),
        };
        [directory.join("STS").join(&name), directory.join(&name)]
    }
}

/// A part of a task: a subset of STS12–16, or all of another.
pub(crate) struct Subset {
    /// The file of the gold scores.
    pub(crate) path: PathBuf,
    pub(crate) pairs: Vec<ScoredPair>,
}

/// The subsets of a task, `None` if the directory does not have it.
pub(crate) fn read_task(directory: &Path, task: SentEvalTask) -> Result<Option<Vec<Subset>>, Error> {
    let Some(place) = task.places(directory).into_iter().find(|place| place.exists()) else {
        return Ok(None);
    };
    let subsets = match task {
        SentEvalTask::StsB => {
            vec![Subset { pairs: table(&place, false, [4, 5, 6])?, path: place }]
        }
        SentEvalTask::SickR => {
            vec![Subset { pairs: table(&place, true, [3, 1, 2])?, path: place }]
        }
        _ => task.subsets().iter().map(|name| subset(&place, name)).collect::<Result<Vec<_>, _>>()?,
    };
    Ok(Some(subsets))
}

/// The pairs of a table, given the columns of the score and of the two sentences.
fn table(path: &Path, has_header: bool, [score, a, b]: [usize; 3]) -> Result<Vec<ScoredPair>, Error> {
    let mut lines = Lines::open(path)?;
    let mut pairs = Vec::new();
    let mut skip = has_header;
    while let Some(line) = lines.next_filled_line()? {
        if std::mem::take(&mut skip) {
            continue;
        }
        let fields: Vec<&str> = line.text.split('\t').collect();
        let needed = 1 + score.max(a).max(b);
        if fields.len() < needed {
            let expected = format!("at least {needed} fields, separated by tabs");
            return Err(Error::malformed(path, line.number, expected, line.text));
        }
        let text = Line { number: line.number, text: fields[score] };
        pairs.push(ScoredPair { score: gold(path, text)?, sentences: [fields[a], fields[b]].map(joined) });
    }
    Ok(pairs)
}

/// A subset whose scores and sentences are in two files, line by line.
fn subset(directory: &Path, name: &str) -> Result<Subset, Error> {
    let input = directory.join(format!("STS.input.{name}.txt"));
    let path = directory.join(format!("STS.gs.{name}.txt"));
    for file in [&input, &path] {
        if !file.exists() {
            let expected = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(Error::Missing { path: directory.to_owned(), expected, found: entries_of(directory) });
        }
    }
    let mut scores = Lines::open(&path)?;
    let mut sentences = Lines::open(&input)?;
    let mut pairs = Vec::new();
    loop {
        let (score, line) = match (scores.next_line()?, sentences.next_line()?) {
            (Some(score), Some(line)) => (score, line),
            (None, None) => break,
            (score, line) => {
                let number = score.or(line).map_or(0, |line| line.number);
                let (longer, shorter) = if score.is_some() { (&path, &input) } else { (&input, &path) };
                return Err(Error::Malformed {
                    path: longer.clone(),
                    line: number,
                    expected: format!("as many lines as {}", simcse_model::io::printable(shorter.display())),
                    found: "more".to_owned(),
                });
            }
        };
        let score = gold(&path, score)?;
        let mut fields = line.text.split('\t');
        let (Some(a), Some(b)) = (fields.next(), fields.next()) else {
            return Err(Error::malformed(&input, line.number, "two sentences, separated by a tab", line.text));
        };
        pairs.push(ScoredPair { score, sentences: [a, b].map(joined) });
    }
    Ok(Subset { path, pairs })
}

/// The gold score of a line, `None` if it is empty.
fn gold(path: &Path, line: Line) -> Result<Option<f32>, Error> {
    let text = line.text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f32>() {
        Ok(score) if score.is_finite() => Ok(Some(score)),
        _ => Err(Error::malformed(path, line.number, "a number as score, or nothing", text)),
    }
}

/// The words of a sentence, joined by single spaces.
fn joined(sentence: &str) -> String {
    sentence.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "tests/senteval.rs"]
mod tests;
