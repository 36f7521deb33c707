//! Writes the administrator's kubeconfig.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mainstay_apiserver::pki::Issued;
use serde_json::json;

/// Where a kubeconfig leads.
pub(crate) struct Kubeconfig<'a> {
    /// The masters' API addresses; stock clients use the first.
    pub(crate) servers: &'a [String],
    /// The cluster's CA.
    pub(crate) ca_pem: &'a str,
    /// The administrator's certificate.
    pub(crate) identity: &'a Issued,
}

impl Kubeconfig<'_> {
    /// Writes the file so that only its owner can read it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_saphyr::to_string(&self.document()).context("cannot put the kubeconfig into words")?;
        write_private(path, text.as_bytes())
    }

    fn document(&self) -> serde_json::Value {
        let encoded = |text: &str| STANDARD.encode(text);
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mainstay",
            "clusters": [{"name": "mainstay", "cluster": {
                "server": self.servers.first().cloned().unwrap_or_default(),
                "certificate-authority-data": encoded(self.ca_pem),
                "extensions": [{"name": "mainstay.dev/masters", "extension": {"servers": self.servers}}],
            }}],
            "users": [{"name": "kubernetes-admin", "user": {
                "client-certificate-data": encoded(&self.identity.cert_pem),
                "client-key-data": encoded(&self.identity.key_pem),
            }}],
            "contexts": [{"name": "mainstay", "context": {"cluster": "mainstay", "user": "kubernetes-admin"}}],
        })
    }
}

/// Replaces a file at once, readable by its owner only.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}
