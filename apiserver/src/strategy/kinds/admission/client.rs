//! Where a webhook is.

use mainstay_api::field::{Error, go_quote};
use mainstay_api::names;

use crate::strategy::validate::{At, Errors};

const FORM: &str = "; desired format: https://host[/path]";

/// An address or a service.
pub(crate) fn client_config(at: &At<'_>, errors: &mut Errors) {
    let (url, service) = (at.opt("url"), at.opt("service"));
    match (url, service) {
        (Some(url), None) => self::url(&url, errors),
        (None, Some(service)) => self::service(&service, errors),
        _ => errors.0.push(Error::required(&at.path, "exactly one of url or service is required")),
    }
}

/// The parts of an address that are looked at.
#[derive(Default)]
struct Url<'a> {
    scheme: &'a str,
    user: &'a str,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

/// An address as Go takes it apart.
///
/// # Errors
/// Go's words.
fn parse(text: &str) -> Result<Url<'_>, String> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = split_scheme(rest)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(located) = rest.strip_prefix("//") else {
        let segment = rest.split('/').next().unwrap_or_default();
        return if scheme.is_empty() && segment.contains(':') {
            Err("first path segment in URL cannot contain colon".to_owned())
        } else {
            Ok(Url { scheme, query, fragment, ..Url::default() })
        };
    };
    let authority = located.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    check_host(host)?;
    Ok(Url { scheme, user, host, query, fragment })
}

/// A host with a port that is a number; of what no name of a host has the first is told.
fn check_host(host: &str) -> Result<(), String> {
    let port = match host.strip_prefix('[') {
        Some(inner) => inner.rsplit_once(']').ok_or("missing ']' in host")?.1,
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !port.strip_prefix(':').map_or(port.is_empty(), is_number) {
        return Err(format!("invalid port {} after host", go_quote(port)));
    }
    let fits = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match host.chars().find(|c| !fits(*c)) {
        Some(odd) => Err(format!("invalid character {} in host name", go_quote(&odd.to_string()))),
        None => Ok(()),
    }
}

fn split_scheme(text: &str) -> Result<(&str, &str), &'static str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    match end.filter(|end| text[*end..].starts_with(':')) {
        Some(0) => Err("missing protocol scheme"),
        Some(end) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok((&text[..end], &text[end + 1..])),
        _ => Ok(("", text)),
    }
}

fn url(at: &At<'_>, errors: &mut Errors) {
    let url = match parse(at.str()) {
        Ok(url) => url,
        Err(why) => {
            let why = format!("url must be a valid URL: parse {}: {why}{FORM}", go_quote(at.str()));
            return errors.required(at, &why);
        }
    };
    let mut wrong = |shown: &str, why: &str| errors.0.push(Error::invalid(&at.path, shown, why));
    if url.scheme != "https" {
        wrong(url.scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host.is_empty() {
        wrong(url.host, &format!("host must be specified{FORM}"));
    }
    for (part, what) in [
        (url.user, "user information is not permitted in the URL"),
        (url.fragment, "fragments are not permitted in the URL"),
        (url.query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            wrong(part, what);
        }
    }
}

fn service(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("name"));
    errors.needed(&at.get("namespace"));
    if let Some(port) = at.opt("port")
        && !names::is_port_number(port.int()).is_empty()
    {
        errors.invalid(&port, "port is not valid: must be between 1 and 65535, inclusive");
    }
    let path = at.get("path");
    if matches!(path.str(), "" | "/") {
        return;
    }
    if !path.str().starts_with('/') {
        errors.invalid(&path, "must start with a '/'");
    }
    let inner = path.str().get(1..).unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (index, step) in inner.split('/').enumerate() {
        if errors.are_many() {
            return;
        }
        if step.is_empty() {
            errors.invalid(&path, format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in names::is_dns1123_subdomain(step) {
            errors.invalid(&path, format!("segment[{index}]: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_not_told_of_for_each_of_its_slashes() {
        let service = json!({"name": "s", "namespace": "n", "path": "/".repeat(1000)});
        let mut errors = Errors::default();
        super::service(&At::root(&service), &mut errors);
        assert_eq!(errors.0.len(), 20);
        assert_eq!(errors.0[1].detail, "segment[1] may not be empty");
    }

    #[test]
    fn addresses_are_taken_apart_as_go_does() {
        let judge = |text: &str| {
            let mut errors = Errors::default();
            url(&At::root(&json!(text)), &mut errors);
            errors.0.iter().map(|error| error.detail.clone()).collect::<Vec<_>>()
        };
        assert!(judge("https://x.example.com:8443/hook").is_empty());
        assert_eq!(judge("x.example.com/hook").len(), 2);
        assert_eq!(judge("https://u@x/p?q#f").len(), 3);
        assert_eq!(judge("localhost:443/x").len(), 2);
        assert_eq!(
            judge("https://h:x/p"),
            [
                "url must be a valid URL: parse \"https://h:x/p\": invalid port \":x\" after host; desired format: https://host[/path]"
            ]
        );
        assert!(judge("https://a b/p")[0].contains("invalid character \" \" in host name"));
        assert!(judge("https://[::1]:8443/p").is_empty());
        assert!(judge("https://[::1]x/p")[0].contains("invalid port \"x\" after host"));
        assert!(judge("https://[::1/p")[0].contains("missing ']' in host"));
        assert_eq!(
            judge("127.0.0.1:443/x"),
            [
                "url must be a valid URL: parse \"127.0.0.1:443/x\": first path segment in URL cannot contain colon; desired format: https://host[/path]"
            ]
        );
    }
}
