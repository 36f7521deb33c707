//! `mainstay auth`: what the caller may do, and who the caller is.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, Target};
use serde_json::{Value, json};

use super::session::{Common, Session};
use super::{kinds, print};

/// `mainstay auth`
#[derive(Args)]
pub(crate) struct AuthArgs {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Whether an action is allowed; exit code 1 if not
    #[command(name = "can-i")]
    CanI {
        /// get, list, watch, create, update, patch, delete, …
        verb: String,
        /// Kind, KIND/NAME, or a path that begins with a slash
        target: String,
        /// Subresource, such as log or status
        #[arg(long, default_value = "", hide_default_value = true)]
        subresource: String,
        /// In all namespaces
        #[arg(long, short = 'A')]
        all_namespaces: bool,
        /// Print nothing, only set the exit code
        #[arg(long, short = 'q')]
        quiet: bool,
    },
    /// Who the server says we are
    Whoami,
}

/// Asks.
pub(crate) async fn run(args: AuthArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    match args.what {
        What::CanI { verb, target, subresource, all_namespaces, quiet } => {
            let spec = if target.starts_with('/') {
                json!({"nonResourceAttributes": {"path": target, "verb": verb}})
            } else {
                let attributes = attributes(&session, &verb, &target, &subresource, all_namespaces).await?;
                json!({"resourceAttributes": attributes})
            };
            can_i(&session, &spec, quiet).await
        }
        What::Whoami => whoami(&session).await,
    }
}

async fn attributes(session: &Session, verb: &str, target: &str, subresource: &str, all: bool) -> Result<Value> {
    let (kind, name) = target.split_once('/').unwrap_or((target, ""));
    let Resource { group, resource, namespaced, .. } = kinds::find(session, kind).await?;
    let namespace = if all || !namespaced { "" } else { &session.namespace };
    if !namespaced && !all && !session.namespace.is_empty() {
        eprintln!("Warning: resource '{resource}' is not namespace scoped");
    }
    Ok(json!({"verb": verb, "group": group, "resource": resource, "name": name,
        "namespace": namespace, "subresource": subresource}))
}

async fn can_i(session: &Session, spec: &Value, quiet: bool) -> Result<ExitCode> {
    let reviews = Target::new("authorization.k8s.io", "v1", "selfsubjectaccessreviews");
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let status = DynamicApi::all(session.client.clone(), reviews).create(&review).await?["status"].take();
    let allowed = status["allowed"] == true;
    if !quiet {
        let reason = status["reason"].as_str().filter(|reason| !allowed && !reason.is_empty());
        let reason = reason.map(|reason| format!(" - {reason}")).unwrap_or_default();
        print::line(&format!("{}{reason}", if allowed { "yes" } else { "no" }))?;
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn whoami(session: &Session) -> Result<ExitCode> {
    let reviews = Target::new("authentication.k8s.io", "v1", "selfsubjectreviews");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = DynamicApi::all(session.client.clone(), reviews).create(&review).await?;
    let user = &answer["status"]["userInfo"];
    let Some(name) = user["username"].as_str() else { bail!("the server does not say who we are") };
    let groups: Vec<&str> = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    print::line("ATTRIBUTE   VALUE")?;
    print::line(&format!("Username    {name}"))?;
    print::line(&format!("Groups      [{}]", groups.join(" ")))?;
    Ok(ExitCode::SUCCESS)
}
