//! What is said of a failure: kubectl's words for what a server refused, ours for the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause};

/// The text for stderr.
pub(crate) fn complaint(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let text = text.trim();
    let refusal: Option<&mainstay_client::Error> = error.downcast_ref();
    let Some(status) = refusal.and_then(mainstay_client::Error::status) else { return format!("error: {text}") };
    match status.reason.as_deref().unwrap_or_default() {
        "Unauthorized" => format!(
            "error: You must be logged in to the server ({text}): \
             the token or certificate in the kubeconfig is not of this cluster, or has expired"
        ),
        "Invalid" => invalid(status, text),
        "" => format!("Error from server: {text}"),
        reason => format!("Error from server ({reason}): {text}"),
    }
}

/// Which object is wrong, and each cause once.
fn invalid(status: &Status, text: &str) -> String {
    let Some(details) = &status.details else { return format!("The request is invalid: {text}") };
    let (kind, name) = (details.kind.as_deref().unwrap_or_default(), details.name.as_deref().unwrap_or_default());
    let mut causes: Vec<String> = Vec::new();
    for cause in details.causes.iter().flatten().map(told) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    let subject = match kind.is_empty() && name.is_empty() {
        false => format!("The {kind} {name:?} is invalid"),
        true if causes.is_empty() => format!("The request is invalid: {text}"),
        true => "The request is invalid".to_owned(),
    };
    match causes.as_slice() {
        [] => subject,
        [one] => format!("{subject}: {one}"),
        many => format!("{subject}: \n* {}", many.join("\n* ")),
    }
}

fn told(cause: &StatusCause) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}: {}", text(&cause.field), text(&cause.message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(status: Value) -> anyhow::Error {
        mainstay_client::Error::Api(Box::new(serde_json::from_value(status).unwrap())).into()
    }

    fn refused(reason: &str) -> anyhow::Error {
        of(json!({"message": "no", "reason": reason, "code": 400}))
    }

    #[test]
    fn refusals_read_as_kubectl_words_them() {
        assert_eq!(complaint(&refused("NotFound")), "Error from server (NotFound): no");
        assert_eq!(complaint(&refused("").context("x.yaml")), "Error from server: x.yaml: no");
        assert!(complaint(&refused("Unauthorized")).starts_with("error: You must be logged in to the server (no)"));
        assert_eq!(complaint(&anyhow::anyhow!("no file")), "error: no file");
    }

    #[test]
    fn of_a_wrong_object_each_cause_is_told_once() {
        let wrong = |causes: Value| {
            let details = json!({"kind": "Pod", "name": "a", "causes": causes});
            complaint(&of(json!({"message": "no", "reason": "Invalid", "code": 422, "details": details})))
        };
        let [first, second] = ["spec", "metadata"].map(|field| json!({"field": field, "message": "Required"}));
        assert_eq!(wrong(json!([first, first])), "The Pod \"a\" is invalid: spec: Required");
        assert_eq!(wrong(json!([first, second])), "The Pod \"a\" is invalid: \n* spec: Required\n* metadata: Required");
        assert_eq!(wrong(json!([])), "The Pod \"a\" is invalid");
        assert_eq!(complaint(&refused("Invalid")), "The request is invalid: no");
    }
}
