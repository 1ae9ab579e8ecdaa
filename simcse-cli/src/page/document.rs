//! What all pages have in common.

use crate::page::html::escaped;

pub(crate) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A part of a page, as HTML, with its heading.
pub(super) struct Part {
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
    pub(super) html: String,
}

impl Part {
    pub(super) fn new(id: &'static str, heading: &'static str, html: String) -> Self {
        Self { id, heading, html }
    }
}

/// A page with a `name`, a `summary` below it, and the parts that are not empty. `style` is added
/// to the style of all pages.
pub(super) fn document(name: &str, summary: &str, parts: Vec<Part>, style: &str) -> String {
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.html.is_empty()).collect();
    let link = |Part { id, heading, .. }: &Part| format!("<a href=\"#{id}\">{heading}</a>");
    let section = |Part { id, heading, html }: &Part| {
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
         <title>simcse: {name}</title>\n<style>{STYLE}{style}</style></head>\n<body>\n\
         <header><h1>{name}</h1>{summary}<nav aria-label=\"Parts of this page\">{links}</nav></header>\n<main>\n\
         {sections}</main>\n<script>{SCRIPT}</script>\n</body></html>\n",
        name = escaped(name),
        links = parts.iter().map(link).collect::<Vec<_>>().join(" "),
        sections = parts.iter().map(section).collect::<String>(),
    )
}
