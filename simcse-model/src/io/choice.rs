//! Which columns of a table hold texts: those that the user names, or those with usual names.
//!
//! This file knows names. It must not know how a table is read.

use crate::io::records::{Record, RecordError, RecordFormat, Records};
use crate::io::text::excerpt;

/// Names that columns of sentences usually have: those of sentence-transformers, of SimCSE's own
/// files, and of data sets on the Hugging Face hub.
const USUAL_NAMES: [&str; 8] = ["text", "sentence", "sent0", "anchor", "title", "question", "query", "content"];

/// Names that the first two columns of a table of examples usually have, and what those of further
/// ones, its hard negatives, begin with: SimCSE's own files, and sentence-transformers' data sets.
const USUAL_EXAMPLES: [([&str; 2], &str); 2] = [(["sent0", "sent1"], "hard_neg"), (["anchor", "positive"], "negative")];

/// What a table of pairs has nothing besides: next to other columns, such as a score, its sentences
/// need not belong together.
const PAIRS: [&str; 2] = ["sentence1", "sentence2"];

/// The longest list of columns that a message shows, in characters.
pub(super) const LISTED: usize = 200;

/// The columns to read.
pub(super) struct Chosen {
    pub(super) columns: Vec<usize>,
    /// Whether by their names and not by their numbers.
    pub(super) by_name: bool,
}

/// The columns that texts can be in.
pub(super) struct TextColumns {
    /// What errors call the file.
    file: String,
    /// The keys of JSON objects, or the fields of the first record.
    pub(super) names: Vec<String>,
    pub(super) is_json: bool,
    pub(super) has_keys: bool,
}

impl TextColumns {
    pub(super) fn of(records: &Records, first: &Record) -> Self {
        let fields = || first.fields.iter().map(|field| field.clone().unwrap_or_default()).collect();
        Self {
            file: records.name().to_owned(),
            names: records.keys().map_or_else(fields, <[String]>::to_vec),
            is_json: records.format() == Some(RecordFormat::Json),
            has_keys: records.keys().is_some(),
        }
    }

    /// Whether columns may have names: those of JSON arrays have none.
    pub(super) fn can_have_names(&self) -> bool {
        self.has_keys || !self.is_json
    }

    /// The columns that the user names: all by their names, or all by their numbers.
    pub(super) fn named(&self, given: &[String]) -> Result<Chosen, RecordError> {
        let missing = |column: &str| self.error(format!("a column `{}`", excerpt(column, LISTED)));
        let by_name: Vec<_> = given.iter().map(|column| self.index_of(column)).collect();
        if by_name.iter().any(Option::is_some) || self.has_keys {
            let of = |(index, column): (Option<usize>, &String)| index.ok_or_else(|| missing(column));
            let columns = by_name.into_iter().zip(given).map(of).collect::<Result<_, _>>()?;
            return Ok(Chosen { columns, by_name: true });
        }
        let of_number = |column: &String| {
            let number = column.parse::<usize>().ok().filter(|number| (1..=self.names.len()).contains(number));
            number.map(|number| number - 1).ok_or_else(|| missing(column))
        };
        Ok(Chosen { columns: given.iter().map(of_number).collect::<Result<_, _>>()?, by_name: false })
    }

    /// The index of the column of this name.
    fn index_of(&self, column: &str) -> Option<usize> {
        self.names.iter().position(|name| self.can_have_names() && name.trim() == column)
    }

    /// The only column with a usual name; JSON strings need none.
    pub(super) fn usual(&self) -> Result<Chosen, RecordError> {
        let names = self.names.iter().enumerate();
        let usual: Vec<usize> =
            names.filter(|(_, name)| self.can_have_names() && is_usual(name)).map(|(index, _)| index).collect();
        match usual[..] {
            [_] => Ok(Chosen { columns: usual, by_name: true }),
            _ if !self.can_have_names() && self.names.len() == 1 => Ok(Chosen { columns: vec![0], by_name: false }),
            _ => Err(self.error(
                "one column named text, sentence or the like (or --text-column with a name or a number)".to_owned(),
            )),
        }
    }

    /// The columns of examples of several texts, if they have the usual names.
    pub(super) fn usual_examples(&self) -> Option<Chosen> {
        let names: Vec<_> = self.names.iter().map(|name| name.trim().to_lowercase()).collect();
        let is_labeled = names.iter().any(|name| name == "label" || name.ends_with("score"));
        if !self.can_have_names() || is_labeled {
            return None;
        }
        let both = |pair: [&str; 2]| {
            let [first, second] = pair.map(|name| names.iter().position(|found| found == name));
            Some(vec![first?, second?])
        };
        let usual = USUAL_EXAMPLES.iter().find_map(|&(pair, negatives)| {
            let mut columns = both(pair)?;
            columns.extend((0..names.len()).filter(|&index| names[index].starts_with(negatives)));
            Some(columns)
        });
        let columns = usual.or_else(|| both(PAIRS).filter(|_| names.len() == PAIRS.len()))?;
        Some(Chosen { columns, by_name: true })
    }

    fn error(&self, expected: String) -> RecordError {
        let names: Vec<_> = self.names.iter().map(|name| name.trim()).collect();
        RecordError::Column { name: self.file.clone(), expected, found: excerpt(names.join(", "), LISTED) }
    }
}

pub(super) fn is_usual(name: &str) -> bool {
    USUAL_NAMES.contains(&name.trim().to_lowercase().as_str())
}
