//! Which columns of a table hold the score and the sentences of a pair.
//!
//! In this order: the columns that the user names; the names in a first line; the layout of the
//! classic STS-B file; the types of the fields, where only one answer is possible. What remains
//! unclear is refused.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use simcse_model::io::{Record, RecordFormat};

use crate::error::{Error, shown};

/// Names of the score's column: sentence-transformers', GLUE's, and SICK's.
const SCORE_NAMES: [&str; 3] = ["score", "relatedness_score", "similarity_score"];
/// Names of the sentences' columns: sentence-transformers' and GLUE's, SICK's, and others.
const SENTENCE_NAMES: [[&str; 2]; 5] = [
    ["sentence1", "sentence2"],
    ["sentence_a", "sentence_b"],
    ["sentence_1", "sentence_2"],
    ["text1", "text2"],
    ["a", "b"],
];
/// Names of the column that says which part of a data set a pair belongs to: sbert.net's, SICK's.
const SPLIT_NAMES: [&str; 2] = ["split", "semeval_set"];
/// What such a column holds.
const SPLITS: [&str; 5] = ["train", "dev", "test", "validation", "trial"];
/// The range of human scores: STS's go from 0 to 5, SICK's from 1 to 5, normalized ones from 0 to
/// 1.
const SCORES: RangeInclusive<f32> = 0.0..=5.0;

/// The columns of a table that hold the score and the two sentences of a pair, by their names or
/// their numbers from 1.
///
/// ```
/// use simcse_eval::data::Columns;
///
/// let columns: Columns = "score,sentence1,sentence2".parse()?;
/// assert_eq!(columns, Columns(["score", "sentence1", "sentence2"].map(str::to_owned)));
/// assert!("score,sentence1".parse::<Columns>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(
    /// The score's column and the sentences'.
    pub [String; 3],
);

impl FromStr for Columns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let columns: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let expected = "expected SCORE,A,B: three names or numbers, separated by commas";
        if columns.iter().any(String::is_empty) {
            return Err(expected.to_owned());
        }
        columns.try_into().map(Self).map_err(|_| expected.to_owned())
    }
}

/// The indices of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) score: usize,
    pub(crate) sentences: [usize; 2],
    /// The column that says which split a pair belongs to.
    pub(crate) split: Option<usize>,
    /// Whether the first record is a header.
    pub(crate) has_header: bool,
    /// The number of fields that every record must have, if they must agree.
    pub(crate) width: Option<usize>,
}

/// A table in memory.
pub(crate) struct Table<'a> {
    pub(crate) path: &'a Path,
    pub(crate) records: &'a [Record],
    /// The keys of JSON objects.
    pub(crate) keys: Option<&'a [String]>,
    pub(crate) format: RecordFormat,
}

impl Table<'_> {
    /// The columns of score and sentences.
    ///
    /// # Errors
    /// [`Error::Columns`] if it is not clear which they are, or if they are not there.
    pub(crate) fn layout(&self, columns: Option<&Columns>) -> Result<Layout, Error> {
        let names = self.names();
        if let Some(columns) = columns {
            return self.named(columns, &names);
        }
        if let Some(names) = names.filter(|names| self.keys.is_some() || is_header(names)) {
            return self.by_names(&names);
        }
        self.classic().or_else(|| self.by_types()).ok_or_else(|| self.unclear(self.describe_types()))
    }

    /// The keys, or the fields of the first record, which may or may not be a header.
    fn names(&self) -> Option<Vec<String>> {
        if let Some(keys) = self.keys {
            return Some(keys.iter().map(|key| normalized(key)).collect());
        }
        let first = self.records.first()?;
        Some(first.fields.iter().map(|field| normalized(field.as_deref().unwrap_or_default())).collect())
    }

    /// The columns that the user names. Where they are numbered, a first line without a number for
    /// a score is a header.
    fn named(&self, Columns(columns): &Columns, names: &Option<Vec<String>>) -> Result<Layout, Error> {
        let names = names.as_deref().unwrap_or_default();
        let numbers: Vec<usize> = columns.iter().filter_map(|column| column.parse().ok()).collect();
        let numbered = self.keys.is_none() && numbers.len() == columns.len();
        let index = |column: &String| {
            let index = if numbered {
                column
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1))
                    .filter(|index| *index < names.len())
            } else {
                let column = normalized(column);
                names.iter().position(|name| *name == column)
            };
            index.ok_or_else(|| Error::Columns {
                path: self.path.to_owned(),
                expected: format!("a column `{}` (--columns)", shown(column)),
                found: shown(&names.join(", ")),
            })
        };
        let [score, a, b] = [index(&columns[0])?, index(&columns[1])?, index(&columns[2])?];
        let has_header = self.keys.is_none() && (!numbered || !(names[score].is_empty() || is_number(&names[score])));
        let split = if has_header || self.keys.is_some() { split_name(names) } else { self.split_column() };
        // Lines of the STS-B file differ in length, so only quoting, which makes a wrong number of
        // fields a sign of damage, requires an exact number.
        let width = (self.format == RecordFormat::Commas).then_some(names.len());
        Ok(Layout { score, sentences: [a, b], split, has_header, width })
    }

    /// The columns that a header, or JSON keys, name.
    fn by_names(&self, names: &[String]) -> Result<Layout, Error> {
        let all = |wanted: &[&str]| (0..names.len()).filter(|&index| wanted.contains(&&names[index][..])).collect();
        let scores: Vec<usize> = all(&SCORE_NAMES);
        let pairs: Vec<[usize; 2]> = SENTENCE_NAMES
            .iter()
            .filter_map(|[a, b]| match (&all(&[a])[..], &all(&[b])[..]) {
                ([a], [b]) => Some([*a, *b]),
                _ => None,
            })
            .collect();
        match (&scores[..], &pairs[..]) {
            ([score], [sentences]) => {
                let has_header = self.keys.is_none();
                let width = has_header.then_some(names.len());
                Ok(Layout { score: *score, sentences: *sentences, split: split_name(names), has_header, width })
            }
            _ => Err(self.unclear(format!("columns {}", names.join(", ")))),
        }
    }

    /// The classic STS-B file: genre, file, year, id, score and two sentences. A year in field 3, a
    /// score in field 5, and no text in front of them identify it, whatever the sentences are. Some
    /// lines have more fields, which are ignored.
    fn classic(&self) -> Option<Layout> {
        const WIDTH: usize = 7;
        const YEAR: usize = 2;
        const SCORE: usize = 4;
        let years = self.column(YEAR).filter(|year| begins_with_year(year)).count();
        let is_classic = self.format == RecordFormat::Tabs
            && self.width() == WIDTH
            && 2 * years > self.column(YEAR).count()
            && self.kind(SCORE) == Kind::Score
            && (0..SCORE).all(|index| self.kind(index) != Kind::Text);
        is_classic.then_some(Layout { score: SCORE, sentences: [5, 6], split: None, has_header: false, width: None })
    }

    /// The only column of scores and the only two of text.
    fn by_types(&self) -> Option<Layout> {
        let kinds = self.kinds();
        let all = |wanted: &[Kind]| -> Vec<usize> {
            (0..kinds.len()).filter(|&index| wanted.contains(&kinds[index])).collect()
        };
        // The score of three fields is the only number, in whatever range, and single words are
        // sentences. Without any number, every pair may be without a score.
        let (scores, texts) = if kinds.len() == 3 {
            let numbers = all(&[Kind::Score, Kind::Number]);
            let scores = if numbers.is_empty() { all(&[Kind::Empty]) } else { numbers };
            (scores, all(&[Kind::Text, Kind::Word]))
        } else {
            (all(&[Kind::Score]), all(&[Kind::Text]))
        };
        let ([score], [a, b]) = (&scores[..], &texts[..]) else {
            return None;
        };
        if self.numbers_rows(*score) {
            return None;
        }
        let width = (self.format != RecordFormat::Json).then_some(kinds.len());
        Some(Layout { score: *score, sentences: [*a, *b], split: self.split_column(), has_header: false, width })
    }

    /// What the values of each column are. Most of a column's values decide, so that an odd line is
    /// reported as such.
    fn kinds(&self) -> Vec<Kind> {
        (0..self.width()).map(|index| self.kind(index)).collect()
    }

    fn kind(&self, index: usize) -> Kind {
        Kind::of(&self.column(index).collect::<Vec<_>>())
    }

    /// The filled fields of a column.
    fn column(&self, index: usize) -> impl Iterator<Item = &str> {
        let fields = self.records.iter().filter_map(move |record| record.fields.get(index)?.as_deref());
        fields.map(str::trim).filter(|field| !field.is_empty())
    }

    /// The number of fields that most records have, the larger of two that are equally frequent.
    fn width(&self) -> usize {
        let mut counts = BTreeMap::new();
        for record in self.records {
            *counts.entry(record.fields.len()).or_insert(0) += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(width, _)| width)
    }

    /// Whether a column counts the rows, as scores of more than a few pairs do not.
    fn numbers_rows(&self, index: usize) -> bool {
        const FEW: usize = 6;
        let numbers: Vec<i64> = self.column(index).filter_map(|field| field.parse().ok()).collect();
        numbers.len() > FEW && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
    }

    /// The column, if there is one, in which every value names a split.
    fn split_column(&self) -> Option<usize> {
        (0..self.width()).find(|&index| {
            let mut values = self.column(index).peekable();
            values.peek().is_some() && values.all(|value| SPLITS.contains(&&value.to_lowercase()[..]))
        })
    }

    fn unclear(&self, found: String) -> Error {
        Error::Columns {
            path: self.path.to_owned(),
            expected:
                "one column of scores and two of sentences (name them in the first line, as score, sentence1 and \
                       sentence2, or with --columns SCORE,A,B)"
                    .to_owned(),
            found,
        }
    }

    /// The columns that could be scores or sentences.
    fn describe_types(&self) -> String {
        let kinds = self.kinds();
        let numbers = |wanted: &[Kind]| {
            let numbers = (0..kinds.len()).filter(|&index| wanted.contains(&kinds[index]));
            let numbers: Vec<_> = numbers.map(|index| (index + 1).to_string()).collect();
            match &numbers[..] {
                [] => "no column".to_owned(),
                [only] => format!("column {only}"),
                [first @ .., last] => format!("columns {} and {last}", first.join(", ")),
            }
        };
        let text = if kinds.len() == 3 { &[Kind::Text, Kind::Word][..] } else { &[Kind::Text] };
        format!("numbers from 0 to 5 in {} and text in {}", numbers(&[Kind::Score]), numbers(text))
    }
}

/// What most values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Numbers, all of which could be scores.
    Score,
    /// Other numbers.
    Number,
    /// Several words.
    Text,
    /// Single words.
    Word,
    /// Nothing.
    Empty,
}

impl Kind {
    fn of(values: &[&str]) -> Self {
        let numbers: Vec<f32> = values.iter().filter_map(|value| value.parse().ok()).collect();
        let texts = values.iter().filter(|value| value.contains(char::is_whitespace)).count();
        if values.is_empty() {
            return Self::Empty;
        }
        if 2 * numbers.len() > values.len() {
            let scores = numbers.iter().all(|number| !number.is_finite() || SCORES.contains(number));
            return if scores { Self::Score } else { Self::Number };
        }
        if 2 * texts > values.len() { Self::Text } else { Self::Word }
    }
}

fn split_name(names: &[String]) -> Option<usize> {
    names.iter().position(|name| SPLIT_NAMES.contains(&&name[..]))
}

/// Whether a first record names columns: no number, but a name of a score or of a sentence.
fn is_header(names: &[String]) -> bool {
    let known = |name: &String| {
        SCORE_NAMES.contains(&&name[..]) || SENTENCE_NAMES.as_flattened().contains(&&name[..]) && name.len() > 1
    };
    names.iter().any(known) && !names.iter().any(|name| is_number(name))
}

fn normalized(name: &str) -> String {
    name.trim().to_lowercase()
}

fn is_number(field: &str) -> bool {
    field.trim().parse::<f32>().is_ok()
}

fn begins_with_year(field: &str) -> bool {
    let field = field.trim();
    let year = field.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
    year.is_some_and(|year| year.starts_with("19") || year.starts_with("20"))
}
