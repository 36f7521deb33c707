//! The kinds that a policy's rules name.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::admissionregistration::v1::{NamedRuleWithOperations, ParamKind, ValidatingAdmissionPolicySpec};

use crate::cel::Type;
use crate::cel::builtin::type_of_kind;
use crate::cel::schema::type_of_custom;
use crate::resource::{Resource, builtin, split_api_version};

/// Kinds of one rule after which no more are looked for.
const MOST_KINDS: usize = 10;

/// A kind of objects; shown as Kubernetes shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    group: String,
    version: String,
    name: String,
}

impl Kind {
    /// The kind of a policy's parameters.
    pub(super) fn of_params(kind: &ParamKind) -> Self {
        let (group, version) = split_api_version(kind.api_version.as_deref().unwrap_or_default());
        let name = kind.kind.clone().unwrap_or_default();
        Self { group: group.to_owned(), version: version.to_owned(), name }
    }

    fn of(row: &Resource) -> Self {
        Self { group: row.group.clone(), version: row.version.clone(), name: row.kind.clone() }
    }

    /// The type of the kind's objects; `None` if the kind is not known.
    pub(super) fn object_type(&self, custom: &[Resource]) -> Option<Type> {
        let of = match type_of_kind(&self.group, &self.version, &self.name) {
            Some(of) => of,
            None => {
                let row = custom.iter().find(|row| Self::of(row) == *self)?;
                row.schema.as_deref().and_then(type_of_custom).unwrap_or(Type::Dyn)
            }
        };
        Some(of.placed(&self.name))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.name)
    }
}

/// The kinds that the rules of a policy name, in order.
pub(super) fn kinds(spec: &ValidatingAdmissionPolicySpec, custom: &[Resource]) -> BTreeSet<Kind> {
    let rules = spec.match_constraints.iter().flat_map(|constraints| constraints.resource_rules.iter().flatten());
    let mut kinds = BTreeSet::new();
    for rule in rules {
        let named = named(rule);
        let rows =
            named.iter().flat_map(|wanted| builtin().iter().chain(custom).filter(move |row| serves(row, *wanted)));
        let found: Vec<Kind> = rows.take(MOST_KINDS).map(Kind::of).collect();
        let full = found.len() == MOST_KINDS;
        kinds.extend(found);
        if full {
            break;
        }
    }
    kinds
}

/// Group, version and name of each resource that a rule names. One with a wildcard for groups or versions names none;
/// subresources have kinds of their own.
fn named(rule: &NamedRuleWithOperations) -> Vec<[&str; 3]> {
    let (groups, versions) = (sorted(rule.api_groups.as_deref()), sorted(rule.api_versions.as_deref()));
    let mut resources = sorted(rule.resources.as_deref());
    resources.retain(|name| !name.contains(['*', '/']));
    let mut all = Vec::new();
    if groups.iter().chain(&versions).any(|name| name.contains('*')) {
        return all;
    }
    for group in groups {
        for version in &versions {
            all.extend(resources.iter().map(|resource| [group, *version, *resource]));
        }
    }
    all
}

fn sorted(names: Option<&[String]>) -> Vec<&str> {
    let mut names: Vec<&str> = names.unwrap_or_default().iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Whether a resource is the named one. Like every client that discovers resources, this takes an empty group for any.
fn serves(row: &Resource, [group, version, resource]: [&str; 3]) -> bool {
    let resource = resource.to_lowercase();
    (group.is_empty() || row.group == group)
        && row.version == version
        && (row.resource == resource || row.singular == resource)
}
