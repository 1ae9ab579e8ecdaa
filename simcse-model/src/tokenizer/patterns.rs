//! Regular expressions in a `tokenizer.json` that is used as it is.
//!
//! transformers' build of the tokenizers library reads them with Oniguruma, and ours with
//! fancy-regex, which needs no C compiler. The two disagree about `\w` and `\b` (superscripts,
//! joiners), about classes such as `[[:punct:]]` (ASCII or Unicode), about `^` and `$` in texts of
//! several lines, and about letters that fold to several. What both read alike is a small language,
//! tried on every character; anything else is refused.

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::tokenizer::files::{Files, TOKENIZER};

/// General categories and scripts that are the same characters in both.
const PROPERTIES: &str = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So \
    Z Zs Zl Zp C Cc Cf Co Cn Alphabetic Emoji Common Inherited Han Hiragana Katakana Hangul Latin \
    Cyrillic Greek Arabic Hebrew Thai Devanagari Bengali Tamil Armenian Georgian Khmer Lao Myanmar \
    Ethiopic";

/// Refuses a `tokenizer.json` with a pattern that the two may read differently.
pub(crate) fn check(files: &Files) -> Result<()> {
    #[derive(Deserialize)]
    struct File {
        normalizer: Option<Value>,
        pre_tokenizer: Option<Value>,
    }
    let path = files.path(TOKENIZER);
    let file: File = serde_json::from_slice(files.get(TOKENIZER).unwrap_or_default())
        .map_err(|error| Error::format(&path, "a tokenizer", error))?;
    let mut parts: Vec<_> = [&file.normalizer, &file.pre_tokenizer].into_iter().flatten().collect();
    while let Some(part) = parts.pop() {
        match part {
            Value::Object(object) => {
                if let Some(Value::String(pattern)) = object.get("Regex")
                    && !is_common(pattern)
                {
                    let expected = r"a pattern without \w, \b, ^, $, flags and POSIX classes (they are not supported)";
                    return Err(Error::field(&path, "pattern.Regex", expected, pattern));
                }
                parts.extend(object.values());
            }
            Value::Array(list) => parts.extend(list),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a pattern is of the language that both read alike.
fn is_common(pattern: &str) -> bool {
    let mut rest = pattern;
    let mut in_class = false;
    let mut after_quantifier = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let mut quantifier = false;
        let fine = match c {
            '\\' => take_escape(&mut rest),
            '[' if !in_class => {
                in_class = true;
                rest = rest.strip_prefix('^').unwrap_or(rest);
                !rest.starts_with(']')
            }
            ']' if in_class => {
                in_class = false;
                true
            }
            '[' => false,
            '&' if in_class => !rest.starts_with('&'),
            _ if in_class => true,
            '^' | '$' => false,
            '(' => match rest.strip_prefix('?') {
                Some(group) => group.starts_with([':', '=', '!']),
                None => true,
            },
            '{' => {
                quantifier = true;
                take_bounds(&mut rest) && !after_quantifier
            }
            '+' | '*' => {
                quantifier = true;
                !after_quantifier
            }
            '?' => {
                // After a quantifier it makes that one lazy, and nothing may follow.
                quantifier = true;
                true
            }
            _ => true,
        };
        if !fine {
            return false;
        }
        after_quantifier = quantifier;
    }
    !in_class
}

/// What follows a backslash.
fn take_escape(rest: &mut &str) -> bool {
    let Some(c) = rest.chars().next() else {
        return false;
    };
    *rest = &rest[c.len_utf8()..];
    match c {
        's' | 'S' | 'd' | 'D' | 'r' | 'n' | 't' => true,
        'p' | 'P' => {
            let property = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let known = property.filter(|(name, _)| PROPERTIES.split_whitespace().any(|known| known == *name));
            if let Some((_, behind)) = known {
                *rest = behind;
            }
            known.is_some()
        }
        _ => c.is_ascii_punctuation(),
    }
}

/// `2}`, `2,}` or `2,3}`.
fn take_bounds(rest: &mut &str) -> bool {
    let Some((bounds, behind)) = rest.split_once('}') else {
        return false;
    };
    *rest = behind;
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_that_people_use_are_common() {
        for pattern in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            " {2,}",
            r"\d",
            r"(?=\p{Lu})",
            r"(a|b)*?c+?",
            r"[\p{Han}&x\[\]-]",
            "日本|é",
            "",
        ] {
            assert!(is_common(pattern), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_differ_are_not() {
        let differ = r"\w+|[^\w\s]+ \bx \B ^x \s+$ [[:punct:]] [a[b]] [a&&b] (?i)ss (?<=a)b (?>a) (a)\1 a++ a{2}+ {,3} a{x} a{2
            [a []a] [^]a] \ \p{Word} \p{L \pL \x41 \h \K";
        for pattern in differ.split_whitespace() {
            assert!(!is_common(pattern), "{pattern}");
        }
    }

    #[test]
    fn they_are_found_wherever_they_are() {
        let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated" });
        let check = |pre_tokenizer: Value| {
            let json = json!({ "model": {}, "normalizer": null, "pre_tokenizer": pre_tokenizer });
            check(&Files::new().with(TOKENIZER, json.to_string().into_bytes()))
        };
        check(split(r"\s")).unwrap();
        check(json!({ "pattern": { "String": r"\w" } })).unwrap();
        let nested = json!({ "type": "Sequence", "pretokenizers": [split(r"\s"), split(r"\w")] });
        let error = check(nested).unwrap_err().to_string();
        assert!(error.starts_with(r"tokenizer.json: pattern.Regex: expected a pattern without \w"), "{error}");
        assert!(error.ends_with(r"found \w"), "{error}");
    }
}
