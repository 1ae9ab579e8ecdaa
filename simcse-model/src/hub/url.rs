//! Addresses: who serves them, where a redirect leads, what of them may be shown.

use ureq::http::Uri;
use ureq::http::uri::InvalidUri;

/// Scheme, host and port.
pub(super) type Origin = (String, String, u16);

/// The address without its query, which may contain a signature.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Percent-encodes everything but unreserved characters and those in `keep`.
pub(super) fn percent_encode(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        match c.is_ascii_alphanumeric() || "-_.~".contains(c) || keep.contains(c) {
            true => out.push(c),
            false => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// Parses an address; `None` if it is not one of HTTP.
pub(super) fn parse_url(url: &str) -> Option<Uri> {
    let parsed: Option<Uri> = url.parse().ok();
    parsed.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// Who serves an address.
pub(super) fn origin(uri: &Uri) -> Origin {
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    (scheme.to_owned(), uri.host().unwrap_or_default().to_ascii_lowercase(), port)
}

/// Resolves a `Location` against the address that it came from.
///
/// # Errors
/// What is not an address.
pub(super) fn join(base: &Uri, location: &str) -> Result<Uri, InvalidUri> {
    let scheme = base.scheme_str().unwrap_or_default();
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    match location {
        absolute if absolute.contains("://") && !absolute.starts_with('/') => absolute.parse(),
        host if host.starts_with("//") => format!("{scheme}:{host}").parse(),
        path if path.starts_with('/') => format!("{scheme}://{authority}{path}").parse(),
        relative => format!("{scheme}://{authority}{folder}/{relative}").parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::{join, origin, percent_encode, without_query};

    #[test]
    fn locations_are_resolved_and_origins_told_apart() {
        let base = "https://hub.example/o/n/resolve/main/f?x=1".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.example/a?sig=b", "https://cdn.example/a?sig=b"),
            ("//cdn.example/a", "https://cdn.example/a"),
            ("/o/m?to=http://x", "https://hub.example/o/m?to=http://x"),
            ("g", "https://hub.example/o/n/resolve/main/g"),
        ] {
            assert_eq!(join(&base, location).unwrap().to_string(), expected);
        }
        let same = |other: &str| origin(&base) == origin(&other.parse().unwrap());
        assert!(same("https://HUB.example:443/"));
        for other in ["http://hub.example/", "https://hub.example:8443/", "https://x.hub.example/"] {
            assert!(!same(other), "{other}");
        }
    }

    #[test]
    fn addresses_are_encoded_and_shortened() {
        assert_eq!(percent_encode("refs/pr/1 é", ""), "refs%2Fpr%2F1%20%C3%A9");
        assert_eq!(percent_encode("1_Pooling/config.json", "/"), "1_Pooling/config.json");
        assert_eq!(without_query("https://cdn/x?signature=s"), "https://cdn/x");
    }
}
