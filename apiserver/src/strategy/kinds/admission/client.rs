//! Where a webhook is.

use mainstay_api::field::Error;
use mainstay_api::{names, url};

use crate::strategy::validate::{At, Errors};

const FORM: &str = "; desired format: https://host[/path]";

/// An address or a service.
pub(crate) fn client_config(at: &At<'_>, errors: &mut Errors) {
    let (url, service) = (at.opt("url"), at.opt("service"));
    match (url, service) {
        (Some(url), None) => address(&url, errors),
        (None, Some(service)) => self::service(&service, errors),
        _ => errors.0.push(Error::required(&at.path, "exactly one of url or service is required")),
    }
}

fn address(at: &At<'_>, errors: &mut Errors) {
    let url = match url::parse(at.str()) {
        Ok(url) => url,
        Err(why) => return errors.required(at, &format!("url must be a valid URL: {why}{FORM}")),
    };
    let mut wrong = |shown: &str, why: &str| errors.0.push(Error::invalid(&at.path, shown, why));
    if !url.scheme.eq_ignore_ascii_case("https") {
        wrong(&url.scheme.to_ascii_lowercase(), &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host.is_empty() {
        wrong(url.host, &format!("host must be specified{FORM}"));
    }
    let said = |part| Some(part).filter(|part: &&str| !part.is_empty());
    for (part, what) in [
        (url.user, "user information is not permitted in the URL"),
        (said(url.fragment), "fragments are not permitted in the URL"),
        (said(url.query), "query parameters are not permitted in the URL"),
    ] {
        if let Some(part) = part {
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
            address(&At::root(&json!(text)), &mut errors);
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
