//! The query string, read as Kubernetes reads it: the first value of a key counts, bad numbers are refused in Go's words.

use mainstay_api::numbers::parse_int_error;
use mainstay_api::status::{ApiResult, Status};

/// The parameters of a request, in order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=b&c=d`. Pairs that are malformed are passed over, as Go does.
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .filter(|(key, value)| escapes_are_whole(key) && escapes_are_whole(value))
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The first value, or nothing if it is empty.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of a key.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
    }

    /// A switch: present and neither `0` nor `false`; an empty value is on for `watch`-like switches.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "false"))
    }

    /// A whole number; nothing at all is none.
    ///
    /// # Errors
    /// 400 in the words of Go's `strconv`.
    pub fn int(&self, key: &str) -> ApiResult<Option<i64>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        text.parse::<i64>().map(Some).map_err(|_| Status::bad_request(parse_int_error("ParseInt", text)))
    }
}

/// Whether each percent sign begins an escape.
fn escapes_are_whole(text: &str) -> bool {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(is_escape)
}

fn decode(text: &str) -> String {
    crate::percent::unescape(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_counts() {
        let query = Query::parse(Some("a=1&a=2&b=x%20y+z&c"));
        assert_eq!((query.text("a"), query.text("b"), query.get("c"), query.get("d")), ("1", "x y z", Some(""), None));
        assert_eq!(query.all("a").len(), 2);
    }

    #[test]
    fn bad_numbers_in_go_words() {
        let error = |query| Query::parse(Some(query)).int("limit").unwrap_err().message;
        assert_eq!(error("limit=x"), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert_eq!(error("limit="), "strconv.ParseInt: parsing \"\": invalid syntax");
        assert_eq!(Query::parse(Some("a=b")).int("limit").unwrap(), None);
    }

    #[test]
    fn malformed_pairs_are_passed_over() {
        let query = Query::parse(Some("a=1;b=2&c=%zz&d=%2&e=%20x&f=5%"));
        assert_eq!(query.0, [("e".to_owned(), " x".to_owned())]);
    }
}
