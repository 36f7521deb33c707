//! The opaque token that a paged list hands out: a revision and the key to go on after.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_api::json;
use mainstay_api::status::{ApiResult, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

#[derive(Default, Serialize, Deserialize)]
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
        let said = json::parse(&bytes).map_err(|why| invalid(&why))?;
        if let Some(why) = mistyped(&said) {
            return Err(invalid(&why));
        }
        let token = if said.is_null() { Ok(Token::default()) } else { Token::deserialize(said) };
        let token = token.map_err(|why| invalid(&why.to_string()))?;
        if token.v != VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", token.v)));
        }
        if token.rv == 0 {
            return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        if token.start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        if !is_clean(&token.start) {
            return Err(Status::bad_request("invalid continue token: continue key is not valid"));
        }
        let (namespace, name) = token.start.split_once('/').unwrap_or(("", &token.start));
        Ok(Self { revision: token.rv, after: format!("{namespace}\0{name}"), left: token.left })
    }
}

/// Whether a key names its place without detours.
fn is_clean(start: &str) -> bool {
    let start = start.strip_prefix('/').unwrap_or(start);
    start.split('/').all(|part| !matches!(part, "" | "." | ".."))
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

/// What is of a wrong type in a token, in Go's words.
fn mistyped(said: &Value) -> Option<String> {
    if said.is_null() {
        return None;
    }
    let Some(fields) = said.as_object() else {
        let found = json::type_name(said);
        return Some(format!("json: cannot unmarshal {found} into Go value of type storage.continueToken"));
    };
    [("v", "string"), ("rv", "int64"), ("start", "string")].into_iter().find_map(|(name, wanted)| {
        let found = fields.get(name).filter(|found| !found.is_null())?;
        let number = wanted == "int64";
        let fits = if number { found.is_i64() } else { found.is_string() };
        let shown = match found {
            Value::Number(found) if number => format!("number {found}"),
            other => json::type_name(other).to_owned(),
        };
        (!fits).then(|| {
            format!("json: cannot unmarshal {shown} into Go struct field continueToken.{name} of type {wanted}")
        })
    })
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
        let token = |text: &str| message(&URL_SAFE_NO_PAD.encode(text));
        assert!(token("null").ends_with("server does not recognize this encoded version "));
        assert!(token("[]").ends_with("json: cannot unmarshal array into Go value of type storage.continueToken"));
        let detour = token(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../b"}"#);
        assert_eq!(detour, "invalid continue token: continue key is not valid");
        let odd = token("{\"v\":1}");
        assert!(odd.ends_with("json: cannot unmarshal number into Go struct field continueToken.v of type string"));
    }
}
