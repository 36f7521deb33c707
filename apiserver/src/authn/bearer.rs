//! Bearer tokens out of requests, and join tokens as such.

use crate::pki::{JoinToken, TokenUse, extra_groups};
use crate::strategy::Reader;
use crate::upgrade;
use crate::user::UserInfo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

/// How browsers pass a token on a WebSocket.
const WEBSOCKET_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// What clients are told whose token nobody reads.
const SPACED: &str = "the provided Authorization header contains extra space before the bearer token, and is ignored";

/// The token of a request, if it has one: one word, one space after the scheme.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    let word = after_scheme(headers).and_then(|rest| rest.split(' ').next());
    let from_header = word.filter(|word| !word.is_empty()).map(str::to_owned);
    from_header.or_else(|| websocket_token(headers))
}

/// What to warn of if a request has a token where none is looked for.
pub(crate) fn overlooked(headers: &HeaderMap) -> Option<&'static str> {
    after_scheme(headers).filter(|rest| rest.starts_with(' ')).map(|_| SPACED)
}

fn after_scheme(headers: &HeaderMap) -> Option<&str> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(rest)
}

/// The one token among what a browser offers to speak, of which something has to be left for the answer. What is not right
/// is taken for the empty token, which nobody has.
fn websocket_token(headers: &HeaderMap) -> Option<String> {
    if !upgrade::is_to_websocket(headers) {
        return None;
    }
    let (tokens, others): (Vec<&str>, Vec<&str>) = protocols(headers).partition(|word| is_token(word));
    let encoded = tokens.first()?.strip_prefix(WEBSOCKET_PREFIX)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match (decoded, tokens.as_slice()) {
        (Some(said), [_]) if said.is_empty() => None,
        (Some(said), [_]) if !others.is_empty() => Some(said),
        _ => Some(String::new()),
    }
}

fn is_token(offered: &str) -> bool {
    offered.starts_with(WEBSOCKET_PREFIX)
}

/// What a client offers to speak on a WebSocket.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|text| text.split(',')).map(str::trim)
}

/// Takes the token out of what is offered: whoever the request is passed on to must not see it.
pub(crate) fn forget(headers: &mut HeaderMap) {
    if !protocols(headers).any(is_token) {
        return;
    }
    let others: Vec<&str> = protocols(headers).filter(|word| !is_token(word)).collect();
    let others = HeaderValue::try_from(others.join(",")).ok().filter(|others| !others.is_empty());
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(others) = others {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    }
}

/// Whoever holds a join token may enrol, and no more than the roles of its groups say.
pub(super) fn join_token_user(reader: &dyn Reader, text: &str, now: Timestamp) -> Option<UserInfo> {
    let token: JoinToken = text.parse().ok()?;
    let secret = reader.get("", "secrets", "kube-system", &JoinToken::secret_name(&token.id))?;
    token.check(Some(&secret), TokenUse::Authentication, now).ok()?;
    let mut groups = vec!["system:bootstrappers".to_owned()];
    groups.extend(extra_groups(&secret)?);
    groups.sort_unstable();
    groups.dedup();
    groups.push("system:authenticated".to_owned());
    Some(UserInfo { name: format!("system:bootstrap:{}", token.id), groups, ..UserInfo::default() })
}

#[cfg(test)]
mod tests {
    use http::header::{CONNECTION, UPGRADE};

    use super::*;

    #[test]
    fn a_browser_offers_its_token_beside_what_it_speaks() {
        let of = |offered: &'static str, upgrade: &'static str| {
            let all = [(CONNECTION, "Upgrade"), (UPGRADE, upgrade), (SEC_WEBSOCKET_PROTOCOL, offered)];
            token(&all.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect())
        };
        let offered = "base64url.bearer.authorization.k8s.io.dA, v5.channel.k8s.io";
        assert_eq!(of(offered, "websocket").as_deref(), Some("t"));
        assert_eq!(of(offered, "SPDY/3.1"), None);
        assert_eq!(of("v5.channel.k8s.io", "websocket"), None);
        assert_eq!(of("base64url.bearer.authorization.k8s.io., v5.channel.k8s.io", "websocket"), None);
        // Nobody's tokens, not even as they are written.
        for odd in [
            "base64url.bearer.authorization.k8s.io.dA",
            "base64url.bearer.authorization.k8s.io.dA,base64url.bearer.authorization.k8s.io.dA,a",
            "base64url.bearer.authorization.k8s.io.dA==,a",
            "base64url.bearer.authorization.k8s.io.header.claims.signature,a",
        ] {
            assert_eq!(of(odd, "websocket").as_deref(), Some(""), "{odd}");
        }
    }

    #[test]
    fn who_is_asked_next_sees_no_token() {
        let left = |offered: &'static str| {
            let mut headers = HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered))]);
            forget(&mut headers);
            headers.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap().to_owned())
        };
        let token = "base64url.bearer.authorization.k8s.io.dA";
        assert_eq!(left("base64url.bearer.authorization.k8s.io.dA, v5.channel.k8s.io").unwrap(), "v5.channel.k8s.io");
        assert_eq!(left(token), None);
        assert_eq!(left("a, b").unwrap(), "a, b");
    }

    #[test]
    fn a_token_is_one_word_after_one_space() {
        let of = |text: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(text))]);
            (token(&headers), overlooked(&headers).is_some())
        };
        for good in ["Bearer t", "bearer t", " BEARER t ", "Bearer t u"] {
            assert_eq!(of(good), (Some("t".to_owned()), false), "{good}");
        }
        for none in ["Bearer", "Bearer ", "Basic t", ""] {
            assert_eq!(of(none), (None, false), "{none}");
        }
        assert_eq!(of("Bearer  t"), (None, true));
    }
}
