//! `mainstay auth`: what the caller may do, and who the caller is.

mod rules;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, Target};
use serde_json::{Value, json};

use super::session::{Common, Session};
use super::table::align;
use super::{kinds, print};

/// The verbs of the API's resources and of paths, and those that only rules know.
const VERBS: [&str; 20] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "escalate",
    "approve",
    "sign",
    "attest",
    "put",
    "post",
    "head",
    "options",
    "*",
];

/// Whom one may impersonate: no kinds, but rules speak of them.
const ONLY_IN_RULES: [&str; 2] = ["users", "groups"];

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
        #[arg(required_unless_present = "list", conflicts_with = "list")]
        verb: Option<String>,
        /// Kind, KIND/NAME, or a path that begins with a slash
        #[arg(required_unless_present = "list", conflicts_with = "list")]
        target: Option<String>,
        /// Print all that is allowed in the namespace
        #[arg(long)]
        list: bool,
        /// No titles over the columns of the list
        #[arg(long, requires = "list")]
        no_headers: bool,
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
        What::CanI { list: true, no_headers, all_namespaces, .. } => {
            let namespace = if all_namespaces { "" } else { session.namespace.as_str() };
            rules::list(&session, namespace, no_headers).await
        }
        What::CanI { verb, target, subresource, all_namespaces, quiet, .. } => {
            let (verb, target) = (verb.unwrap_or_default(), target.unwrap_or_default());
            if !VERBS.contains(&verb.as_str()) {
                eprintln!("Warning: verb '{verb}' is not a known verb\n");
            }
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
    let Resource { group, resource, namespaced, .. } = asked_about(session, kind).await?;
    let namespace = if all || !namespaced { "" } else { &session.namespace };
    if !namespaced && !all && !session.namespace.is_empty() {
        let place = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
        eprintln!("Warning: resource '{resource}' is not namespace scoped{place}\n");
    }
    Ok(json!({"verb": verb, "group": group, "resource": resource, "name": name,
        "namespace": namespace, "subresource": subresource}))
}

/// The kind that a word names. What is no kind is asked about as it stands: there may be a rule for it.
async fn asked_about(session: &Session, word: &str) -> Result<Resource> {
    let unknown = |word: &str| Resource { resource: word.to_owned(), namespaced: true, ..Resource::default() };
    if word == "*" || ONLY_IN_RULES.contains(&word) {
        return Ok(unknown(word));
    }
    match kinds::find(session, word).await {
        // The server did not answer, or did not let us see what there is.
        Err(error) if error.downcast_ref::<mainstay_client::Error>().is_some() => Err(error),
        Err(_) => {
            let what = word.split_once('.').map(|(kind, group)| format!("'{kind}' in group '{group}'"));
            let what = what.unwrap_or_else(|| format!("'{word}'"));
            eprintln!("Warning: the server doesn't have a resource type {what}\n");
            Ok(unknown(word))
        }
        found => found,
    }
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
    let mut grid = vec![["ATTRIBUTE".to_owned(), "VALUE".to_owned()].to_vec()];
    let mut row = |title: &str, value: String| grid.push(vec![title.to_owned(), value]);
    row("Username", name.to_owned());
    if let Some(uid) = user["uid"].as_str().filter(|uid| !uid.is_empty()) {
        row("UID", uid.to_owned());
    }
    row("Groups", words(&user["groups"]));
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        row(&format!("Extra: {key}"), words(values));
    }
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    Ok(ExitCode::SUCCESS)
}

fn words(list: &Value) -> String {
    let words: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!("[{}]", words.join(" "))
}
