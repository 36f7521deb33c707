//! `mainstay create token`

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::super::session::Session;
use super::super::{kinds, print, wait};

#[derive(Args)]
pub(super) struct TokenArgs {
    /// The service account
    name: String,
    /// Whom the token is for; the API server if not given
    #[arg(long)]
    audience: Vec<String>,
    /// How long it is good for, for example 10m; what the server finds right if not given
    #[arg(long, value_parser = wait::seconds, value_name = "TIME")]
    duration: Option<u64>,
}

impl TokenArgs {
    /// Asks for a token and prints it.
    pub(super) async fn print(&self, session: &Session) -> Result<()> {
        let accounts = kinds::find(session, "serviceaccounts").await?;
        let body = self.request();
        let answer = session.api(&accounts).create_subresource(&self.name, "token", &body).await;
        let answer = answer.map_err(|error| anyhow!("failed to create token: {error}"))?;
        let token = answer["status"]["token"].as_str().filter(|token| !token.is_empty());
        print::line(token.context("failed to create token: no token in server response")?)
    }

    fn request(&self) -> Value {
        let mut spec = json!({});
        if !self.audience.is_empty() {
            spec["audiences"] = json!(self.audience);
        }
        if let Some(seconds) = self.duration {
            spec["expirationSeconds"] = json!(seconds);
        }
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    }
}
