//! Foreign text in messages: whatever a terminal would act on, or would not show, is escaped.

use std::fmt::Display;

/// Text on one line, with control and other unprintable characters escaped. Quotes and backslashes
/// are unchanged.
///
/// ```
/// assert_eq!(simcse_model::io::printable("two\nlines"), r"two\nlines");
/// ```
#[must_use]
pub fn printable(text: impl Display) -> String {
    excerpt(text, usize::MAX)
}

/// The first `most` characters of a text, [`printable`], followed by `…` if there are more.
///
/// ```
/// assert_eq!(simcse_model::io::excerpt("a long story", 6), "a long…");
/// ```
#[must_use]
pub fn excerpt(text: impl Display, most: usize) -> String {
    let text = text.to_string();
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Bytes in hexadecimal, two digits each, as digests are written.
///
/// ```
/// assert_eq!(simcse_model::io::hexadecimal([0, 171, 255]), "00abff");
/// ```
#[must_use]
pub fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A human-readable number of bytes.
///
/// ```
/// assert_eq!(simcse_model::io::format_bytes(812_000_000), "812 MB");
/// assert_eq!(simcse_model::io::format_bytes(2_310_000_000), "2.31 GB");
/// ```
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    const MEGA: f64 = 1e6;
    let bytes = bytes as f64;
    if bytes < 1000.0 * MEGA { format!("{:.0} MB", bytes / MEGA) } else { format!("{:.2} GB", bytes / (1000.0 * MEGA)) }
}

/// A human-readable loss: four decimals, but never 0.0000 unless it is zero.
///
/// ```
/// use simcse_model::io::figure;
///
/// assert_eq!([figure(2.34567), figure(0.0000321), figure(0.0)], ["2.3457", "3.21e-5", "0.0000"]);
/// ```
#[must_use]
pub fn figure(value: f64) -> String {
    let vanishes = value != 0.0 && value.abs() < 1e-3;
    if vanishes { format!("{value:.2e}") } else { format!("{value:.4}") }
}

/// A count with its noun, in the right number: "1 query", "2 queries".
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_terminal_would_act_on_is_escaped() {
        assert_eq!(printable("a\u{1b}[31m\r\n\u{202e}\"é\\"), "a\\u{1b}[31m\\r\\n\\u{202e}\"é\\");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(excerpt("x".repeat(81), 80), format!("{}…", "x".repeat(80)));
        assert_eq!(excerpt("x".repeat(80), 80), "x".repeat(80));
    }
}
