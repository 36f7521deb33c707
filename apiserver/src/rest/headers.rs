//! Headers that are this server's to say, or that it has heeded: whoever a request is passed on to must not see a client's.

use http::{HeaderMap, HeaderName, header};

/// Removes those whose names begin so, which is said in small letters.
pub(super) fn forget(headers: &mut HeaderMap, start: &str) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(start)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes those that `Connection` names: whoever sent them meant them for this one connection.
pub(super) fn forget_named(headers: &mut HeaderMap) {
    let said = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = said.flat_map(|value| value.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let names: Vec<HeaderName> = names.collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_said_to_be_about_the_connection_is_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop ,,a b"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("x-other", "3"),
            ("x-kept", "4"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        forget_named(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "x-kept"]);
    }

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
