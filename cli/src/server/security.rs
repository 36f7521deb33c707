//! The flags about who gets in, how many at once, and what is written about it; named as kube-apiserver's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use mainstay_apiserver::SecurityConfig;
use mainstay_apiserver::audit::{AuditConfig, LogConfig, Policy};
use mainstay_apiserver::authn::{OidcConfig, OidcError};
use mainstay_apiserver::flow::FlowConfig;

use crate::verbs::wait;

/// A megabyte, as sizes of log files are given in.
const MEGABYTE: u64 = 1 << 20;
/// What a processor does at once without making everybody wait.
const SEATS_PER_PROCESSOR: u32 = 16;
/// The size of a log file if none is given, in megabytes.
const LOG_SIZE: u64 = 100;

/// Authentication, flow control and audit of `mainstay server`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SecurityArgs {
    /// Take ID tokens of this OpenID Connect issuer
    #[arg(long, value_name = "URL", requires = "oidc_client_id", help_heading = "OpenID Connect")]
    oidc_issuer_url: Option<String>,
    /// The audience that its tokens must be for
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url", help_heading = "OpenID Connect")]
    oidc_client_id: Option<String>,
    /// The claim that names the user
    #[arg(long, value_name = "CLAIM", default_value = "sub", help_heading = "OpenID Connect")]
    oidc_username_claim: String,
    /// Put before user names; the issuer's URL and # if not given, - for nothing
    #[arg(long, value_name = "PREFIX", help_heading = "OpenID Connect")]
    oidc_username_prefix: Option<String>,
    /// The claim that names the groups
    #[arg(long, value_name = "CLAIM", default_value = "", hide_default_value = true, help_heading = "OpenID Connect")]
    oidc_groups_claim: String,
    /// Put before group names
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true, help_heading = "OpenID Connect")]
    oidc_groups_prefix: String,
    /// Certificate authority of the issuer's server; the system's if not given
    #[arg(long, value_name = "FILE", help_heading = "OpenID Connect")]
    oidc_ca_file: Option<PathBuf>,
    /// A claim that tokens must have, with this value; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', help_heading = "OpenID Connect")]
    oidc_required_claim: Vec<String>,
    /// Algorithms that may sign
    #[arg(long, value_name = "ALG,…", value_delimiter = ',', default_value = "RS256", help_heading = "OpenID Connect")]
    oidc_signing_algs: Vec<String>,
    /// Several issuers, in an AuthenticationConfiguration; instead of the other flags
    #[arg(long, value_name = "FILE", conflicts_with = "oidc_issuer_url", help_heading = "OpenID Connect")]
    authentication_config: Option<PathBuf>,
    /// What the audit log is to hold, an audit.k8s.io/v1 Policy
    #[arg(long, value_name = "FILE", requires = "audit_log_path", help_heading = "Audit log")]
    audit_policy_file: Option<PathBuf>,
    /// The audit log; - for standard output
    #[arg(long, value_name = "FILE", requires = "audit_policy_file", help_heading = "Audit log")]
    audit_log_path: Option<PathBuf>,
    /// Megabytes of a log file before a new one is begun
    #[arg(long, value_name = "MB", default_value_t = LOG_SIZE, help_heading = "Audit log")]
    audit_log_maxsize: u64,
    /// Old log files to keep; 0: all
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Audit log")]
    audit_log_maxbackup: usize,
    /// Days to keep old log files; 0: for ever
    #[arg(long, value_name = "DAYS", default_value_t = 0, help_heading = "Audit log")]
    audit_log_maxage: u32,
    /// Requests that run at once, shared out by priority and fairness together with the mutating ones; if neither is
    /// given, 16 for each processor and 600 at the most
    #[arg(long, value_name = "N", help_heading = "Flow control")]
    max_requests_inflight: Option<u32>,
    /// Mutating requests that run at once; with both 0, nothing is limited
    #[arg(long, value_name = "N", help_heading = "Flow control")]
    max_mutating_requests_inflight: Option<u32>,
    /// How long a request may take that is neither a watch nor a stream, for example 60s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = wait::seconds, help_heading = "Flow control")]
    request_timeout: u64,
}

impl SecurityArgs {
    /// Reads the files that are named.
    pub(super) fn config(&self) -> Result<SecurityConfig> {
        Ok(SecurityConfig {
            oidc: match &self.authentication_config {
                Some(path) => OidcConfig::read_file(path)?,
                None => self.oidc()?.into_iter().collect(),
            },
            audit: self.audit()?,
            flow: FlowConfig { seats: self.seats() },
            request_timeout: Duration::from_secs(self.request_timeout.max(1)),
        })
    }

    /// More at once than the processors can do only lets a flood slow down everybody else.
    fn seats(&self) -> u32 {
        let given = [self.max_requests_inflight, self.max_mutating_requests_inflight];
        if given.iter().any(Option::is_some) {
            return given.into_iter().flatten().fold(0, u32::saturating_add);
        }
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        u32::try_from(processors)
            .unwrap_or(u32::MAX)
            .saturating_mul(SEATS_PER_PROCESSOR)
            .min(FlowConfig::default().seats)
    }

    fn oidc(&self) -> Result<Option<OidcConfig>> {
        let (Some(issuer), Some(client)) = (&self.oidc_issuer_url, &self.oidc_client_id) else { return Ok(None) };
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read --oidc-ca-file {}", path.display()))
        };
        let prefix = self.oidc_username_prefix.as_deref();
        Ok(Some(OidcConfig {
            issuer_url: issuer.clone(),
            discovery_url: None,
            audiences: vec![client.clone()],
            username_claim: self.oidc_username_claim.clone(),
            username_prefix: OidcConfig::prefix_of(prefix, issuer, &self.oidc_username_claim),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_prefix: self.oidc_groups_prefix.clone(),
            uid_claim: String::new(),
            ca_pem: self.oidc_ca_file.as_ref().map(read).transpose()?,
            required_claims: required(&self.oidc_required_claim)?,
            signing_algs: OidcConfig::algorithms(&self.oidc_signing_algs)?,
        }))
    }

    fn audit(&self) -> Result<Option<AuditConfig>> {
        let (Some(policy), Some(path)) = (&self.audit_policy_file, &self.audit_log_path) else { return Ok(None) };
        let megabytes = if self.audit_log_maxsize == 0 { LOG_SIZE } else { self.audit_log_maxsize };
        let log = LogConfig {
            path: path.clone(),
            max_bytes: megabytes.saturating_mul(MEGABYTE),
            max_backups: self.audit_log_maxbackup,
            max_age_days: self.audit_log_maxage,
        };
        Ok(Some(AuditConfig { policy: Policy::read(policy)?, log }))
    }
}

fn required(claims: &[String]) -> Result<BTreeMap<String, String>, OidcError> {
    let parts = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| OidcError::RequiredClaim(text.clone()))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    claims.iter().map(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_claims_are_pairs() {
        let found = required(&["hd=example.org".to_owned(), "a=b=c".to_owned()]).unwrap();
        assert_eq!(found["hd"], "example.org");
        assert_eq!(found["a"], "b=c");
        assert!(required(&["hd".to_owned()]).is_err());
    }
}
