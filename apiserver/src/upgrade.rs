//! Whether a client wants to go on in another protocol.

use http::{HeaderMap, header};

/// Whether it wants any other one.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let mut wishes = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    wishes.any(|wish| wish.to_ascii_lowercase().contains("upgrade"))
}

/// Whether it wants a WebSocket.
pub(crate) fn is_to_websocket(headers: &HeaderMap) -> bool {
    let protocol = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) && is_wanted(headers)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers<const N: usize>(said: [(HeaderName, &'static str); N]) -> HeaderMap {
        said.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn who_says_so_wants_another_protocol() {
        let wants = |connection| is_wanted(&headers([(header::CONNECTION, connection)]));
        assert!(wants("Upgrade") && wants("keep-alive, upgrade") && !wants("close"));
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn browsers_ask_for_a_websocket() {
        let wanted = |upgrade, connection| {
            is_to_websocket(&headers([(header::UPGRADE, upgrade), (header::CONNECTION, connection)]))
        };
        assert!(wanted("websocket", "Upgrade") && wanted("WebSocket", "keep-alive, Upgrade"));
        assert!(!wanted("SPDY/3.1", "Upgrade") && !wanted("websocket", "close"));
        assert!(!is_to_websocket(&HeaderMap::new()));
    }
}
