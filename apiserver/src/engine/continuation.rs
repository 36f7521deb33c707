//! The opaque token that a paged list hands out: a revision and the key to go on after.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_api::status::{ApiResult, Status};
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The revision of all pages; -1: the present.
    pub revision: i64,
    /// Namespace and name of the last object handed out, as in the store's key.
    pub after: String,
    /// Objects that come after it, where that is known; clients hand it back, so it is good for telling only.
    pub left: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<usize>,
}

impl Continuation {
    /// The token's text.
    pub fn encode(&self) -> String {
        let start = self.after.replace('\0', "/");
        let token = Token { v: VERSION.into(), rv: self.revision, start, left: self.left };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 400, in the words of Go's base64 and JSON decoders.
    pub fn decode(text: &str) -> ApiResult<Self> {
        let bytes =
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| invalid(&base64_error(&error)))?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|_| invalid(&json_error(&bytes)))?;
        if token.v != VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", token.v)));
        }
        if token.rv == 0 {
            return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if token.start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        let (namespace, name) = token.start.split_once('/').unwrap_or(("", &token.start));
        Ok(Self { revision: token.rv, after: format!("{namespace}\0{name}"), left: token.left })
    }
}

fn invalid(why: &str) -> Status {
    Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
}

fn base64_error(error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(at) => *at,
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

fn json_error(bytes: &[u8]) -> String {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => "unexpected end of JSON input".into(),
        Some(byte) => {
            format!("invalid character {} looking for beginning of value", super::json::go_char(char::from(*byte)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for left in [None, Some(3)] {
            let token = Continuation { revision: 7, after: "ns\0name".into(), left };
            assert_eq!(Continuation::decode(&token.encode()).unwrap(), token);
        }
    }

    #[test]
    fn bad_tokens_in_go_words() {
        let message = |text: &str| Continuation::decode(text).unwrap_err().message.into_owned();
        assert!(message("abc").ends_with("invalid character 'i' looking for beginning of value"));
        assert!(message("!!").ends_with("illegal base64 data at input byte 0"));
        assert!(message("e30").ends_with("server does not recognize this encoded version "));
    }
}
