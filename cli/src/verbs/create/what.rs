//! What `mainstay create` makes without a file.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::super::session::Session;
use super::data::{Data, SecretArgs};
use super::rbac::{BindingArgs, RoleArgs};
use super::service::ServiceArgs;
use super::token::TokenArgs;
use super::workload::{CronJobArgs, DeploymentArgs, JobArgs};

#[derive(Subcommand)]
pub(super) enum What {
    /// A deployment
    #[command(visible_alias = "deploy")]
    Deployment(DeploymentArgs),
    /// A job
    Job(JobArgs),
    /// A cron job
    #[command(name = "cronjob", visible_alias = "cj")]
    CronJob(CronJobArgs),
    /// A namespace
    #[command(visible_alias = "ns")]
    Namespace {
        /// Its name
        name: String,
    },
    /// A config map
    #[command(visible_alias = "cm")]
    Configmap {
        /// Its name
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// A secret
    Secret(SecretArgs),
    /// A service account
    #[command(visible_alias = "sa")]
    Serviceaccount {
        /// Its name
        name: String,
    },
    /// A token of a service account
    Token(TokenArgs),
    /// A role
    Role(RoleArgs),
    /// A role for the whole cluster
    #[command(name = "clusterrole")]
    ClusterRole(RoleArgs),
    /// A role for somebody
    #[command(name = "rolebinding")]
    RoleBinding(BindingArgs),
    /// A role for somebody in the whole cluster
    #[command(name = "clusterrolebinding")]
    ClusterRoleBinding(BindingArgs),
    /// A service
    #[command(visible_alias = "svc")]
    Service(ServiceArgs),
    /// A quota
    #[command(visible_alias = "resourcequota")]
    Quota {
        /// Its name
        name: String,
        /// Limits: pods=10,cpu=4
        #[arg(long, value_delimiter = ',')]
        hard: Vec<String>,
    },
}

impl What {
    /// The object that is asked for.
    pub(super) async fn object(&self, session: &Session) -> Result<Value> {
        Ok(match self {
            Self::Deployment(args) => args.object(),
            Self::Job(args) => args.object(session).await?,
            Self::CronJob(args) => args.object(),
            Self::Namespace { name } => {
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}, "status": {}})
            }
            Self::Serviceaccount { name } => {
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
            }
            Self::Configmap { name, data } => config_map(name, data)?,
            Self::Secret(args) => args.object()?,
            Self::Role(args) => args.object(session, "Role").await?,
            Self::ClusterRole(args) => args.object(session, "ClusterRole").await?,
            Self::RoleBinding(args) => args.object("RoleBinding")?,
            Self::ClusterRoleBinding(args) => args.object("ClusterRoleBinding")?,
            Self::Service(args) => args.object()?,
            Self::Quota { name, hard } => quota(name, hard)?,
            // It is no object: the caller has it printed.
            Self::Token(_) => Value::Null,
        })
    }

    /// What is said before the server's words when it refuses; nothing if they stand alone.
    pub(super) fn failure(&self) -> Option<String> {
        Some(match self {
            Self::Namespace { .. } | Self::Role(_) | Self::ClusterRole(_) | Self::Token(_) => return None,
            Self::Deployment(_) => "deployment:".to_owned(),
            Self::Job(_) => "job:".to_owned(),
            Self::CronJob(_) => "cronjob:".to_owned(),
            Self::Configmap { .. } => "configmap:".to_owned(),
            Self::Secret(_) => "secret".to_owned(),
            Self::Serviceaccount { .. } => "serviceaccount:".to_owned(),
            Self::RoleBinding(_) => "rolebinding:".to_owned(),
            Self::ClusterRoleBinding(_) => "clusterrolebinding:".to_owned(),
            Self::Service(args) => format!("{} service:", args.sort()),
            Self::Quota { .. } => "quota:".to_owned(),
        })
    }
}

/// What is not UTF-8 goes to binaryData.
fn config_map(name: &str, data: &Data) -> Result<Value> {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (key, value) in data.read("ConfigMap", name)? {
        match String::from_utf8(value) {
            Ok(text) => object["data"][key] = text.into(),
            Err(error) => object["binaryData"][key] = STANDARD.encode(error.as_bytes()).into(),
        }
    }
    Ok(object)
}

fn quota(name: &str, hard: &[String]) -> Result<Value> {
    let mut limits = Map::new();
    for limit in hard {
        let pair = limit.split_once('=').filter(|(_, value)| !value.contains('='));
        let wrong = || format!("Invalid argument syntax {limit}, expected <resource>=<value>");
        let (resource, value) = pair.with_context(wrong)?;
        limits.insert(resource.to_owned(), value.into());
    }
    let spec = if limits.is_empty() { json!({}) } else { json!({"hard": limits}) };
    Ok(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec, "status": {}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_has_a_limit_for_each_word() {
        let made = quota("q", &["pods=1".to_owned(), "cpu=2".to_owned()]).unwrap();
        assert_eq!(made["spec"], json!({"hard": {"pods": "1", "cpu": "2"}}));
        for wrong in ["pods", "a=b=c"] {
            let told = quota("q", &[wrong.to_owned()]).unwrap_err().to_string();
            assert_eq!(told, format!("Invalid argument syntax {wrong}, expected <resource>=<value>"));
        }
    }
}
