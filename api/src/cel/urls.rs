//! URLs, taken apart as Go's `net/url` does and refused in its words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outcome::{Outcome, fail};
use super::{Key, Val, addresses};
use crate::field::go_quote;

/// The address that stands for a whole server.
const ANYTHING: &str = "*";
const NO_LITERAL: &str = "invalid IP-literal";
/// With more, Go takes a query for none at all.
const MOST_PARAMETERS: usize = 10_000;

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    match (name, values) {
        ("url", [Val::Text(text)]) => {
            let refused = |why: String| fail(format!("URL parse error during conversion from string: {why}"));
            let refusal = refusal(text).or_else(|| refusal_as_reference(text));
            return Some(refusal.map_or_else(|| Ok(Val::Url(text.clone())), refused));
        }
        ("isURL", [Val::Text(text)]) => return Some(Ok(Val::Bool(is_request_uri(text)))),
        _ => {}
    }
    let [Val::Url(url)] = values else { return None };
    let url = parts(url.split('#').next().unwrap_or_default(), true);
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

#[derive(Default)]
struct Parts<'u> {
    scheme: &'u str,
    user: Option<&'u str>,
    host: &'u str,
    path: &'u str,
    query: &'u str,
}

fn is_scheme(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits)
}

/// What a URL without a fragment consists of; of one without an authority that has a scheme, no path unless it is
/// absolute. `is_reference` lets one without a scheme have an authority, which those of requests have not.
fn parts(url: &str, is_reference: bool) -> Parts<'_> {
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_located = !scheme.is_empty() || is_reference && !rest.starts_with("///");
    let Some(located) = rest.strip_prefix("//").filter(|_| is_located) else {
        let path = if rest.starts_with('/') || url == ANYTHING { rest } else { "" };
        return Parts { scheme, path, query, ..Parts::default() };
    };
    let (authority, path) = located.split_at(located.find('/').unwrap_or(located.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    Parts { scheme, user, host, path, query }
}

/// Whether a text is an address that a request could have: a path from the root, or with a scheme.
pub(crate) fn is_request_uri(text: &str) -> bool {
    fault(text).is_none()
}

/// What Go says of a text that is no address which a request could have.
pub(super) fn refusal(text: &str) -> Option<String> {
    fault(text).map(|why| told(text, &why))
}

/// What Go says when it reads the address of a request once more, as one that may have a fragment.
fn refusal_as_reference(text: &str) -> Option<String> {
    let (own, fragment) = text.split_once('#').unwrap_or((text, ""));
    let wrong = authority_fault(&parts(own, true)).map(|why| told(own, &why));
    wrong.or_else(|| escape_fault(fragment).map(|why| told(text, &why)))
}

fn told(text: &str, why: &str) -> String {
    format!("parse {}: {why}", go_quote(text))
}

fn fault(text: &str) -> Option<String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Some("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() {
        return Some("empty url".to_owned());
    }
    if text.starts_with(':') {
        return Some("missing protocol scheme".to_owned());
    }
    // A fragment is not looked for: it is judged with what it follows.
    let url = parts(text, false);
    if url.scheme.is_empty() && !text.starts_with('/') && text != ANYTHING {
        return Some("invalid URI for request".to_owned());
    }
    authority_fault(&url).or_else(|| escape_fault(url.path))
}

/// What is wrong with a host, or else with the user before it.
fn authority_fault(url: &Parts<'_>) -> Option<String> {
    host_fault(url.scheme, url.host).or_else(|| match url.user {
        Some(user) if !user.chars().all(fits_user) => Some("net/url: invalid userinfo".to_owned()),
        // The name, and the password after it.
        Some(user) => user.splitn(2, ':').find_map(escape_fault),
        None => None,
    })
}

fn fits_user(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c)
}

/// What is wrong with a host and its port. Only hosts of the web have no colon but the one before the port.
fn host_fault(scheme: &str, host: &str) -> Option<String> {
    let Some(bracket) = host.rfind('[') else {
        let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
        let colon = if is_web { host.find(':') } else { host.rfind(':') };
        return port_fault(colon.map_or("", |at| &host[at..])).or_else(|| name_fault(host));
    };
    if bracket > 0 {
        return Some(NO_LITERAL.to_owned());
    }
    let Some((literal, port)) = host[1..].rsplit_once(']') else { return Some("missing ']' in host".to_owned()) };
    port_fault(port).or_else(|| name_fault(literal)).or_else(|| literal_fault(literal))
}

fn port_fault(port: &str) -> Option<String> {
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = port.strip_prefix(':').map_or(port.is_empty(), is_number);
    (!fits).then(|| format!("invalid port {} after host", go_quote(port)))
}

fn name_fault(host: &str) -> Option<String> {
    let fits = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(c);
    host.char_indices().find_map(|(at, c)| match c {
        '%' => (!is_host_escape(&host[at..])).then(|| no_escape(&host[at..])),
        c => (!fits(c)).then(|| format!("invalid character {} in host name", go_quote(&c.to_string()))),
    })
}

/// Brackets are for IPv6 addresses.
fn literal_fault(literal: &str) -> Option<String> {
    match addresses::parsed(&decoded_text(literal, false)?) {
        Ok((ip, _)) => ip.is_ipv4().then(|| NO_LITERAL.to_owned()),
        Err(why) => Some(format!("invalid host: {why}")),
    }
}

/// Whether a text begins with an escape.
fn is_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// In a host only what is not ASCII is escaped, and the sign that a zone follows.
fn is_host_escape(text: &str) -> bool {
    is_escape(text) && (text.starts_with("%25") || !text[1..].starts_with(|c: char| ('0'..='7').contains(&c)))
}

fn escape_fault(text: &str) -> Option<String> {
    let bad = text.match_indices('%').map(|(at, _)| &text[at..]).find(|rest| !is_escape(rest));
    bad.map(no_escape)
}

fn no_escape(text: &str) -> String {
    let shown: String = text.chars().take(3).collect();
    format!("invalid URL escape {}", go_quote(&shown))
}

fn host_and_port(host: &str) -> (&str, &str) {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (host, ""),
    };
    (host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host), port)
}

/// The bytes of a text without its escapes; `plus` also stands for a space where a form is told.
fn decoded(text: &str, plus: bool) -> Option<Vec<u8>> {
    if escape_fault(text).is_some() {
        return None;
    }
    let (mut bytes, mut out) = (text.bytes(), Vec::with_capacity(text.len()));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            b'+' if plus => b' ',
            byte => byte,
        });
    }
    Some(out)
}

fn decoded_text(text: &str, plus: bool) -> Option<String> {
    decoded(text, plus).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A path as it may be sent: as it was written, if nothing in it has to be escaped.
fn escaped(path: &str) -> String {
    let may_stay = |c: char| c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:@[]%/".contains(c);
    if path.chars().all(may_stay) {
        return path.to_owned();
    }
    let mut out = String::with_capacity(path.len());
    for byte in decoded(path, false).unwrap_or_else(|| path.as_bytes().to_vec()) {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
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
