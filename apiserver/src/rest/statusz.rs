//! `/statusz`: which release runs, since when, and where else to look; text, or an object for who asks for that.

use std::collections::BTreeSet;

use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use mainstay_api::status::ApiResult;
use mainstay_api::time;
use serde_json::{Value, json};
use tonic::body::Body;

use super::admitted::Admitted;
use super::discovery::KUBERNETES_VERSION;
use super::negotiate::{self, Form};
use super::{process, respond};

const NAME: &str = "apiserver";
/// The release whose behaviour is shown, without its patches.
const EMULATED: &str = "1.36";
/// Paths that tell of the API and not of the server.
const OF_THE_API: [&str; 5] = ["/.well-known", "/api", "/apis", "/openapi", "/openid"];

/// What a server says of itself.
struct Facts {
    started: Timestamp,
    /// Seconds since then.
    up: i64,
    /// The first segments of the paths that tell more.
    paths: BTreeSet<String>,
}

/// Answers the path of a server that serves these others.
///
/// # Errors
/// 406 if the client takes neither text nor the object.
pub(super) fn answer(request: &Admitted, served: &[String]) -> ApiResult<Response<Body>> {
    let now = Timestamp::now();
    let started = process::started().and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    let facts = Facts::of(started.unwrap_or(now), now, served);
    let Some((media, version)) = negotiate::page(request.header(header::ACCEPT), "Statusz")? else {
        return Ok(respond::text(200, facts.text()));
    };
    let pretty = negotiate::wants_pretty(&request.query, request.user_agent());
    let body = respond::encode(Form { media, pretty, ..Form::JSON }, &facts.object(version))?;
    let mut response = respond::bytes(200, media.content_type(), body);
    if version == "v1alpha1" {
        const OLD: &str = "299 - \"This version of the statusz endpoint is deprecated. Please use a newer version.\"";
        response.headers_mut().insert(header::WARNING, HeaderValue::from_static(OLD));
    }
    Ok(response)
}

impl Facts {
    fn of(started: Timestamp, now: Timestamp, served: &[String]) -> Self {
        let first = |path: &String| {
            let segment = path.split('/').nth(1).filter(|segment| !segment.is_empty())?;
            Some(format!("/{segment}")).filter(|first| !OF_THE_API.contains(&first.as_str()))
        };
        let up = (now.as_second() - started.as_second()).max(0);
        Self { started, up, paths: served.iter().filter_map(first).collect() }
    }

    fn text(&self) -> String {
        let started = self.started.strftime("%a %b %e %H:%M:%S UTC %Y");
        let (hours, minutes, seconds) = (self.up / 3600, self.up / 60 % 60, self.up % 60);
        let paths: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        let lines = [
            format!("\n{NAME} statusz"),
            "Warning: this page is for people, and its form may change.\n".to_owned(),
            format!("Started: {started}"),
            format!("Up: {hours} hr {minutes:02} min {seconds:02} sec"),
            "Go version: rust".to_owned(),
            format!("Binary version: {}", binary()),
            format!("Emulation version: {EMULATED}"),
            format!("Paths: {}\n", paths.join(" ")),
        ];
        lines.join("\n")
    }

    fn object(&self, version: &str) -> Value {
        json!({
            "kind": "Statusz",
            "apiVersion": format!("config.k8s.io/{version}"),
            "metadata": {"name": NAME},
            "startTime": time::seconds(self.started),
            "uptimeSeconds": self.up,
            "goVersion": "rust",
            "binaryVersion": binary(),
            "emulationVersion": EMULATED,
            "paths": self.paths,
        })
    }
}

fn binary() -> &'static str {
    KUBERNETES_VERSION.trim_start_matches('v')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let served = ["/api/v1", "/livez/ping", "/livez", "/metrics/slis", "/", "/version"].map(str::to_owned);
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        Facts::of(at("2026-01-02T03:04:05Z"), at("2026-01-02T05:05:09Z"), &served)
    }

    #[test]
    fn people_read_when_it_began() {
        let text = facts().text();
        assert!(text.starts_with("\napiserver statusz\nWarning: "), "{text}");
        assert!(text.contains("\n\nStarted: Fri Jan  2 03:04:05 UTC 2026\nUp: 2 hr 01 min 04 sec\n"), "{text}");
        assert!(text.ends_with("\nEmulation version: 1.36\nPaths: /livez /metrics /version\n"), "{text}");
    }

    #[test]
    fn programs_get_an_object() {
        let object = facts().object("v1beta1");
        assert_eq!((&object["apiVersion"], &object["uptimeSeconds"]), (&json!("config.k8s.io/v1beta1"), &json!(7264)));
        assert_eq!(object["paths"], json!(["/livez", "/metrics", "/version"]));
        assert_eq!(object["startTime"], "2026-01-02T03:04:05Z");
    }
}
