//! Which certificates a node's agent may ask for: its own.

use base64::Engine as _;
use serde_json::Value;

use super::{Refusal, Verdict, check, text};
use crate::admission::{Attributes, Operation};

/// Signers of what kubelets serve and ask with.
const SIGNERS: [&str; 2] = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// A certificate of a kubelet names its node.
pub(super) fn judge(request: &Attributes<'_>, node: &str) -> Verdict {
    let (Operation::Create, Some(asked)) = (request.operation, &request.object) else { return Ok(()) };
    if !SIGNERS.contains(&text(asked, "/spec/signerName")) {
        return Ok(());
    }
    let user = common_name(asked).map_err(|why| Refusal::Forbidden(format!("unable to parse csr: {why}")))?;
    check(user == format!("system:node:{node}"), || format!("can only create a node CSR with CN=system:node:{node}"))
}

fn common_name(asked: &Value) -> Result<String, String> {
    let encoded = text(asked, "/spec/request");
    let pem = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    crate::pki::requested_common_name(&pem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::node_restriction::testing::{Asking, judged};
    use crate::strategy::testing::Objects;

    fn asked(signer: &str, pem: &str) -> Verdict {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
        judged(&Asking {
            place: ("certificates.k8s.io", "certificatesigningrequests", ""),
            operation: Operation::Create,
            name: "a",
            object: json!({"spec": {"signerName": signer, "request": encoded}}),
            objects: Objects::default(),
        })
    }

    #[test]
    fn a_kubelet_asks_for_its_own_certificate() {
        let request = |user: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, user);
            params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
        };
        let (own, other) = (request("system:node:n"), request("system:node:m"));
        for signer in SIGNERS {
            assert_eq!(asked(signer, &own), Ok(()));
            let why = "can only create a node CSR with CN=system:node:n".to_owned();
            assert_eq!(asked(signer, &other), Err(Refusal::Forbidden(why)));
            let why = "unable to parse csr: PEM block type must be CERTIFICATE REQUEST".to_owned();
            assert_eq!(asked(signer, "x"), Err(Refusal::Forbidden(why)));
        }
        assert_eq!(asked("example.com/s", &other), Ok(()));
    }
}
