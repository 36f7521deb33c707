//! What each of Kubernetes' signers takes, and for how long it signs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::request::Asked;

/// Signs for clients of the API; approved by people.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Signs for agents as clients of the API.
pub(super) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs for agents' own servers.
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

const SIGNATURE: &str = "digital signature";
const ENCIPHERMENT: &str = "key encipherment";
const CLIENT_AUTH: &str = "client auth";
const SERVER_AUTH: &str = "server auth";

/// What is signed unless less is asked for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// What is signed even if less is asked for.
const SHORTEST: Duration = Duration::from_secs(600);

/// Whether requests for this signer are this cluster's to sign.
pub(super) fn is_own(signer: &str) -> bool {
    matches!(signer, CLIENT | KUBELET_CLIENT | KUBELET_SERVING)
}

/// How long a certificate is good for of which so many seconds are asked.
pub(super) fn lifetime(asked: Option<i32>) -> Duration {
    let asked = asked.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    asked.map_or(LONGEST, |asked| asked.clamp(SHORTEST, LONGEST))
}

/// Whether a signer takes a request.
///
/// # Errors
/// Why not.
pub(super) fn check(signer: &str, asked: &Asked, usages: &[String]) -> Result<(), String> {
    match signer {
        CLIENT => client_usages(usages),
        KUBELET_CLIENT => {
            asked.check_group()?;
            no_names(asked)?;
            asked.check_node()?;
            node_usages(usages, CLIENT_AUTH)
        }
        _ => {
            asked.check_group()?;
            serving_names(asked)?;
            node_usages(usages, SERVER_AUTH)?;
            asked.check_node()
        }
    }
}

fn client_usages(usages: &[String]) -> Result<(), String> {
    let allowed = [CLIENT_AUTH, SIGNATURE, ENCIPHERMENT];
    if let Some(odd) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {odd}"));
    }
    if !usages.iter().any(|usage| usage == CLIENT_AUTH) {
        return Err(format!("missing required usage for client certificate: {CLIENT_AUTH}"));
    }
    Ok(())
}

/// Exactly the purpose and signatures, and encipherment where the key can do that.
fn node_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let usages: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let least = BTreeSet::from([SIGNATURE, purpose]);
    let most = BTreeSet::from([SIGNATURE, ENCIPHERMENT, purpose]);
    if usages == least || usages == most {
        return Ok(());
    }
    let list = |of: &BTreeSet<&str>| of.iter().copied().collect::<Vec<_>>().join(" ");
    Err(format!("usages did not match [{}]", list(&most)))
}

fn no_names(asked: &Asked) -> Result<(), String> {
    let kinds = [("DNS", asked.dns), ("Email", asked.email), ("IP", asked.ip), ("URI", asked.uri)];
    match kinds.iter().find(|(_, count)| *count > 0) {
        Some((kind, _)) => Err(format!("{kind} subjectAltNames are not allowed")),
        None => Ok(()),
    }
}

fn serving_names(asked: &Asked) -> Result<(), String> {
    if asked.dns + asked.ip == 0 {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    no_names(&Asked { dns: 0, ip: 0, ..asked.clone() })
}

/// Whether a request is a node's for itself as a client, fit to be approved without a person.
pub(super) fn is_node_client(signer: &str, asked: &Asked, usages: &[String]) -> bool {
    signer == KUBELET_CLIENT && check(signer, asked, usages).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Asked {
        let organizations = vec!["system:nodes".to_owned()];
        Asked { common_name: "system:node:n1".into(), organizations, ..Asked::default() }
    }

    fn usages(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_nodes_client_names_the_node_and_nothing_else() {
        let fit = usages(&[SIGNATURE, CLIENT_AUTH]);
        assert_eq!(check(KUBELET_CLIENT, &node(), &fit), Ok(()));
        let refused = |asked: Asked, usages: &[String]| check(KUBELET_CLIENT, &asked, usages).unwrap_err();
        assert_eq!(refused(Asked { dns: 1, ..node() }, &fit), "DNS subjectAltNames are not allowed");
        let stranger = Asked { organizations: vec!["devs".into()], ..node() };
        assert_eq!(refused(stranger, &fit), "subject organization is not system:nodes");
        let other = Asked { common_name: "n1".into(), ..node() };
        assert_eq!(refused(other, &fit), "subject common name does not begin with system:node: ");
        let both = Asked { common_name: "n1".into(), dns: 1, ..node() };
        assert_eq!(refused(both, &fit), "DNS subjectAltNames are not allowed");
        let wrong = refused(node(), &usages(&[SIGNATURE, SERVER_AUTH]));
        assert_eq!(wrong, "usages did not match [client auth digital signature key encipherment]");
    }

    #[test]
    fn a_nodes_server_has_addresses() {
        let fit = usages(&[SIGNATURE, ENCIPHERMENT, SERVER_AUTH]);
        assert_eq!(check(KUBELET_SERVING, &Asked { ip: 1, ..node() }, &fit), Ok(()));
        assert_eq!(check(KUBELET_SERVING, &node(), &fit).unwrap_err(), "DNS or IP subjectAltName is required");
        let mail = Asked { ip: 1, email: 1, ..node() };
        assert_eq!(check(KUBELET_SERVING, &mail, &fit).unwrap_err(), "Email subjectAltNames are not allowed");
        // Unlike with clients, the name is looked at last.
        let other = Asked { common_name: "n1".into(), ip: 1, ..node() };
        let refused = |list: &[&str]| check(KUBELET_SERVING, &other, &usages(list)).unwrap_err();
        assert!(refused(&[CLIENT_AUTH]).starts_with("usages did not match "));
        assert_eq!(refused(&[SIGNATURE, SERVER_AUTH]), "subject common name does not begin with system:node: ");
    }

    #[test]
    fn clients_may_be_anybody_but_only_clients() {
        let anybody = Asked { common_name: "jane".into(), ..Asked::default() };
        assert_eq!(check(CLIENT, &anybody, &usages(&[CLIENT_AUTH])), Ok(()));
        let refused = |list: &[&str]| check(CLIENT, &anybody, &usages(list)).unwrap_err();
        assert_eq!(refused(&[SIGNATURE]), "missing required usage for client certificate: client auth");
        assert_eq!(refused(&[CLIENT_AUTH, SERVER_AUTH]), "invalid usage for client certificate: server auth");
    }

    #[test]
    fn lifetimes_have_bounds() {
        assert_eq!(lifetime(None), LONGEST);
        assert_eq!(lifetime(Some(1)), SHORTEST);
        assert_eq!(lifetime(Some(3600)), Duration::from_secs(3600));
        assert_eq!(lifetime(Some(i32::MAX)), LONGEST);
    }
}
