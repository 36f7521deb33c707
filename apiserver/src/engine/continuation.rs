//! The opaque token that a paged list hands out: a revision and the key to go on after.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mainstay_api::json;
use mainstay_api::status::{ApiResult, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const VERSION: &str = "meta.k8s.io/v1";
/// Go accepts trailing bits, but no padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

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

impl Token {
    fn encode(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl Continuation {
    /// The token's text.
    pub fn encode(&self) -> String {
        let start = self.after.replace('\0', "/");
        Token { v: VERSION.into(), rv: self.revision, start, left: self.left }.encode()
    }

    /// A token that goes on at the same place, but with what is there now. None if `text` is no token.
    pub fn at_present(text: &str) -> Option<String> {
        let token: Token = serde_json::from_slice(&BASE64.decode(text).ok()?).ok()?;
        let start = token.start.strip_prefix('/').unwrap_or(&token.start).to_owned();
        Some(Token { rv: -1, start, left: None, ..token }.encode())
    }

    /// Reads a token of a list in a namespace (empty: of all, or of none).
    ///
    /// # Errors
    /// 400, in the words of Go's base64 and JSON decoders.
    pub fn decode(text: &str, namespace: &str) -> ApiResult<Self> {
        let bytes = BASE64.decode(text).map_err(|_| invalid(&base64_error(text)))?;
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
            return Err(invalid(&token.start));
        }
        let start = token.start.strip_prefix('/').unwrap_or(&token.start);
        // Kubernetes' own tokens have no namespace where the list is of one.
        let (namespace, name) = start.split_once('/').unwrap_or((namespace, start));
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

/// Go names the first byte that it does not know; if it knows all of them, one is left over at the end.
fn base64_error(text: &str) -> String {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let at = text.bytes().position(|byte| !known(byte)).unwrap_or(text.len().saturating_sub(1));
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
            assert_eq!(Continuation::decode(&token.encode(), "").unwrap(), token);
        }
    }

    #[test]
    fn tokens_of_kubernetes_are_within_a_namespace() {
        let token = BASE64.encode("{\"v\":\"meta.k8s.io/v1\",\"rv\":7,\"start\":\"/b\\u0000\"}");
        let read = Continuation::decode(&token, "ns").unwrap();
        assert_eq!((read.revision, read.after.as_str()), (7, "ns\0b\0"));
        let present = Continuation::at_present(&token).unwrap();
        let said = BASE64.decode(present).unwrap();
        assert_eq!(said, b"{\"v\":\"meta.k8s.io/v1\",\"rv\":-1,\"start\":\"b\\u0000\"}");
    }

    #[test]
    fn bad_tokens_in_go_words() {
        let message = |text: &str| Continuation::decode(text, "").unwrap_err().message.into_owned();
        assert!(message("abc").ends_with("invalid character 'i' looking for beginning of value"));
        for (text, at) in [("!!", 0), ("x", 0), ("token", 4), ("foo/bar", 3), ("e30=", 3)] {
            assert!(message(text).ends_with(&format!("illegal base64 data at input byte {at}")), "{text}");
        }
        assert!(message("xyz").ends_with("invalid character 'Ç' looking for beginning of value"));
        assert!(message("e30").ends_with("server does not recognize this encoded version "));
        let token = |text: &str| message(&BASE64.encode(text));
        assert!(token("null").ends_with("server does not recognize this encoded version "));
        assert!(token("[]").ends_with("json: cannot unmarshal array into Go value of type storage.continueToken"));
        let detour = token(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../b"}"#);
        assert_eq!(detour, "invalid continue token: continue key is not valid: a/../b");
        let odd = token("{\"v\":1}");
        assert!(odd.ends_with("json: cannot unmarshal number into Go struct field continueToken.v of type string"));
    }
}
