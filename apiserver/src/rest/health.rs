//! `/livez`, `/readyz` and `/healthz`, whole or check by check.

mod log;
mod outcomes;
mod steps;

use std::collections::BTreeSet;

use http::{HeaderValue, Response, header};
use mainstay_api::field::go_quote;
use tonic::body::Body;

use super::Rest;
use super::admitted::Admitted;
use super::respond;

pub(super) use log::LogWatch;
pub(super) use outcomes::Outcomes;

/// The paths of all checks.
static WHOLES: [&str; 3] = ["healthz", "livez", "readyz"];

/// Answers a health path; `None` if it is none.
pub(crate) fn route(rest: &Rest, request: &Admitted) -> Option<Response<Body>> {
    let (whole, check) = split(&request.info.path)?;
    let names = names(rest, whole);
    Some(match check {
        None => {
            let looked_at = |name: &str| {
                let fault = fault(rest, name);
                rest.outcomes.note(whole, name, fault.is_none());
                fault
            };
            let excluded = request.query.all("exclude").into_iter().collect();
            let verbose = request.query.get("verbose").is_some();
            let (code, text) = told(whole, &names, excluded, verbose, looked_at);
            unsniffed(respond::text(code, text))
        }
        Some(name) if names.contains(&name) => match fault(rest, name) {
            None => respond::text(200, "ok"),
            Some(why) => unsniffed(respond::text(500, format!("internal server error: {why}\n"))),
        },
        Some(_) => unsniffed(respond::text(404, "404 page not found\n")),
    })
}

/// All health paths.
pub(crate) fn paths(rest: &Rest) -> impl Iterator<Item = String> {
    WHOLES.iter().flat_map(move |whole| {
        let names = names(rest, whole);
        std::iter::once(format!("/{whole}")).chain(names.into_iter().map(move |name| format!("/{whole}/{name}")))
    })
}

/// Which of the three a path is about, and which check of it.
fn split(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.strip_prefix('/')?;
    let (whole, check) = path.split_once('/').map_or((path, None), |(whole, check)| (whole, Some(check)));
    WHOLES.contains(&whole).then_some((whole, check))
}

/// The checks, in Kubernetes' order.
fn names(rest: &Rest, whole: &str) -> Vec<&'static str> {
    let mut names = vec!["ping", "log", "etcd"];
    if whole == "readyz" {
        names.extend(["etcd-readiness", "informer-sync"]);
    }
    names.extend(steps::names(rest.gate.flow.is_on()));
    if whole == "readyz" {
        names.push("shutdown");
    }
    names
}

/// What is wrong, by a check.
fn fault(rest: &Rest, name: &str) -> Option<String> {
    match name {
        "ping" => None,
        "log" => rest.log.fault(),
        "etcd" | "etcd-readiness" => {
            let leader = rest.engine.store.leadership().borrow().leader.is_some();
            (!leader).then(|| "no leader".to_owned())
        }
        "informer-sync" => unfilled(rest),
        "shutdown" => rest.stop.is_cancelled().then(|| "process is shutting down".to_owned()),
        step => steps::fault(rest, step),
    }
}

/// What is wrong as long as the watch caches show nothing.
fn unfilled(rest: &Rest) -> Option<String> {
    let unfilled = rest.engine.caches().reached().0 == 0 && rest.engine.store.applied().0 > 0;
    unfilled.then(|| "the watch caches are not filled".to_owned())
}

/// What is told of all checks, but for those that are left out, and with which code.
fn told(
    whole: &str,
    names: &[&str],
    mut excluded: BTreeSet<String>,
    verbose: bool,
    fault: impl Fn(&str) -> Option<String>,
) -> (u16, String) {
    let (mut out, mut failed) = (String::new(), false);
    for name in names {
        if excluded.remove(*name) {
            out.push_str(&format!("[+]{name} excluded: ok\n"));
        } else if let Some(why) = fault(name) {
            // Whoever may see this path need not know why.
            tracing::debug!(name, why, "a health check fails");
            out.push_str(&format!("[-]{name} failed: reason withheld\n"));
            failed = true;
        } else {
            out.push_str(&format!("[+]{name} ok\n"));
        }
    }
    if !excluded.is_empty() {
        let unknown: Vec<String> = excluded.iter().map(|name| go_quote(name)).collect();
        let unknown = unknown.join(",");
        out.push_str(&format!("warn: some health checks cannot be excluded: no matches for {unknown}\n"));
    }
    match (failed, verbose) {
        (true, _) => (500, format!("{out}{whole} check failed\n")),
        (false, true) => (200, format!("{out}{whole} check passed\n")),
        (false, false) => (200, "ok".to_owned()),
    }
}

/// Tells browsers not to guess what the text is.
fn unsniffed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(excluded: &[&str], verbose: bool, broken: &str) -> (u16, String) {
        let excluded = excluded.iter().map(|name| (*name).to_owned()).collect();
        let fault = |name: &str| (name == broken).then(|| "secret".to_owned());
        told("livez", &["ping", "etcd", "poststarthook/a/b"], excluded, verbose, fault)
    }

    #[test]
    fn a_path_names_all_checks_or_one() {
        assert_eq!(split("/livez"), Some(("livez", None)));
        assert_eq!(split("/readyz/poststarthook/rbac/x"), Some(("readyz", Some("poststarthook/rbac/x"))));
        assert_eq!(split("/healthz/"), Some(("healthz", Some(""))));
        assert_eq!(split("/healthz2"), None);
    }

    #[test]
    fn what_is_well_is_told_at_length_if_that_is_asked() {
        assert_eq!(of(&[], false, ""), (200, "ok".to_owned()));
        let all = "[+]ping ok\n[+]etcd ok\n[+]poststarthook/a/b ok\nlivez check passed\n";
        assert_eq!(of(&[], true, ""), (200, all.to_owned()));
    }

    #[test]
    fn failures_are_told_without_reasons_and_always() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]poststarthook/a/b ok\nlivez check failed\n";
        assert_eq!(of(&[], false, "etcd"), (500, text.to_owned()));
    }

    #[test]
    fn checks_are_left_out_by_name() {
        assert_eq!(of(&["etcd"], false, "etcd"), (200, "ok".to_owned()));
        let (code, text) = of(&["z", "etcd", "b", "b"], true, "etcd");
        let warning = "warn: some health checks cannot be excluded: no matches for \"b\",\"z\"\n";
        let lines = "[+]ping ok\n[+]etcd excluded: ok\n[+]poststarthook/a/b ok\n";
        assert_eq!((code, text), (200, format!("{lines}{warning}livez check passed\n")));
    }
}
