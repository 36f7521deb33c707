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

/// The token of a request, if it has one.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let from_header = header.and_then(|text| {
        let (scheme, rest) = text.trim().split_once(' ')?;
        let token = rest.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
    });
    from_header.or_else(|| websocket_token(headers))
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
    groups.push("system:authenticated".to_owned());
    Some(UserInfo { name: format!("system:bootstrap:{}", token.id), groups, ..UserInfo::default() })
}
