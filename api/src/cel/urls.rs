//! What expressions ask of URLs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outcome::{Outcome, fail};
use super::{Key, Val};
use crate::url::{decoded_text, escaped, host_and_port, parse, parse_request};

/// With more, Go takes a query for none at all.
const MOST_PARAMETERS: usize = 10_000;

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    match (name, values) {
        ("url", [Val::Text(text)]) => {
            // Read again as one that may have a fragment.
            let refusal = parse_request(text).err().or_else(|| parse(text).err());
            let refused = |why: String| fail(format!("URL parse error during conversion from string: {why}"));
            return Some(refusal.map_or_else(|| Ok(Val::Url(text.clone())), refused));
        }
        ("isURL", [Val::Text(text)]) => return Some(Ok(Val::Bool(parse_request(text).is_ok()))),
        _ => {}
    }
    let [Val::Url(url)] = values else { return None };
    let url = parse(url).unwrap_or_default();
    let host = decoded_text(url.host, false).unwrap_or_else(|| url.host.to_owned());
    let (hostname, port) = host_and_port(&host);
    Some(Ok(match name {
        "getScheme" => Val::text(url.scheme.to_ascii_lowercase()),
        "getHost" => Val::text(&host),
        "getHostname" => Val::text(hostname),
        "getPort" => Val::text(port),
        "getEscapedPath" => Val::text(escaped(url.path)),
        "getQuery" => queries(url.query),
        _ => return None,
    }))
}

fn queries(query: &str) -> Val {
    let mut out: BTreeMap<Key, Vec<Val>> = BTreeMap::new();
    if query.matches('&').count() >= MOST_PARAMETERS {
        return Val::Map(Arc::default());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (decoded_text(key, true), decoded_text(value, true)) {
            out.entry(Key::Text(Arc::from(key))).or_default().push(Val::text(value));
        }
    }
    Val::Map(Arc::new(out.into_iter().map(|(key, list)| (key, Val::list(list))).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{holds, run};

    #[test]
    fn texts_that_are_no_urls_are_told_in_go_s_words() {
        for (text, why) in [
            ("", "empty url"),
            ("x y", "invalid URI for request"),
            ("example.com/a", "invalid URI for request"),
            ("://a", "missing protocol scheme"),
            ("https://a#b", "invalid character \"#\" in host name"),
            ("https://a b/", "invalid character \" \" in host name"),
            ("https://a:x/", "invalid port \":x\" after host"),
            ("https://[::1", "missing ']' in host"),
            ("https://a:1:2/", "invalid port \":1:2\" after host"),
            ("https://::1/", "invalid port \"::1\" after host"),
            ("https://a[::1]/", "invalid IP-literal"),
            ("https://[1.2.3.4]/", "invalid IP-literal"),
            (
                "https://[::x]/",
                "invalid host: ParseAddr(\"::x\"): each colon-separated field must have at least one digit (at \"x\")",
            ),
            ("https://a%41/", "invalid URL escape \"%41\""),
            ("https://%zz@a/", "invalid URL escape \"%zz\""),
            ("https://u{@a b/", "invalid character \" \" in host name"),
            ("https://u{@a/", "net/url: invalid userinfo"),
            ("https://a/%zz", "invalid URL escape \"%zz\""),
            ("/?a#%zz", "invalid URL escape \"%zz\""),
            ("//a b/", "invalid character \" \" in host name"),
        ] {
            let told = format!("URL parse error during conversion from string: parse \"{text}\": {why}");
            assert_eq!(run("url(x).getHost() == ''", json!(text)).unwrap_err(), told);
        }
        holds("isURL('mailto:a@b.io') && isURL('/a') && isURL('https://') && !isURL('a')", json!(0));
        holds("isURL('db://a:1,b:2/') && isURL('/?a#%zz') && isURL('//a b/') && isURL('https://é%c3%a9/')", json!(0));
    }

    #[test]
    fn urls_are_taken_apart() {
        holds("url('HTTPS://u:p@[::1]:80/a?b=c').getHost() == '[::1]:80'", json!(0));
        holds("url('HTTPS://a/').getScheme() == 'https' && url('https://[::1]:80').getHostname() == '::1'", json!(0));
        holds(
            "url('https://a/b c').getEscapedPath() == '/b%20c' && url('/a%2Fb').getEscapedPath() == '/a%2Fb'",
            json!(0),
        );
        holds("url('/?a=b%20c&a=d+e&f').getQuery() == {'a': ['b c', 'd e'], 'f': ['']}", json!(0));
        holds("url('//u@a:1/p').getHost() == 'a:1' && url('//a/p').getEscapedPath() == '/p'", json!(0));
        holds("url('///a').getHost() == '' && url('*').getEscapedPath() == '*'", json!(0));
        holds("url('https://[fe80::1%25e]:80').getHostname() == 'fe80::1%e'", json!(0));
        holds("url('/%ff b').getEscapedPath() == '/%FF%20b'", json!(0));
        holds("url('mailto:a@b.io').getEscapedPath() == '' && url('/p#f').getEscapedPath() == '/p'", json!(0));
    }

    #[test]
    fn queries_have_so_many_parameters() {
        holds("url(x).getQuery().size() == 1", json!(format!("/?a{}", "&a".repeat(9_999))));
        holds("url(x).getQuery().size() == 0", json!(format!("/?a{}", "&a".repeat(10_000))));
    }
}
