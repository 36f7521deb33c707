//! `mainstay auth can-i --list`: all that rules allow the caller in a namespace, in kubectl's order.

use std::process::ExitCode;

use anyhow::Result;
use mainstay_client::{DynamicApi, Target};
use serde_json::{Value, json};

use crate::verbs::print;
use crate::verbs::session::Session;
use crate::verbs::table::align;

const TITLES: [&str; 4] = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];

/// What one line allows: verbs on a resource or on an object, or a verb on a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    paths: Vec<String>,
}

/// Asks for the rules and prints them, with a title over each column unless they are to be `bare`.
pub(super) async fn list(session: &Session, namespace: &str, bare: bool) -> Result<ExitCode> {
    let reviews = Target::new("authorization.k8s.io", "v1", "selfsubjectrulesreviews");
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    let status = DynamicApi::all(session.client.clone(), reviews).create(&review).await?["status"].take();
    if status["incomplete"] == true {
        let why = status["evaluationError"].as_str().unwrap_or_default();
        eprintln!("warning: the list may be incomplete: {why}");
    }
    let titles = (!bare).then(|| TITLES.map(str::to_owned).to_vec());
    let grid: Vec<Vec<String>> = titles.into_iter().chain(allowed(&status).iter().map(Rule::cells)).collect();
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    Ok(ExitCode::SUCCESS)
}

/// The rules of an answer, those of one resource together.
fn allowed(status: &Value) -> Vec<Rule> {
    let rules = |field: &str| status[field].as_array().cloned().unwrap_or_default();
    let mut found: Vec<Rule> = Vec::new();
    for one in rules("resourceRules").iter().flat_map(of_resources) {
        match found.iter_mut().find(|rule| rule.is_about_what(&one)) {
            Some(rule) => rule.learn(one.verbs),
            None => found.push(one),
        }
    }
    found.extend(rules("nonResourceRules").iter().flat_map(of_paths));
    found.sort_by_cached_key(Rule::shown);
    found
}

/// A rule of an answer, taken apart: one verb on one resource, or on one object of it.
fn of_resources(rule: &Value) -> Vec<Rule> {
    let names: Vec<Vec<String>> = match texts(&rule["resourceNames"]) {
        none if none.is_empty() => vec![none],
        names => names.into_iter().map(|name| vec![name]).collect(),
    };
    let mut apart = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                apart.extend(names.iter().map(|names| Rule {
                    verbs: vec![verb.clone()],
                    groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    names: names.clone(),
                    paths: Vec::new(),
                }));
            }
        }
    }
    apart
}

fn of_paths(rule: &Value) -> Vec<Rule> {
    let one = |path: &String, verb| Rule { verbs: vec![verb], paths: vec![path.clone()], ..Rule::default() };
    let verbs = texts(&rule["verbs"]);
    texts(&rule["nonResourceURLs"])
        .iter()
        .flat_map(|path| verbs.iter().map(move |verb| one(path, verb.clone())))
        .collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rule {
    fn is_about_what(&self, other: &Self) -> bool {
        (&self.groups, &self.resources, &self.names) == (&other.groups, &other.resources, &other.names)
    }

    fn learn(&mut self, verbs: Vec<String>) {
        for verb in verbs {
            if !self.verbs.contains(&verb) {
                self.verbs.push(verb);
            }
        }
    }

    /// As Go prints a rule, by which kubectl sorts.
    fn shown(&self) -> String {
        let [verbs, groups, resources, names, paths] =
            [&self.verbs, &self.groups, &self.resources, &self.names, &self.paths].map(|list| bracketed(list));
        format!("Verbs:{verbs},APIGroups:{groups},Resources:{resources},ResourceNames:{names},NonResourceURLs:{paths},")
    }

    fn cells(&self) -> Vec<String> {
        vec![self.resource(), bracketed(&self.paths), bracketed(&self.names), bracketed(&self.verbs)]
    }

    /// `deployments.apps/scale`; nothing for a path.
    fn resource(&self) -> String {
        let Some(resource) = self.resources.first() else { return String::new() };
        let group = self.groups.first().filter(|group| !group.is_empty());
        let group = group.map(|group| format!(".{group}")).unwrap_or_default();
        match resource.split_once('/') {
            Some((resource, below)) => format!("{resource}{group}/{below}"),
            None => format!("{resource}{group}"),
        }
    }
}

fn bracketed(list: &[String]) -> String {
    format!("[{}]", list.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_one_resource_stand_together_and_in_order() {
        let status = json!({
            "resourceRules": [
                {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
                {"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"]},
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            ],
            "nonResourceRules": [{"verbs": ["get", "head"], "nonResourceURLs": ["/api"]}],
        });
        let lines: Vec<String> = allowed(&status).iter().map(|rule| rule.cells().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "*.* [] [] [*]",
                "deployments/scale [] [] [get list]",
                "deployments.apps/scale [] [] [get list]",
                "pods.apps [] [] [get list]",
                " [/api] [] [get]",
                "secrets [] [a] [get]",
                "secrets [] [b] [get]",
                " [/api] [] [head]",
                "pods [] [] [list get]",
            ]
        );
    }
}
