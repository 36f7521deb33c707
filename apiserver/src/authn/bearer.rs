//! Bearer tokens out of requests, and join tokens as such.

use crate::pki::{JoinToken, TokenUse, extra_groups};
use crate::strategy::Reader;
use crate::user::UserInfo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
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

fn websocket_token(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let encoded =
        offered.flat_map(|text| text.split(',')).find_map(|word| word.trim().strip_prefix(WEBSOCKET_PREFIX))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
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
    use http::HeaderValue;

    use super::*;

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
