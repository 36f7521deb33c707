//! URLs, taken apart as Go's `net/url` does and refused in its words.

use crate::address;
use crate::field::go_quote;

/// The address that stands for a whole server.
const ANYTHING: &str = "*";
const NO_LITERAL: &str = "invalid IP-literal";

/// What a URL consists of, as it was written. One that has a scheme but no authority has a path only if that is absolute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Url<'u> {
    /// Before the colon.
    pub scheme: &'u str,
    /// Before the host, with a password if there is one.
    pub user: Option<&'u str>,
    /// With its port.
    pub host: &'u str,
    /// From the first slash after the host.
    pub path: &'u str,
    /// After the question mark.
    pub query: &'u str,
    /// After the number sign.
    pub fragment: &'u str,
}

/// A URL that may be relative to another one, as `url.Parse` reads it.
///
/// # Errors
/// Go's words.
pub fn parse(text: &str) -> Result<Url<'_>, String> {
    let (own, fragment) = text.split_once('#').unwrap_or((text, ""));
    let url = parts(own, true);
    if let Some(why) = fault(own, &url, true) {
        return Err(told(own, &why));
    }
    escape_fault(fragment).map_or(Ok(Url { fragment, ..url }), |why| Err(told(text, &why)))
}

/// An address that a request could have, a path from the root or with a scheme, as `url.ParseRequestURI` reads it. A
/// fragment is not looked for: it is part of what it follows.
///
/// # Errors
/// Go's words.
pub fn parse_request(text: &str) -> Result<Url<'_>, String> {
    let url = parts(text, false);
    fault(text, &url, false).map_or(Ok(url), |why| Err(told(text, &why)))
}

fn told(text: &str, why: &str) -> String {
    format!("parse {}: {why}", go_quote(text))
}

fn is_scheme(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits)
}

/// `is_reference` lets a URL without a scheme have an authority, which those of requests have not.
fn parts(url: &str, is_reference: bool) -> Url<'_> {
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_located = !scheme.is_empty() || is_reference && !rest.starts_with("///");
    let Some(located) = rest.strip_prefix("//").filter(|_| is_located) else {
        let path = if scheme.is_empty() || rest.starts_with('/') { rest } else { "" };
        return Url { scheme, path, query, ..Url::default() };
    };
    let (authority, path) = located.split_at(located.find('/').unwrap_or(located.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    Url { scheme, user, host, path, query, ..Url::default() }
}

fn fault(text: &str, url: &Url<'_>, is_reference: bool) -> Option<String> {
    let said = |why: &str| Some(why.to_owned());
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return said("net/url: invalid control character in URL");
    }
    if text.is_empty() && !is_reference {
        return said("empty url");
    }
    if text.starts_with(':') {
        return said("missing protocol scheme");
    }
    if url.scheme.is_empty() && url.host.is_empty() && !url.path.starts_with('/') && text != ANYTHING {
        if !is_reference {
            return said("invalid URI for request");
        }
        if url.path.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return said("first path segment in URL cannot contain colon");
        }
    }
    authority_fault(url).or_else(|| escape_fault(url.path))
}

/// What is wrong with a host, or else with the user before it.
fn authority_fault(url: &Url<'_>) -> Option<String> {
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
    match address::parse(&decoded_text(literal, false)?) {
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

/// A host without its brackets, and its port.
pub(crate) fn host_and_port(host: &str) -> (&str, &str) {
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

/// Likewise as a text.
pub(crate) fn decoded_text(text: &str, plus: bool) -> Option<String> {
    decoded(text, plus).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A path as it may be sent: as it was written, if nothing in it has to be escaped.
pub(crate) fn escaped(path: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let whole = Url { scheme: "https", user: Some("u:p"), host: "h:1", path: "/a", query: "b=c", fragment: "d" };
        assert_eq!(parse("https://u:p@h:1/a?b=c#d"), Ok(whole));
        assert_eq!(parse("a/b").unwrap().path, "a/b");
        assert_eq!(parse("mailto:a@b.io"), Ok(Url { scheme: "mailto", ..Url::default() }));
        assert_eq!(parse(""), Ok(Url::default()));
        assert_eq!(parse("//h").unwrap().host, "h");
    }

    #[test]
    fn references_and_addresses_of_requests_are_refused_differently() {
        for (text, reference, request) in [
            ("a:b/c", None, None),
            ("1a:b/c", Some("first path segment in URL cannot contain colon"), Some("invalid URI for request")),
            ("a/b", None, Some("invalid URI for request")),
            ("", None, Some("empty url")),
            (":a", Some("missing protocol scheme"), Some("missing protocol scheme")),
            ("https://a#b", None, Some("invalid character \"#\" in host name")),
            ("https://a b", Some("invalid character \" \" in host name"), Some("invalid character \" \" in host name")),
        ] {
            let told = |why: &str| format!("parse {}: {why}", go_quote(text));
            assert_eq!(parse(text).err(), reference.map(told), "{text}");
            assert_eq!(parse_request(text).err(), request.map(told), "{text}");
        }
        assert_eq!(parse("/a#%zz").unwrap_err(), "parse \"/a#%zz\": invalid URL escape \"%zz\"");
        assert_eq!(parse("h:x#f").unwrap(), Url { scheme: "h", fragment: "f", ..Url::default() });
    }
}
