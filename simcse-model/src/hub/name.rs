//! `owner/name@revision`: names on the hub, checked as huggingface_hub checks them and completed as
//! sentence-transformers completes them.

use std::fmt;
use std::path::Path;

use crate::hub::error::HubError;

/// The branch of a name without `@revision`.
const DEFAULT_REVISION: &str = "main";

/// The owner of a bare name that is not one of [`BARE_NAMES`].
const DEFAULT_OWNER: &str = "sentence-transformers";

/// A model repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelName {
    /// `owner/name`, or one of the old bare names.
    pub(super) repo: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl ModelName {
    /// Parses the name of a model that is not an existing directory.
    ///
    /// # Errors
    /// A file, a path that does not exist, or text that the hub does not allow as a name.
    pub(super) fn parse(name: &str) -> Result<Self, HubError> {
        if Path::new(name).is_file() {
            return Err(HubError::NotADirectory { name: name.to_owned() });
        }
        let (repo, revision) = name.split_once('@').unwrap_or((name, DEFAULT_REVISION));
        if looks_like_a_path(repo) {
            return Err(HubError::NoSuchPath { name: name.to_owned() });
        }
        let bad = |reason| HubError::BadName { name: name.to_owned(), reason };
        check_repo(repo).map_err(bad)?;
        check_revision(revision).map_err(bad)?;
        let is_whole = repo.contains('/') || BARE_NAMES.contains(&repo.to_ascii_lowercase().as_str());
        let repo = if is_whole { repo.to_owned() } else { format!("{DEFAULT_OWNER}/{repo}") };
        Ok(Self { repo, revision: revision.to_owned() })
    }
}

/// The repository that a name on the hub stands for, without its revision.
///
/// ```
/// use simcse_model::hub::repository;
///
/// assert_eq!(repository("intfloat/e5-small-v2@main").unwrap(), "intfloat/e5-small-v2");
/// assert_eq!(repository("all-MiniLM-L6-v2").unwrap(), "sentence-transformers/all-MiniLM-L6-v2");
/// ```
///
/// # Errors
/// A text that cannot be the name of a model on the hub.
pub fn repository(name: &str) -> Result<String, HubError> {
    ModelName::parse(name).map(|model| model.repo)
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision == DEFAULT_REVISION {
            true => f.write_str(&self.repo),
            false => write!(f, "{}@{}", self.repo, self.revision),
        }
    }
}

fn looks_like_a_path(name: &str) -> bool {
    name.starts_with(['.', '/', '~']) || name.ends_with('/') || name.contains('\\') || name.matches('/').count() > 1
}

/// The rules of `huggingface_hub.utils.validate_repo_id` (2.4).
fn check_repo(repo: &str) -> Result<(), &'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for part in repo.split('/') {
        if part.is_empty() || part.len() > 96 {
            return Err("owner and name must have 1 to 96 characters each");
        }
        if !part.chars().all(|c| is_word(c) || c == '-' || c == '.') {
            return Err("it may contain only ASCII letters, digits, `-`, `_` and `.`");
        }
        if !part.starts_with(is_word) || !part.ends_with(is_word) {
            return Err("owner and name must not begin or end with `-` or `.`");
        }
    }
    if repo.contains("--") || repo.contains("..") {
        return Err("`--` and `..` are not allowed");
    }
    if repo.ends_with(".git") {
        return Err("it must not end in `.git`");
    }
    Ok(())
}

/// A revision becomes the path of a file under `refs/`, so it must not lead out of there.
fn check_revision(revision: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let safe = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed);
    match revision.len() <= 255 && revision.split('/').all(safe) && !revision.contains("..") {
        true => Ok(()),
        false => Err("expected a branch, a tag or a commit after `@`"),
    }
}

/// `ORIGINAL_TRANSFORMER_MODELS` of sentence-transformers 6.2: names from before repositories had
/// owners.
#[rustfmt::skip]
const BARE_NAMES: &[&str] = &[
    "albert-base-v1", "albert-base-v2", "albert-large-v1", "albert-large-v2", "albert-xlarge-v1", "albert-xlarge-v2",
    "albert-xxlarge-v1", "albert-xxlarge-v2", "bert-base-cased-finetuned-mrpc", "bert-base-cased", "bert-base-chinese",
    "bert-base-german-cased", "bert-base-german-dbmdz-cased", "bert-base-german-dbmdz-uncased",
    "bert-base-multilingual-cased", "bert-base-multilingual-uncased", "bert-base-uncased",
    "bert-large-cased-whole-word-masking-finetuned-squad", "bert-large-cased-whole-word-masking", "bert-large-cased",
    "bert-large-uncased-whole-word-masking-finetuned-squad", "bert-large-uncased-whole-word-masking",
    "bert-large-uncased", "camembert-base", "ctrl", "distilbert-base-cased-distilled-squad", "distilbert-base-cased",
    "distilbert-base-german-cased", "distilbert-base-multilingual-cased", "distilbert-base-uncased-distilled-squad",
    "distilbert-base-uncased-finetuned-sst-2-english", "distilbert-base-uncased", "distilgpt2", "distilroberta-base",
    "gpt2-large", "gpt2-medium", "gpt2-xl", "gpt2", "openai-gpt", "roberta-base-openai-detector", "roberta-base",
    "roberta-large-mnli", "roberta-large-openai-detector", "roberta-large", "t5-11b", "t5-3b", "t5-base", "t5-large",
    "t5-small", "transfo-xl-wt103", "xlm-clm-ende-1024", "xlm-clm-enfr-1024", "xlm-mlm-100-1280", "xlm-mlm-17-1280",
    "xlm-mlm-en-2048", "xlm-mlm-ende-1024", "xlm-mlm-enfr-1024", "xlm-mlm-enro-1024", "xlm-mlm-tlm-xnli15-1024",
    "xlm-mlm-xnli15-1024", "xlm-roberta-base", "xlm-roberta-large-finetuned-conll02-dutch",
    "xlm-roberta-large-finetuned-conll02-spanish", "xlm-roberta-large-finetuned-conll03-english",
    "xlm-roberta-large-finetuned-conll03-german", "xlm-roberta-large", "xlnet-base-cased", "xlnet-large-cased",
];
