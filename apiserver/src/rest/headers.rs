//! Headers that are this server's to say, or that it has heeded: whoever a request is passed on to must not see a client's.

use http::{HeaderMap, HeaderName};

/// Removes those whose names begin so, which is said in small letters.
pub(super) fn forget(headers: &mut HeaderMap, start: &str) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(start)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_that_begin_alike_are_removed_together() {
        let names = ["x-remote-user", "X-Remote-Group", "x-remote-extra-a", "x-remotely", "accept"];
        let of = |name: &str| (HeaderName::try_from(name).unwrap(), HeaderValue::from_static("x"));
        let mut headers: HeaderMap = names.into_iter().map(of).collect();
        headers.append("x-remote-group", HeaderValue::from_static("y"));
        forget(&mut headers, "x-remote-");
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-remotely"]);
    }
}
