//! `mainstay taint`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use mainstay_client::Patch;
use serde_json::{Value, json};

use super::dry_run::{DryRun, DryRunArgs};
use super::selection::Unnamed;
use super::session::{Common, Session};
use super::{kinds, print};

/// `mainstay taint`
#[derive(Args)]
pub(crate) struct TaintArgs {
    #[command(flatten)]
    common: Common,
    /// Which nodes, and then KEY=VALUE:EFFECT to set, KEY:EFFECT- or KEY- to remove
    #[arg(required = true, value_name = "nodes NAME TAINT…")]
    words: Vec<String>,
    /// Replace taints of the same key and effect
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    unnamed: Unnamed,
    #[command(flatten)]
    dry_run: DryRunArgs,
}

/// What is to be set and removed.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    set: Vec<Value>,
    removed: Vec<Value>,
}

/// Taints.
pub(crate) async fn run(args: TaintArgs) -> Result<ExitCode> {
    let dry_run = args.dry_run.how()?;
    let end = args.words.iter().position(|word| is_taint(word)).unwrap_or(args.words.len());
    let (what, taints) = args.words.split_at(end);
    let changes = Changes::parse(taints)?;
    args.unnamed.check("setting 'all' parameter with a non empty selector is prohibited")?;
    let session = args.common.session()?;
    for node in nodes(&args, &session, what).await? {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let old = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let (new, done) = changes.applied(name, &old, args.overwrite)?;
        if dry_run != DryRun::Client {
            let row = kinds::find(&session, "nodes").await?;
            let patch = json!({"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                "spec": {"taints": new}});
            let api = session.everywhere(&row).manager("mainstay-taint").dry_run(dry_run == DryRun::Server);
            api.patch(name, "", &Patch::Merge(patch)).await?;
        }
        print::line(&format!("node/{name} {done}{}", dry_run.note()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn nodes(args: &TaintArgs, session: &Session, what: &[String]) -> Result<Vec<Value>> {
    let Some((kind, names)) = what.split_first() else { bail!("one or more resources must be specified: nodes NAME") };
    let row = kinds::find(session, kind).await?;
    if row.kind != "Node" {
        bail!("invalid resource type {kind}, only node types are supported");
    }
    let missing = "at least one resource name must be specified since 'all' parameter is not set";
    args.unnamed.or_named(&session.everywhere(&row), names, missing).await
}

fn is_taint(word: &str) -> bool {
    word.contains(['=', ':']) || word.ends_with('-')
}

impl Changes {
    fn parse(words: &[String]) -> Result<Self> {
        if words.is_empty() {
            bail!("at least one taint update is required");
        }
        let mut changes = Self::default();
        for word in words {
            if !is_taint(word) {
                bail!("all resources must be specified before taint changes: {word}");
            }
            match word.strip_suffix('-') {
                Some(taint) => changes.removed.push(parsed(taint)?),
                None if word.contains(':') => changes.set.push(parsed(word)?),
                None => bail!("unknown taint spec: {word}"),
            }
        }
        changes.check()?;
        Ok(changes)
    }

    /// What is set is not removed as well.
    fn check(&self) -> Result<()> {
        let both = |removed: &&Value| self.set.iter().any(|set| names(removed, set));
        let both: Vec<String> = self.removed.iter().filter(both).map(shown).collect();
        if !both.is_empty() {
            bail!("can not both modify and remove the following taint(s) in the same command: {}", both.join(", "));
        }
        Ok(())
    }

    /// The node's taints then, new ones first, and what is said of it.
    fn applied(&self, node: &str, old: &[Value], overwrite: bool) -> Result<(Vec<Value>, &'static str)> {
        let taken: Vec<&str> = self.set.iter().filter(|new| old.iter().any(|old| same(old, new))).map(key).collect();
        if !taken.is_empty() && !overwrite {
            bail!("node {node} already has {} taint(s) with same effect(s) and --overwrite is false", taken.join(","));
        }
        let mut taints = self.set.clone();
        taints.extend(old.iter().filter(|old| !self.set.iter().any(|new| same(old, new))).cloned());
        let (added, all) = (taints.len() != old.len(), taints.len());
        for removed in &self.removed {
            let before = taints.len();
            taints.retain(|taint| !names(removed, taint));
            if taints.len() == before {
                let effect = removed["effect"].as_str().map(|effect| format!(":{effect}")).unwrap_or_default();
                bail!("taint \"{}{effect}\" not found", key(removed));
            }
        }
        let deleted = taints.len() != all;
        Ok((
            taints,
            if overwrite || added && deleted {
                "modified"
            } else if added {
                "tainted"
            } else {
                "untainted"
            },
        ))
    }
}

fn key(taint: &Value) -> &str {
    taint["key"].as_str().unwrap_or_default()
}

/// Whether a taint is one of those that are removed by a key, with an effect or without.
fn names(removed: &Value, taint: &Value) -> bool {
    same(taint, removed) || removed["effect"].is_null() && key(taint) == key(removed)
}

/// `key=effect`
fn shown(removed: &Value) -> String {
    format!("{}={}", key(removed), removed["effect"].as_str().unwrap_or_default())
}

fn same(one: &Value, other: &Value) -> bool {
    key(one) == key(other) && one["effect"] == other["effect"]
}

/// `key`, `key:effect` or `key=value:effect`
fn parsed(word: &str) -> Result<Value> {
    let (pair, effect) = word.split_once(':').map_or((word, None), |(pair, effect)| (pair, Some(effect)));
    let (key, value) = pair.split_once('=').map_or((pair, None), |(key, value)| (key, Some(value)));
    if key.is_empty() {
        bail!("invalid taint spec: {word}");
    }
    let mut taint = json!({"key": key});
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        taint["value"] = json!(value);
    }
    match effect {
        None => {}
        Some("NoSchedule" | "PreferNoSchedule" | "NoExecute") => taint["effect"] = json!(effect),
        Some(other) => bail!("invalid taint effect: {other}, unsupported taint effect"),
    }
    Ok(taint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(words: &str, old: &Value, overwrite: bool) -> Result<(Vec<Value>, &'static str)> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        Changes::parse(&words)?.applied("n", old.as_array().unwrap(), overwrite)
    }

    #[test]
    fn taints_are_set_replaced_and_removed() {
        let old = json!([{"key": "a", "value": "b", "effect": "NoSchedule"}]);
        let none = json!([]);
        assert_eq!(applied("a=b:NoSchedule", &none, false).unwrap(), (old.as_array().unwrap().clone(), "tainted"));
        assert_eq!(applied("a:NoSchedule-", &old, false).unwrap(), (Vec::new(), "untainted"));
        assert_eq!(applied("a-", &old, false).unwrap(), (Vec::new(), "untainted"));
        let replaced = json!([{"key": "a", "value": "c", "effect": "NoSchedule"}]);
        let outcome = applied("a=c:NoSchedule", &old, true).unwrap();
        assert_eq!(outcome, (replaced.as_array().unwrap().clone(), "modified"));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let old = json!([{"key": "a", "effect": "NoSchedule"}]);
        let told = |words: &str| applied(words, &old, false).unwrap_err().to_string();
        let taken = "node n already has a taint(s) with same effect(s) and --overwrite is false";
        assert_eq!(told("a=c:NoSchedule"), taken);
        assert_eq!(told("b-"), "taint \"b\" not found");
        assert_eq!(told("a:NoExecute-"), "taint \"a:NoExecute\" not found");
        assert_eq!(told("x=y:Bad"), "invalid taint effect: Bad, unsupported taint effect");
        assert_eq!(told("x=y"), "unknown taint spec: x=y");
        let both = "can not both modify and remove the following taint(s) in the same command: ";
        assert_eq!(told("x=y:NoSchedule x-"), format!("{both}x="));
        assert_eq!(told("x=y:NoSchedule x:NoSchedule-"), format!("{both}x=NoSchedule"));
        assert_eq!(told("x=y:NoSchedule x:NoExecute-"), "taint \"x:NoExecute\" not found");
    }
}
