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
    let checks = checks(rest, whole == "readyz");
    match parts.next() {
        None => Some(answer(whole, &checks, &excluded, request.query.get("verbose").is_some())),
        Some(name) => match checks.iter().find(|(own, _)| *own == name) {
            Some((_, None)) => Some(respond::text(200, "ok")),
            Some((_, Some(why))) => Some(respond::text(500, format!("internal server error: {why}\n"))),
            None => Some(respond::text(404, "404 page not found\n")),
        },
    }
}

fn answer(whole: &str, checks: &[Check], excluded: &[String], verbose: bool) -> Response<Body> {
    let is_excluded = |name: &str| excluded.iter().any(|out| out == name);
    let failed = checks.iter().any(|(name, wrong)| wrong.is_some() && !is_excluded(name));
    if !failed && !verbose {
        return respond::text(200, "ok");
    }
    let mut out: String = checks
        .iter()
        .map(|check| if is_excluded(check.0) { format!("[+]{} excluded: ok\n", check.0) } else { line(check) })
        .collect();
    let unknown: Vec<String> = excluded
        .iter()
        .filter(|name| checks.iter().all(|(own, _)| own != name))
        .map(|name| super::query::go_quote(name))
        .collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        out.push_str(&format!("warn: some health checks cannot be excluded: no matches for {names}\n"));
    }
    out.push_str(&if failed { format!("{whole} check failed\n") } else { format!("{whole} check passed\n") });
    respond::text(if failed { 500 } else { 200 }, out)
}

fn line((name, wrong): &Check) -> String {
    match wrong {
        None => format!("[+]{name} ok\n"),
        Some(_) => format!("[-]{name} failed: reason withheld\n"),
    }
}
