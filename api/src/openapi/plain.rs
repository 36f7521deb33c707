//! Paths that tell of the server itself: what it serves, which version it is, how its tokens are verified.

use serde_json::{Value, json};

use super::META;
use super::operation::{Edition, content};
use super::phrase::{capital, group_word, tag};

const JSON: &str = "application/json";
const OBJECT: [&str; 3] = [JSON, "application/yaml", "application/vnd.kubernetes.protobuf"];

/// A path that is only read.
pub(super) struct Plain {
    pub path: String,
    id: String,
    tag: String,
    about: &'static str,
    media: Vec<&'static str>,
    /// The type of the answer; none: text.
    pub body: Option<String>,
}

/// The path that the document of a place is about: `api`, `apis`, `version`, `apis/<group>` and a few more; with a version,
/// what the group serves in it.
pub(super) fn of(place: &str) -> Option<Plain> {
    let text = |id: &str, tag: &str, about, media| Plain {
        path: format!("/{place}/"),
        id: id.to_owned(),
        tag: tag.to_owned(),
        about,
        media: vec![media],
        body: None,
    };
    let object = |id: String, tag: String, about, body: &str| Plain {
        path: format!("/{place}/"),
        id,
        tag,
        about,
        media: OBJECT.to_vec(),
        body: Some(format!("{META}.{body}")),
    };
    let versions = "get available API versions";
    let resources = |group: &str, version: &str| {
        let id = format!("get{}{}APIResources", group_word(group), capital(version));
        object(id, format!("{}_{version}", tag(group)), "get available resources", "APIResourceList")
    };
    Some(match place.split('/').collect::<Vec<_>>().as_slice() {
        ["version"] => Plain {
            body: Some("io.k8s.apimachinery.pkg.version.Info".to_owned()),
            ..text("getCodeVersion", "version", "get the version information for this server", JSON)
        },
        [".well-known", "openid-configuration"] => text(
            "getServiceAccountIssuerOpenIDConfiguration",
            "WellKnown",
            "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
            JSON,
        ),
        ["openid", "v1", "jwks"] => text(
            "getServiceAccountIssuerOpenIDKeyset",
            "openid",
            "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
            "application/jwk-set+json",
        ),
        ["api"] => object("getCoreAPIVersions".to_owned(), "core".to_owned(), versions, "APIVersions"),
        ["apis"] => object("getAPIVersions".to_owned(), "apis".to_owned(), versions, "APIGroupList"),
        ["api", version] => resources("", version),
        ["apis", group] => {
            object(format!("get{}APIGroup", group_word(group)), tag(group), "get information of a group", "APIGroup")
        }
        ["apis", group, version] => resources(group, version),
        _ => return None,
    })
}

impl Plain {
    /// The path's entry.
    pub fn document(&self, edition: Edition) -> Value {
        let schema = match &self.body {
            Some(body) => Value::Object(edition.link(body)),
            None => json!({"type": "string"}),
        };
        let mut told = json!({"description": "OK"});
        let mut out = json!({"description": self.about, "operationId": self.id, "tags": [self.tag]});
        match edition {
            Edition::V3 => told["content"] = content(&self.media, &schema),
            Edition::V2 => {
                told["schema"] = schema;
                out["consumes"] = json!(self.media);
                out["produces"] = json!(self.media);
            }
        }
        out["responses"] = json!({"200": told, "401": {"description": "Unauthorized"}});
        json!({"get": out})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_operation() {
        let id = |place: &str| of(place).map(|plain| plain.id).unwrap_or_default();
        assert_eq!(id("version"), "getCodeVersion");
        assert_eq!(id("api/v1"), "getCoreV1APIResources");
        assert_eq!(id("apis/rbac.authorization.k8s.io/v1"), "getRbacAuthorizationV1APIResources");
        assert_eq!(id("apis/apps"), "getAppsAPIGroup");
        assert_eq!(id("logs"), "");
        let keys = of("openid/v1/jwks").unwrap().document(Edition::V3);
        assert_eq!(keys["get"]["responses"]["200"]["content"]["application/jwk-set+json"]["schema"]["type"], "string");
    }
}
