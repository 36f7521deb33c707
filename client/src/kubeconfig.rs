//! The part of a kubeconfig file that finds a cluster and authenticates to it. Exec and auth-provider plugins are refused by name.

use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;

use crate::config::{Auth, Config};
use crate::error::Error;

/// The name of the cluster extension that lists all masters; kubectl ignores it.
const MASTERS_EXTENSION: &str = "mainstay.dev/masters";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    #[serde(default)]
    extensions: Vec<NamedExtension>,
}

#[derive(Deserialize)]
struct NamedExtension {
    name: String,
    extension: serde_json::Value,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
    namespace: Option<String>,
}

impl Config {
    /// Settings of the current context of a kubeconfig file.
    ///
    /// # Errors
    /// [`Error::Config`] with one line that names the file and what is wrong with it.
    pub fn from_kubeconfig(path: &Path) -> crate::Result<Self> {
        Self::from_kubeconfig_context(path, None)
    }

    /// Settings of one context (the current one if `None`) of a kubeconfig file.
    ///
    /// # Errors
    /// [`Error::Config`] with one line that names the file and what is wrong with it.
    pub fn from_kubeconfig_context(path: &Path, context: Option<&str>) -> crate::Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::Config(format!("cannot read kubeconfig {}: {e}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        parse(&text, folder, context).map_err(|why| Error::Config(format!("kubeconfig {}: {why}", path.display())))
    }
}

/// Reads a kubeconfig's text; relative paths in it are meant from `folder`.
fn parse(text: &str, folder: &Path, context: Option<&str>) -> Result<Config, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| format!("not a kubeconfig: {e}"))?;
    let wanted = context.unwrap_or(&file.current_context);
    let context = file.contexts.iter().find(|c| c.name == wanted);
    let context = &context.ok_or_else(|| format!("context {wanted:?} does not exist"))?.context;
    let cluster = file.clusters.iter().find(|c| c.name == context.cluster);
    let cluster = &cluster.ok_or_else(|| format!("cluster {:?} does not exist", context.cluster))?.cluster;
    let mut config = Config::new(servers(cluster));
    config.ca_pem = pem(&cluster.certificate_authority_data, &cluster.certificate_authority, folder)?;
    if cluster.insecure_skip_tls_verify == Some(true) && config.ca_pem.is_none() {
        return Err("insecure-skip-tls-verify is not supported; give the cluster's certificate-authority".into());
    }
    if let Some(user) = file.users.iter().find(|u| u.name == context.user) {
        config.auth = auth(&user.user, folder)?;
    }
    if let Some(namespace) = context.namespace.as_ref().filter(|n| !n.is_empty()) {
        config.namespace.clone_from(namespace);
    }
    Ok(config)
}

fn servers(cluster: &Cluster) -> Vec<String> {
    let mut all = vec![cluster.server.clone()];
    let listed = cluster.extensions.iter().find(|e| e.name == MASTERS_EXTENSION);
    let listed = listed.and_then(|e| e.extension["servers"].as_array()).cloned();
    for url in listed.unwrap_or_default() {
        if let Some(url) = url.as_str().filter(|u| *u != cluster.server) {
            all.push(url.to_owned());
        }
    }
    all
}

fn auth(user: &User, folder: &Path) -> Result<Auth, String> {
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err("exec and auth-provider users are not supported; use a client certificate or a token".into());
    }
    let cert = pem(&user.client_certificate_data, &user.client_certificate, folder)?;
    let key = pem(&user.client_key_data, &user.client_key, folder)?;
    if let (Some(cert_pem), Some(key_pem)) = (cert, key) {
        return Ok(Auth::Certificate { cert_pem, key_pem });
    }
    if let Some(token) = user.token.as_ref().filter(|t| !t.is_empty()) {
        return Ok(Auth::Token(token.clone()));
    }
    match &user.token_file {
        Some(path) => Ok(Auth::Token(read(folder, path)?.trim().to_owned())),
        None => Ok(Auth::None),
    }
}

fn pem(data: &Option<String>, path: &Option<String>, folder: &Path) -> Result<Option<String>, String> {
    if let Some(data) = data.as_ref().filter(|d| !d.is_empty()) {
        let bytes = base64::engine::general_purpose::STANDARD.decode(data.trim());
        let bytes = bytes.map_err(|e| format!("a *-data field is not base64: {e}"))?;
        return String::from_utf8(bytes).map(Some).map_err(|_| "a *-data field is not PEM".into());
    }
    path.as_ref().map(|p| read(folder, p)).transpose()
}

fn read(folder: &Path, path: &str) -> Result<String, String> {
    let path = folder.join(path);
    std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
apiVersion: v1
kind: Config
current-context: a
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: UEVN
    extensions:
    - name: mainstay.dev/masters
      extension: {servers: ["https://127.0.0.1:6443", "https://127.0.0.1:6444"]}
contexts:
- name: a
  context: {cluster: c, user: u, namespace: apps}
users:
- name: u
  user: {token: abc}
"#;

    #[test]
    fn finds_servers_ca_user_and_namespace() {
        let config = parse(TEXT, Path::new("."), None).unwrap();
        assert_eq!(config.servers, ["https://127.0.0.1:6443", "https://127.0.0.1:6444"]);
        assert_eq!(config.ca_pem.as_deref(), Some("PEM"));
        assert_eq!(config.namespace, "apps");
        assert!(matches!(config.auth, Auth::Token(ref t) if t == "abc"));
    }

    #[test]
    fn a_missing_context_is_named() {
        let error = parse(TEXT, Path::new("."), Some("b")).unwrap_err();
        assert_eq!(error, "context \"b\" does not exist");
    }
}
