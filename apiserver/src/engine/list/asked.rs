//! What is asked of a list, and which moment that means.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Revision;
use serde_json::Value;

use crate::engine::continuation::Continuation;
use crate::engine::read::parse_revision;

/// What is asked of a list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// Objects at the most; 0 or less: all.
    pub limit: i64,
    /// The token of the page before.
    pub continuation: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: String,
    /// `sendInitialEvents`, which is for watches only.
    pub send_initial_events: Option<bool>,
}

/// Where a list comes from.
pub(super) enum Source {
    /// The cache as it is once it has reached this revision.
    Cache(Option<Revision>),
    /// The cache once it shows every acknowledged write.
    Consistent,
    /// The store's history.
    Exactly(Revision),
}

/// Where the page before ended.
pub(super) fn page_before(options: &ListOptions, namespace: &str) -> ApiResult<Option<Continuation>> {
    if options.continuation.is_empty() {
        return Ok(None);
    }
    let after = Continuation::decode(&options.continuation, namespace)?;
    if !matches!(options.resource_version.as_str(), "" | "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(Some(after))
}

/// `one` says that the list is of one named object, which has no pages.
pub(super) fn source(options: &ListOptions, after: Option<&Continuation>, one: bool) -> ApiResult<Source> {
    if let Some(after) = after {
        return Ok(match u64::try_from(after.revision) {
            Ok(revision) => Source::Exactly(Revision(revision)),
            Err(_) => Source::Consistent,
        });
    }
    Ok(match (options.resource_version.as_str(), options.resource_version_match.as_str()) {
        ("", _) => Source::Consistent,
        ("0", _) => Source::Cache(None),
        (text, "Exact") => Source::Exactly(parse_revision(text)?),
        // Pages of a named revision are of just that one, as they were before matching could be asked for.
        (text, "") if options.limit > 0 && !one => Source::Exactly(parse_revision(text)?),
        (text, _) => Source::Cache(Some(parse_revision(text)?)),
    })
}

/// Checks which options may come together.
pub(super) fn validate(options: &ListOptions) -> ApiResult<()> {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let (version, matching) = (options.resource_version.as_str(), options.resource_version_match.as_str());
    if !matching.is_empty() {
        if version.is_empty() {
            errors
                .push(Error::forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if !options.continuation.is_empty() {
            errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.push(Error::not_supported(&path, Value::from(matching), &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && version == "0" {
            errors
                .push(Error::forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
        }
    }
    if options.send_initial_events.is_some() {
        errors.push(Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
    }
    crate::engine::options::finish("ListOptions", errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_revision_of_pages_is_exact() {
        let exact = |limit, matching: &str, one| {
            let options = ListOptions {
                limit,
                resource_version: "7".into(),
                resource_version_match: matching.into(),
                ..ListOptions::default()
            };
            matches!(source(&options, None, one), Ok(Source::Exactly(Revision(7))))
        };
        assert!(exact(0, "Exact", false) && exact(2, "Exact", true) && exact(2, "", false));
        assert!(!exact(0, "", false) && !exact(2, "NotOlderThan", false) && !exact(2, "", true));
    }

    #[test]
    fn a_page_is_judged_before_the_revision_that_is_named_with_it() {
        let refused = |continuation: &str| {
            let (continuation, resource_version) = (continuation.into(), "7".into());
            let options = ListOptions { continuation, resource_version, ..ListOptions::default() };
            page_before(&options, "").unwrap_err().message.into_owned()
        };
        assert!(refused("!!").starts_with("invalid continue token: "));
        let token = Continuation { revision: 7, after: "ns\0name".into(), left: None }.encode();
        assert_eq!(refused(&token), "specifying resource version is not allowed when using continue");
    }
}
