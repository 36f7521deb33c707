//! The server's own decoders meet inputs that nobody would write; those of the `api` crate do in its tests.

#[path = "../../api/tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../api/tests/fuzz/run.rs"]
mod run;

use std::path::Path;

use http::{Method, Uri};
use mainstay_api::numbers::go_duration;

use crate::authz;
use crate::rest::path::RequestInfo;
use crate::rest::query::Query;

fn fuzz(name: &'static str, seeds: &'static [&'static [u8]], target: fn(&[u8])) {
    run::fuzz(name, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crashes"), seeds, target);
}

static PATHS: [&[u8]; 8] = [
    b"/api/v1/namespaces/n/pods/p/status",
    b"/apis/apps/v1/namespaces/n/deployments?labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&limit=5&watch=1",
    b"/api/v1/watch/namespaces/n/pods?timeoutSeconds=3&resourceVersion=0&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    b"/api/v1/namespaces/n",
    b"/api/v1/namespaces/n/pods/p/proxy/a/b//c?x=y",
    b"/apis//v1/%2e%2e/%00/",
    b"/openapi/v3/apis/apps/v1",
    b"//",
];

/// What is judged is what is answered, however odd the path.
#[test]
fn paths_and_queries() {
    fuzz("paths", &PATHS, |data| {
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
        for (_, value) in query.pairs() {
            drop(std::hint::black_box(go_duration(value)));
        }
    });
}

static POLICIES: [&[u8]; 1] = [
    b"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- {level: None, users: [a], nonResourceURLs: ['/x*']}\n- {level: Request, resources: [{group: '', resources: [pods/*]}]}\n",
];

#[test]
fn audit_policies() {
    fuzz("policies", &POLICIES, |data| {
        drop(std::hint::black_box(crate::audit::Policy::parse(&String::from_utf8_lossy(data))));
    });
}
