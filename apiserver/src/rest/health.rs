//! `/livez`, `/readyz` and `/healthz`, whole or check by check.

use http::Response;
use tonic::body::Body;

use super::Rest;
use super::filter::Admitted;
use super::respond;

/// A check and what is wrong with it.
type Check = (&'static str, Option<String>);

fn checks(rest: &Rest, ready: bool) -> Vec<Check> {
    let leader = rest.engine.store.leadership().borrow().leader.is_some();
    let mut checks = vec![("ping", None), ("log", None), ("etcd", (!leader).then(|| "no leader".to_owned()))];
    if ready {
        let lagging = rest.engine.caches().reached().0 == 0 && rest.engine.store.applied().0 > 0;
        checks.push(("informer-sync", lagging.then(|| "the watch caches are not filled".to_owned())));
        checks.push(("shutdown", rest.stop.is_cancelled().then(|| "process is shutting down".to_owned())));
    }
    checks
}

/// Answers a health path; `None` if it is none.
pub(crate) fn route(rest: &Rest, request: &Admitted) -> Option<Response<Body>> {
    let path = request.info.path.trim_end_matches('/');
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let whole = parts.next()?;
    if !matches!(whole, "livez" | "readyz" | "healthz") {
        return None;
    }
    let excluded = request.query.all("exclude");
    let checks: Vec<Check> = checks(rest, whole == "readyz")
        .into_iter()
        .filter(|(name, _)| !excluded.iter().any(|out| out == name))
        .collect();
    match parts.next() {
        None => Some(answer(whole, &checks, request.query.get("verbose").is_some())),
        Some(name) => match checks.iter().find(|(own, _)| *own == name) {
            Some((_, None)) => Some(respond::text(200, "ok")),
            Some((_, Some(why))) => Some(respond::text(500, format!("internal server error: {why}\n"))),
            None => Some(respond::text(404, "404 page not found\n")),
        },
    }
}

fn answer(whole: &str, checks: &[Check], verbose: bool) -> Response<Body> {
    let failed = checks.iter().any(|(_, wrong)| wrong.is_some());
    if !failed && !verbose {
        return respond::text(200, "ok");
    }
    let mut out: String = checks.iter().map(line).collect();
    out.push_str(&if failed { format!("{whole} check failed\n") } else { format!("{whole} check passed\n") });
    respond::text(if failed { 500 } else { 200 }, out)
}

fn line((name, wrong): &Check) -> String {
    match wrong {
        None => format!("[+]{name} ok\n"),
        Some(_) => format!("[-]{name} failed: reason withheld\n"),
    }
}
