//! A connection with the namespace that a command works in.

use anyhow::Result;
use clap::Args;
use mainstay_api::resource::Resource;
use mainstay_client::{Client, Config, DynamicApi, Target};

use crate::connect::{Connection, Rest};

/// Options of every verb.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Common {
    #[command(flatten)]
    connection: Connection,
    /// Namespace; the kubeconfig's if not given
    #[arg(long, short = 'n', global = true, value_name = "NS")]
    namespace: Option<String>,
}

/// What a verb works with.
pub(crate) struct Session {
    /// gRPC, with failover over the masters.
    pub(crate) client: Client,
    /// HTTPS, for what streams or is no object.
    pub(crate) rest: Rest,
    /// The namespace that was asked for, or the kubeconfig's.
    pub(crate) namespace: String,
    /// Whether it was asked for on the command line.
    pub(crate) namespace_given: bool,
}

impl Common {
    /// Connects. Must be called within a runtime.
    pub(crate) fn session(&self) -> Result<Session> {
        let config: Config = self.connection.config()?;
        let client = Client::connect(&config)?.on_warning(|text| eprintln!("Warning: {text}"));
        let rest = Rest::new(&config)?;
        let given = self.namespace.clone().filter(|namespace| !namespace.is_empty());
        let namespace_given = given.is_some();
        Ok(Session { client, rest, namespace: given.unwrap_or(config.namespace), namespace_given })
    }
}

impl Session {
    /// Objects of a kind in the session's namespace, or all of them if they have none.
    pub(crate) fn api(&self, row: &Resource) -> DynamicApi {
        self.api_in(row, &self.namespace)
    }

    /// Objects of a kind in a namespace; an empty one is the session's.
    pub(crate) fn api_in(&self, row: &Resource, namespace: &str) -> DynamicApi {
        let target = Target::new(&row.group, &row.version, &row.resource);
        let namespace = if namespace.is_empty() { &self.namespace } else { namespace };
        if row.namespaced {
            DynamicApi::namespaced(self.client.clone(), target, namespace)
        } else {
            self.everywhere(row)
        }
    }

    /// Objects of a kind in all namespaces.
    pub(crate) fn everywhere(&self, row: &Resource) -> DynamicApi {
        DynamicApi::all(self.client.clone(), Target::new(&row.group, &row.version, &row.resource))
    }

    /// The REST path of a kind's collection; `namespace` is `None` for all namespaces.
    pub(crate) fn path(row: &Resource, namespace: Option<&str>, name: &str) -> String {
        let root = if row.group.is_empty() {
            format!("/api/{}", row.version)
        } else {
            format!("/apis/{}/{}", row.group, row.version)
        };
        let place = match namespace.filter(|_| row.namespaced) {
            Some(namespace) => format!("/namespaces/{namespace}"),
            None => String::new(),
        };
        let name = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("{root}{place}/{}{name}", row.resource)
    }
}

/// A query string from pairs; empty values are left out.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let filled: Vec<String> =
        pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", escape(v))).collect();
    if filled.is_empty() { String::new() } else { format!("?{}", filled.join("&")) }
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
