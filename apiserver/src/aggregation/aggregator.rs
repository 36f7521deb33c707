//! What the remote APIServices have said lately, and the TLS to speak with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mainstay_api::resource::Resource;
use mainstay_store::Term;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::backend::Unavailable;
use super::remote::{self, Remote};
use super::{API_SERVICES, CLIENT, GROUP, controller};
use crate::cache::Scope;
use crate::pki::{self, Issued, MasterPki, Profile};
use crate::rest::Rest;
use crate::startup;
use crate::strategy::Reader;

/// Remotes are asked again this often.
const ASK: Duration = Duration::from_secs(10);
/// And this soon after an APIService, a service or its endpoints have changed.
const SOON: Duration = Duration::from_millis(200);

/// The remotes' resources, and the certificate that this master shows them.
pub(crate) struct Aggregator {
    identity: Issued,
    rows: RwLock<BTreeMap<String, Vec<Resource>>>,
}

impl Aggregator {
    /// Makes the certificate.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn new(pki: &MasterPki) -> pki::PkiResult<Self> {
        let identity = pki::Identity { user: CLIENT.to_owned(), group: None };
        Ok(Self { identity: pki.ca.issue(&Profile::Client(identity))?, rows: RwLock::default() })
    }

    /// The rows of all remotes that are available.
    pub fn rows(&self) -> Vec<Resource> {
        self.rows.read().values().flatten().cloned().collect()
    }

    /// The client side of TLS with a remote.
    ///
    /// # Errors
    /// If there is nothing to verify it with.
    pub fn tls(&self, remote: &Remote) -> Result<rustls::ClientConfig, String> {
        let verifier =
            if remote.insecure { pki::any_server() } else { crate::extension::server_verifier(&remote.roots)? };
        pki::client_config_with(verifier, &self.identity).map_err(|error| error.to_string())
    }

    fn keep(&self, remote: &Remote, found: &Result<Value, Unavailable>) {
        let mut rows = self.rows.write();
        match found {
            Ok(list) => drop(rows.insert(remote.name.clone(), remote::rows(remote, list))),
            Err(_) => drop(rows.remove(&remote.name)),
        }
    }

    fn forget_others(&self, remotes: &[Remote]) {
        self.rows.write().retain(|name, _| remotes.iter().any(|remote| remote.name == *name));
    }
}

/// Asks the remotes until the server stops; the leader writes down what became of it.
pub(crate) async fn run(rest: Arc<Rest>, stop: CancellationToken) {
    let caches = rest.engine.caches().clone();
    let mut events = caches.of(GROUP, API_SERVICES).subscribe(Scope::All, None).events;
    let mut slices = caches.of("discovery.k8s.io", "endpointslices").subscribe(Scope::All, None).events;
    loop {
        pass(&rest).await;
        rest.startup.finish(startup::REMOTES);
        let again = async {
            // With nobody else to ask there is nothing to hear of endpoints either.
            if Remote::all(&rest.engine.reader).is_empty() {
                return events.recv().await.is_some();
            }
            tokio::select! {
                event = events.recv() => event.is_some(),
                event = slices.recv() => event.is_some(),
                () = tokio::time::sleep(ASK) => true,
            }
        };
        tokio::select! {
            open = again => if !open {
                events = caches.of(GROUP, API_SERVICES).subscribe(Scope::All, None).events;
                slices = caches.of("discovery.k8s.io", "endpointslices").subscribe(Scope::All, None).events;
            },
            () = stop.cancelled() => return,
        }
        tokio::time::sleep(SOON).await;
        while events.try_recv().is_ok() {}
        while slices.try_recv().is_ok() {}
    }
}

async fn pass(rest: &Arc<Rest>) {
    let remotes = Remote::all(&rest.engine.reader);
    rest.aggregator.forget_others(&remotes);
    let asked = remotes.iter().map(|remote| async move {
        let found = crate::rest::discover(rest, remote).await;
        (remote, found)
    });
    for (remote, found) in futures::future::join_all(asked).await {
        rest.aggregator.keep(remote, &found);
        let leadership = rest.engine.store.leadership().borrow().clone();
        if leadership.acting {
            tell(rest, leadership.term, remote, &found).await;
        }
    }
}

async fn tell(rest: &Rest, term: Term, remote: &Remote, found: &Result<Value, Unavailable>) {
    let Some(object) = rest.engine.reader.get(GROUP, API_SERVICES, "", &remote.name) else { return };
    let Some(status) = status(&object, found, &mainstay_api::time::seconds(Timestamp::now())) else { return };
    if let Err(why) = controller::tell(&rest.engine, term, &remote.name, status).await {
        tracing::debug!(name = remote.name, error = %why.message, "an APIService's status is written later");
    }
}

/// The status after a check, if it is another than before.
fn status(object: &Value, found: &Result<Value, Unavailable>, now: &str) -> Option<Value> {
    let (word, reason, message) = match found {
        Ok(_) => ("True", "Passed", "all checks passed"),
        Err(why) => ("False", why.reason, why.message.as_str()),
    };
    let before = remote::available(object);
    if before.is_some_and(|old| old["status"] == word && old["reason"] == reason && old["message"] == message) {
        return None;
    }
    let since = before.filter(|old| old["status"] == word).and_then(|old| old["lastTransitionTime"].as_str());
    Some(json!({"conditions": [{
        "type": "Available", "status": word, "lastTransitionTime": since.unwrap_or(now),
        "reason": reason, "message": message,
    }]}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_when_it_changes() {
        let fresh = status(&json!({}), &Ok(json!({})), "t1").unwrap();
        assert_eq!(fresh["conditions"][0]["reason"], "Passed");
        let object = json!({"status": fresh});
        assert_eq!(status(&object, &Ok(json!({})), "t2"), None);
        let lost = Unavailable { reason: "MissingEndpoints", message: "m".into() };
        let down = status(&object, &Err(lost.clone()), "t2").unwrap();
        assert_eq!(down["conditions"][0]["lastTransitionTime"], "t2");
        let other = Unavailable { message: "n".into(), ..lost };
        let still = status(&json!({"status": down}), &Err(other), "t3").unwrap();
        assert_eq!(still["conditions"][0]["lastTransitionTime"], "t2");
    }
}
