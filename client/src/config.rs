//! Where the masters are and who we are to them.

use std::time::Duration;

/// How the caller proves who it is.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all: anonymous.
    #[default]
    None,
    /// A client certificate and its key, PEM.
    Certificate {
        /// The certificate chain.
        cert_pem: String,
        /// The private key.
        key_pem: String,
    },
    /// A bearer token.
    Token(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secret itself.
        f.write_str(match self {
            Auth::None => "None",
            Auth::Certificate { .. } => "Certificate",
            Auth::Token(_) => "Token",
        })
    }
}

/// A client's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API addresses of the masters, `https://host:port`; the first is tried first.
    pub servers: Vec<String>,
    /// The cluster's CA, PEM. None only for `http://` addresses.
    pub ca_pem: Option<String>,
    /// Who we are.
    pub auth: Auth,
    /// The namespace that commands use when none is named.
    pub namespace: String,
    /// A call fails after this long, retries included.
    pub timeout: Duration,
    /// One attempt at one master may take this long.
    pub attempt_timeout: Duration,
    /// Sent as user agent and as the default field manager.
    pub user_agent: String,
    /// Users to impersonate, as kubectl's `--as`.
    pub impersonate_user: Option<String>,
    /// Groups to impersonate, as kubectl's `--as-group`.
    pub impersonate_groups: Vec<String>,
}

impl Config {
    /// Settings for these masters, anonymous and without CA.
    pub fn new(servers: Vec<String>) -> Self {
        Config {
            servers,
            ca_pem: None,
            auth: Auth::None,
            namespace: "default".into(),
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            user_agent: "mainstay".into(),
            impersonate_user: None,
            impersonate_groups: Vec::new(),
        }
    }
}
