//! How an operation is called, and what it is said to do.

/// `rbac.authorization.k8s.io` is `RbacAuthorization`, the core group is `Core`.
pub(super) fn group_word(group: &str) -> String {
    let name = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    name.split(['.', '-']).map(capital).collect()
}

/// What the operations of a group are tagged with.
pub(super) fn tag(group: &str) -> String {
    let word = if group.is_empty() { "core".to_owned() } else { group_word(group) };
    let first = word.chars().take(1).flat_map(char::to_lowercase);
    first.chain(word.chars().skip(1)).collect()
}

pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `method` is that of a connection, `watched` whether the kind can be watched too.
pub(super) fn phrase(verb: &str, kind: &str, sub: &str, watched: bool, method: Option<&str>) -> String {
    if let Some(method) = method {
        return format!("connect {} requests to {sub} of {kind}", method.to_uppercase());
    }
    let the = |verb: &str| match sub {
        "" => format!("{verb} the specified {kind}"),
        sub => format!("{verb} {sub} of the specified {kind}"),
    };
    let some = |verb: &str| match sub {
        "" => format!("{verb}{}{kind}", article(kind)),
        sub => format!("{verb} {sub} of{}{kind}", article(kind)),
    };
    let old = "deprecated: use the 'watch' parameter with a list operation instead";
    match verb {
        "list" if watched => format!("list or watch objects of kind {kind}"),
        "list" => format!("list objects of kind {kind}"),
        "watch" => format!(
            "watch changes to an object of kind {kind}. {old}, filtered to a single item with the 'fieldSelector' parameter."
        ),
        "watchlist" => format!("watch individual changes to a list of {kind}. {old}."),
        "update" => the("replace"),
        "patch" => the("partially update"),
        "create" => some("create"),
        "delete" => some("delete"),
        "deletecollection" => format!("delete collection of {kind}"),
        _ => the("read"),
    }
}

/// None for plurals.
fn article(noun: &str) -> &'static str {
    if noun.ends_with('s') && !noun.ends_with("ss") {
        return " ";
    }
    let vowel = noun.chars().next().is_some_and(|first| "aeiou".contains(first.to_ascii_lowercase()));
    if vowel { " an " } else { " a " }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_those_of_kubernetes() {
        let of = |verb, kind, sub| phrase(verb, kind, sub, true, None);
        assert_eq!(of("list", "Pod", ""), "list or watch objects of kind Pod");
        assert_eq!(of("create", "Ingress", ""), "create an Ingress");
        assert_eq!(of("create", "Endpoints", ""), "create Endpoints");
        assert_eq!(of("create", "Pod", "eviction"), "create eviction of a Pod");
        assert_eq!(of("get", "Deployment", "scale"), "read scale of the specified Deployment");
        assert_eq!(of("deletecollection", "Pod", ""), "delete collection of Pod");
        assert_eq!(phrase("list", "Widget", "", false, None), "list objects of kind Widget");
        assert_eq!(phrase("create", "Pod", "exec", true, Some("post")), "connect POST requests to exec of Pod");
    }
}
