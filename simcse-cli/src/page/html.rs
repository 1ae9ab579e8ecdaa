//! Text as HTML.

use std::fmt::Write;

use simcse_model::io::excerpt;

/// The longest text that is shown, in characters.
const LONGEST: usize = 300;

/// Text that a browser shows as it is: nothing in it is markup, and control characters, such as
/// those that change the direction of what follows, are escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for c in excerpt(text, LONGEST).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            c => shown.push(c),
        }
    }
    shown
}

/// A sentence, whose direction does not spread to what is around it.
pub(super) fn sentence(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

/// A table. Cells are HTML; the first one of each row is its heading.
pub(super) fn table(caption: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = format!("<div class=\"scroll\"><table><caption>{caption}</caption>");
    if !headings.is_empty() {
        let cells: String = headings.iter().map(|heading| format!("<th scope=\"col\">{heading}</th>")).collect();
        let _ = write!(html, "<thead><tr>{cells}</tr></thead>");
    }
    html.push_str("<tbody>");
    for row in rows {
        let (heading, cells) = row.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = write!(html, "<tr><th scope=\"row\">{heading}</th>{cells}</tr>");
    }
    html + "</tbody></table></div>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup_or_changes_what_follows() {
        assert_eq!(
            escaped("<script>alert('&\"')</script>"),
            "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"
        );
        let hostile = escaped("a\u{202e}b\u{0}c\u{1b}[31m\n");
        assert!(!hostile.chars().any(|c| c.is_control() || c == '\u{202e}'), "{hostile}");
        assert_eq!(sentence("שלום"), "<bdi>שלום</bdi>");
        assert!(escaped(&"x".repeat(10_000)).chars().count() <= LONGEST + 1);
    }
}
