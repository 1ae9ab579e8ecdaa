//! `simcse search`: the rows of an index that are most similar to queries.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::{iter, thread};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use console::Style;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use simcse_eval::{Filter, Hit, Index, Search, Vectors};
use simcse_model::hub::user_cache_dir;
use simcse_model::io::{create_directory, printable};
use simcse_model::{Prompt, SentenceEncoder};

use crate::args::{JsonArgs, PrecisionArgs, PromptArgs};
use crate::corpus::{embeddings, read_texts};
use crate::error::Failure;
use crate::hits::{allowed, check_model, hits_json, id};
use crate::inputs::load_to_encode;
use crate::{report, stop};

/// The most lines of a pipe that are answered at a time.
const LINES: usize = 1000;

const HELP: &str = "\
Finds, for each query, the texts with the highest cosine similarity, by comparing it with all of them.
Without --query and --queries, queries are read from standard input, one per line; on a terminal, with
a prompt and a history. Lines that have arrived by the time one is answered are answered together.

Examples:
  simcse search --index questions --query \"no sound after the update\"
  simcse search --index products --query \"red shoes\" --filter lang=en --top-k 3 --json
  simcse search --index questions --queries queries.txt --json > hits.jsonl
  simcse search --index questions";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SearchArgs {
    /// Directory of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// A query; may be repeated
    #[arg(long, value_name = "TEXT")]
    query: Vec<String>,
    /// A file of queries, one per line, or a table
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    queries: Option<PathBuf>,
    /// How many texts to find
    #[arg(long, short = 'k', value_name = "N", default_value_t = 10)]
    top_k: usize,
    /// Only rows whose field has this value; may be repeated, then all must hold
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = condition)]
    filter: Vec<(String, String)>,
    /// The model that encodes the queries, if it is no longer where it was when the index was made
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    json: JsonArgs,
}

fn condition(text: &str) -> Result<(String, String), String> {
    let found = text.split_once('=').filter(|(name, _)| !name.is_empty());
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected COLUMN=VALUE".to_owned())
}

pub(crate) fn run(args: &SearchArgs) -> Result<(), Failure> {
    // While the model is loaded, lines can arrive.
    let is_piped = args.queries.is_none() && args.query.is_empty() && !io::stdin().is_terminal();
    let lines = is_piped.then(lines_of_pipe);
    let index = Index::open(&args.index)?;
    let name = args.model.as_ref().unwrap_or(&index.description.model);
    let encoder = load_to_encode(name, args.precision.get())?;
    check_model(&index, name, &encoder)?;
    let prompt = args.prompt.given(&encoder)?.unwrap_or(encoder.directory.prompts.query());
    let prompt = encoder.prompt(prompt)?;
    let allowed = allowed(&index, &args.filter)?;
    let mut searcher = Searcher { args, index, encoder: &encoder, prompt, allowed, kept: None };
    if let Some(lines) = lines {
        return searcher.answer_lines(&lines);
    }
    if let Some(path) = &args.queries {
        return searcher.answer(&read_texts(path, None)?);
    }
    if !args.query.is_empty() {
        return searcher.answer(&args.query);
    }
    searcher.converse()
}

/// The lines of standard input, read by another thread.
fn lines_of_pipe() -> Receiver<io::Result<String>> {
    let (sender, lines) = sync_channel(LINES);
    // It ends with the input, or when nobody receives any more.
    thread::spawn(move || io::stdin().lock().lines().try_for_each(|line| sender.send(line)));
    lines
}

/// An index that answers queries.
struct Searcher<'a> {
    args: &'a SearchArgs,
    index: Index,
    encoder: &'a SentenceEncoder,
    prompt: Prompt<'a>,
    allowed: Option<Vec<bool>>,
    /// All vectors, if they were read once for several queries.
    kept: Option<Vectors>,
}

impl Searcher<'_> {
    /// Prints the hits of each query.
    fn answer(&mut self, queries: &[String]) -> Result<(), Failure> {
        let embeddings = embeddings(self.encoder, self.prompt, queries)?;
        let found = self.search(Search::new(embeddings.view(), self.args.top_k))?;
        self.print(queries, found, queries.len() > 1)
    }

    /// Prints the hits of each line. The index is read once for all lines that have arrived; what
    /// is printed does not depend on how many they are.
    fn answer_lines(&mut self, lines: &Receiver<io::Result<String>>) -> Result<(), Failure> {
        while let Ok(first) = lines.recv() {
            let arrived = iter::once(first).chain(lines.try_iter()).take(LINES);
            let mut broken = None;
            let queries: Vec<String> =
                arrived.map_while(|line| line.map_err(|error| broken = Some(error)).ok()).collect();
            let embeddings = embeddings(self.encoder, self.prompt, &queries)?;
            let found = self.search(Search::new(embeddings.view(), self.args.top_k).by_products())?;
            self.print(&queries, found, false)?;
            if let Some(error) = broken {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The hits of each query. What is not kept is read part by part.
    fn search(&mut self, mut search: Search) -> Result<Vec<Vec<Hit>>, Failure> {
        let allowed = self.allowed.as_ref().map(|allowed| |row: usize| allowed[row]);
        let filter = allowed.as_ref().map(|allowed| allowed as Filter);
        match &self.kept {
            Some(vectors) => {
                search.add(vectors, filter);
                Ok(search.finish())
            }
            None => Ok(self.index.search(search, filter)?),
        }
    }

    fn print(&self, queries: &[String], found: Vec<Vec<Hit>>, are_several: bool) -> Result<(), Failure> {
        for (query, hits) in queries.iter().zip(found) {
            if self.args.json.json {
                report::print_json(&hits_json(&self.index, &hits)?)?;
            } else {
                self.print_text(query, &hits, are_several)?;
            }
        }
        Ok(())
    }

    /// A line for each hit, with the query above if there are several.
    fn print_text(&self, query: &str, hits: &[Hit], is_one_of_several: bool) -> Result<(), Failure> {
        let [dim, bold] = [Style::new().dim(), Style::new().bold()];
        if is_one_of_several {
            report::print(&bold.apply_to(printable(query)).to_string())?;
        }
        for (rank, hit) in hits.iter().enumerate() {
            let record = self.index.record(hit.index)?;
            let id = id(&record).map_or(String::new(), |id| format!("  {}", dim.apply_to(printable(id))));
            let score = dim.apply_to(format!("{:>3}  {:.4}", rank + 1, hit.score));
            report::print(&format!("{score}  {}{id}", printable(record.text())))?;
        }
        if is_one_of_several { report::print("") } else { Ok(()) }
    }

    /// Answers queries that are typed, until the end of input or Ctrl-C.
    fn converse(&mut self) -> Result<(), Failure> {
        self.kept = Some(self.index.vectors(0..self.index.rows())?);
        let history = user_cache_dir().join("simcse").join("search_history");
        let mut editor = DefaultEditor::new()?;
        let _ = editor.load_history(&history); // there may be none yet
        report::note("type a query; Ctrl-D ends");
        while !stop::requested() {
            match editor.readline("> ") {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => {
                    editor.add_history_entry(&line)?;
                    self.answer(&[line])?;
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // A history is a convenience: without a place for it, there is none.
        let _ = history.parent().map(create_directory);
        let _ = editor.save_history(&history);
        Ok(())
    }
}
