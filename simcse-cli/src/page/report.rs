//! The page as a whole.

use std::path::{Path, PathBuf};

use simcse_model::io::write_bytes;

use crate::error::Failure;
use crate::page::html::escaped;
use crate::page::log::Log;
use crate::page::pictures::Pictures;
use crate::page::sections;

/// The name of the page in a run's output directory.
const FILE: &str = "report.html";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Writes the page of the run in `output` into that directory, in one go, and returns its path.
/// `pictures` are those of its probe.
///
/// # Errors
/// As [`Log::read`]; if the page cannot be written.
pub(crate) fn write(output: &Path, pictures: &Pictures) -> Result<PathBuf, Failure> {
    let page = page(&output.display().to_string(), &Log::read(output)?, pictures);
    let path = output.join(FILE);
    write_bytes(&path, page.as_bytes())?;
    Ok(path)
}

fn page(name: &str, log: &Log, pictures: &Pictures) -> String {
    let parts = [
        ("warnings", "Warnings", sections::warnings(log)),
        ("scores", "Scores", sections::scores(log)),
        ("training", "Training", sections::training(log)),
        ("embeddings", "Embeddings", sections::embeddings(log, pictures)),
        ("map", "Map of sentences", sections::maps(pictures)),
        ("neighbors", "Nearest neighbors", sections::neighbors(pictures)),
        ("settings", "Settings", sections::record(log)),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, _, html)| !html.is_empty()).collect();
    let link = |(id, heading, _): &(&str, &str, String)| format!("<a href=\"#{id}\">{heading}</a>");
    let section = |(id, heading, html): &(&str, &str, String)| {
        let hint = match *id {
            "map" => {
                "<p id=\"hint\">Point at a dot, or select a map and press the arrow keys, to read its sentence.</p>\
                 <output id=\"sentence\" for=\"hint\"></output>"
            }
            _ => "",
        };
        format!(
            "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{heading}</h2>{hint}<div class=\"grid\">{html}</div></section>\n"
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>simcse: {name}</title>\n<style>{STYLE}</style></head>\n<body>\n\
         <header><h1>{name}</h1>{summary}<nav aria-label=\"Parts of this page\">{links}</nav></header>\n<main>\n\
         {sections}</main>\n<script>{SCRIPT}</script>\n</body></html>\n",
        name = escaped(name),
        summary = sections::summary(log),
        links = parts.iter().map(link).collect::<Vec<_>>().join(" "),
        sections = parts.iter().map(section).collect::<String>(),
    )
}
