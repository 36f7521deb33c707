//! Which requests are approved without a person: those of nodes for their own client certificates, if the one who asks may
//! do that.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::request::Asked;
use super::signers;

/// A right under which a request is approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The subresource of certificate requests that the one who asks must be allowed to create.
    pub subresource: &'static str,
    /// Says why it was approved.
    pub message: &'static str,
}

/// A node asks for its next certificate.
const SELF: Rule = Rule {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
/// Somebody asks for a node's first certificate.
const OTHER: Rule =
    Rule { subresource: "nodeclient", message: "Auto approving kubelet client certificate after SubjectAccessReview." };

/// The rights that would do, in the order in which they are tried.
pub(super) fn rules(request: &CertificateSigningRequest, asked: &Asked) -> Vec<Rule> {
    let spec = &request.spec;
    let usages = spec.usages.as_deref().unwrap_or_default();
    if !signers::is_node_client(&spec.signer_name, asked, usages) {
        return Vec::new();
    }
    let own = spec.username.as_ref() == Some(&asked.common_name);
    if own { vec![SELF, OTHER] } else { vec![OTHER] }
}

/// Asks whether the one who made the request has the right.
pub(super) fn review(request: &CertificateSigningRequest, rule: Rule) -> SubjectAccessReview {
    let spec = &request.spec;
    let attributes = ResourceAttributes {
        group: Some("certificates.k8s.io".to_owned()),
        resource: Some("certificatesigningrequests".to_owned()),
        verb: Some("create".to_owned()),
        subresource: Some(rule.subresource.to_owned()),
        version: Some("*".to_owned()),
        ..ResourceAttributes::default()
    };
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: spec.username.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone(),
            extra: spec.extra.clone(),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;

    use super::*;

    fn request(user: &str, signer: &str) -> CertificateSigningRequest {
        let usages = vec!["digital signature".to_owned(), "client auth".to_owned()];
        let spec = CertificateSigningRequestSpec {
            username: Some(user.to_owned()),
            signer_name: signer.to_owned(),
            usages: Some(usages),
            ..CertificateSigningRequestSpec::default()
        };
        CertificateSigningRequest { spec, ..CertificateSigningRequest::default() }
    }

    #[test]
    fn a_node_may_renew_itself_and_a_bootstrapper_may_bring_one_in() {
        let organizations = vec!["system:nodes".to_owned()];
        let asked = Asked { common_name: "system:node:n1".into(), organizations, ..Asked::default() };
        assert_eq!(rules(&request("system:node:n1", signers::KUBELET_CLIENT), &asked), [SELF, OTHER]);
        assert_eq!(rules(&request("system:bootstrap:abc", signers::KUBELET_CLIENT), &asked), [OTHER]);
        assert_eq!(rules(&request("system:node:n1", "kubernetes.io/kubelet-serving"), &asked), []);
    }
}
