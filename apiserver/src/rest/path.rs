//! What a URL path asks for: the attributes that authorization judges and that routing follows.

/// What a path itself watches, as paths once did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldWatch {
    /// It does not say that it watches.
    #[default]
    None,
    /// All objects of a place.
    Collection,
    /// The object that it names.
    Object,
}

/// A request's path and method, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names objects; else only `path` and `verb` count.
    pub is_resource: bool,
    /// The whole path.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the method in lower case for
    /// paths that name no objects.
    pub verb: &'static str,
    /// Group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace; empty if none is named.
    pub namespace: String,
    /// Plural resource.
    pub resource: String,
    /// Object; empty for collections.
    pub name: String,
    /// First segment after the name.
    pub subresource: String,
    /// Everything after the subresource.
    pub rest: String,
    /// A namespace was named, so the resource is taken as a namespaced one.
    pub in_namespace: bool,
    /// What the path itself says that it watches.
    pub old_watch: OldWatch,
}

impl RequestInfo {
    /// Parses a path; `watching` says whether the query asks for a watch, `field_name` is what a field selector pins
    /// `metadata.name` to.
    pub fn parse(method: &http::Method, path: &str, watching: bool, field_name: Option<&str>) -> Self {
        let mut info = Self { path: path.to_owned(), verb: plain_verb(method), ..Self::default() };
        let path = crate::percent::unescape(path);
        let segments: Vec<String> = path.trim_matches('/').split('/').map(str::to_owned).collect();
        let rest = match segments.first().map(String::as_str) {
            Some("api") if segments.len() >= 3 => {
                info.version.clone_from(&segments[1]);
                &segments[2..]
            }
            Some("apis") if segments.len() >= 4 => {
                info.group.clone_from(&segments[1]);
                info.version.clone_from(&segments[2]);
                &segments[3..]
            }
            _ => return info,
        };
        info.is_resource = true;
        let (rest, legacy_watch) = match rest.first().map(String::as_str) {
            Some("watch") if rest.len() > 1 => (&rest[1..], true),
            _ => (rest, false),
        };
        info.place(rest);
        info.old_watch = match legacy_watch {
            false => OldWatch::None,
            true if info.name.is_empty() => OldWatch::Collection,
            true => OldWatch::Object,
        };
        info.set_verb(method, watching || legacy_watch, legacy_watch, field_name);
        info
    }

    fn place(&mut self, segments: &[String]) {
        let get = |index: usize| segments.get(index).cloned().unwrap_or_default();
        let mut segments_used = 0;
        if get(0) == "namespaces" && segments.len() > 1 {
            self.namespace = get(1);
            let own = segments.len() < 3 || matches!(get(2).as_str(), "status" | "finalize") && segments.len() == 3;
            if !own {
                segments_used = 2;
                self.in_namespace = true;
            }
        }
        self.resource = get(segments_used);
        self.name = get(segments_used + 1);
        self.subresource = get(segments_used + 2);
        self.rest = segments.get(segments_used + 3..).map(|rest| rest.join("/")).unwrap_or_default();
    }

    fn set_verb(&mut self, method: &http::Method, watching: bool, legacy_watch: bool, field_name: Option<&str>) {
        let collection = self.name.is_empty();
        self.verb = match *method {
            // The old way to watch is no way to do anything else.
            http::Method::POST | http::Method::PUT | http::Method::PATCH | http::Method::DELETE if legacy_watch => "",
            http::Method::POST => "create",
            http::Method::GET | http::Method::HEAD if collection && watching => "watch",
            http::Method::GET | http::Method::HEAD if collection => "list",
            // Who names an object gets it, unless the path itself says watch.
            http::Method::GET | http::Method::HEAD if legacy_watch && self.subresource.is_empty() => "watch",
            http::Method::GET | http::Method::HEAD => "get",
            http::Method::PUT => "update",
            http::Method::PATCH => "patch",
            http::Method::DELETE if collection => "deletecollection",
            http::Method::DELETE => "delete",
            _ => "",
        };
        if collection
            && matches!(self.verb, "list" | "watch" | "deletecollection")
            && let Some(name) = field_name
        {
            name.clone_into(&mut self.name);
        }
    }
}

fn plain_verb(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "get",
        http::Method::HEAD => "head",
        http::Method::POST => "post",
        http::Method::PUT => "put",
        http::Method::PATCH => "patch",
        http::Method::DELETE => "delete",
        http::Method::OPTIONS => "options",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> RequestInfo {
        RequestInfo::parse(&http::Method::GET, path, false, None)
    }

    #[test]
    fn namespaced_object_with_subresource() {
        let info = get("/apis/apps/v1/namespaces/a/deployments/b/scale");
        assert_eq!((info.group.as_str(), info.resource.as_str(), info.name.as_str()), ("apps", "deployments", "b"));
        assert_eq!((info.namespace.as_str(), info.subresource.as_str(), info.verb), ("a", "scale", "get"));
    }

    #[test]
    fn a_namespace_is_its_own_namespace() {
        let info = get("/api/v1/namespaces/a");
        assert_eq!((info.resource.as_str(), info.name.as_str(), info.namespace.as_str()), ("namespaces", "a", "a"));
        let info = get("/api/v1/namespaces/a/status");
        assert_eq!((info.resource.as_str(), info.subresource.as_str()), ("namespaces", "status"));
        assert_eq!(get("/api/v1/namespaces/a/pods").resource, "pods");
    }

    #[test]
    fn one_object_is_watched_by_the_old_path_alone() {
        let verb = |path, watching| RequestInfo::parse(&http::Method::GET, path, watching, None).verb;
        assert_eq!(verb("/api/v1/nodes", true), "watch");
        assert_eq!(verb("/api/v1/nodes/a", true), "get");
        assert_eq!(verb("/api/v1/watch/nodes/a", false), "watch");
        let old = |path, field_name| RequestInfo::parse(&http::Method::GET, path, false, field_name).old_watch;
        assert_eq!(old("/api/v1/watch/nodes/a", None), OldWatch::Object);
        assert_eq!(old("/api/v1/watch/nodes", Some("a")), OldWatch::Collection, "whatever is selected");
        assert_eq!(old("/api/v1/nodes", None), OldWatch::None);
    }

    #[test]
    fn discovery_is_no_resource() {
        assert!(!get("/apis/apps/v1").is_resource);
        assert!(!get("/api/v1").is_resource);
        assert!(get("/api/v1/nodes").is_resource);
    }

    #[test]
    fn escapes_are_undone_before_splitting() {
        assert_eq!(get("/api/v1/nodes/a%20b").name, "a b");
        assert_eq!(get("/api/v1/nodes/a%2Fb").subresource, "b");
    }
}
