//! The server's own decoders meet inputs that nobody would write, in tests and, with the feature `fuzzing`, under a fuzzer;
//! those of the `api` crate do in its tests.

#[cfg(test)]
#[path = "../../api/tests/fuzz/mutate.rs"]
mod mutate;
#[cfg(test)]
#[path = "../../api/tests/fuzz/run.rs"]
mod run;

use http::{Method, Uri};
use mainstay_api::numbers::go_duration;

use crate::authz;
use crate::rest::path::RequestInfo;
use crate::rest::query::Query;

/// Paths and queries to begin from.
pub static PATHS: [&[u8]; 8] = [
    b"/api/v1/namespaces/n/pods/p/status",
    b"/apis/apps/v1/namespaces/n/deployments?labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&limit=5&watch=1",
    b"/api/v1/watch/namespaces/n/pods?timeoutSeconds=3&resourceVersion=0&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    b"/api/v1/namespaces/n",
    b"/api/v1/namespaces/n/pods/p/proxy/a/b//c?x=y",
    b"/apis//v1/%2e%2e/%00/",
    b"/openapi/v3/apis/apps/v1",
    b"//",
];

/// Paths and queries: what is judged is what is answered, however odd they are.
pub fn paths(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(uri) = text.parse::<Uri>() else { return };
    let query = Query::parse(uri.query());
    let watching = query.get("watch").is_some_and(|_| query.flag("watch"));
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let routed = RequestInfo::parse(&method, uri.path(), watching, None);
        let judged = authz::RequestInfo::of(&method, &uri).answered_as(&routed);
        assert_eq!(judged.is_resource, routed.is_resource, "{method} {uri}");
        if routed.is_resource {
            assert_eq!((&judged.resource, judged.verb.as_str()), (&routed.resource, routed.verb), "{method} {uri}");
        }
    }
    if let Some(timeout) = query.get("timeout") {
        drop(std::hint::black_box(go_duration(timeout)));
    }
}

/// An audit policy to begin from.
pub static POLICIES: [&[u8]; 1] = [
    b"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- {level: None, users: [a], nonResourceURLs: ['/x*']}\n- {level: Request, resources: [{group: '', resources: [pods/*]}]}\n",
];

/// Audit policies.
pub fn policies(data: &[u8]) {
    drop(std::hint::black_box(crate::audit::Policy::parse(&String::from_utf8_lossy(data))));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PATHS, POLICIES, paths, policies, run};

    fn fuzz(name: &'static str, seeds: &'static [&'static [u8]], target: fn(&[u8])) {
        run::fuzz(name, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crashes"), seeds, target);
    }

    #[test]
    fn odd_paths_and_queries() {
        fuzz("paths", &PATHS, paths);
    }

    #[test]
    fn odd_audit_policies() {
        fuzz("policies", &POLICIES, policies);
    }
}
