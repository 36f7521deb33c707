//! Ingresses, IngressClasses, NetworkPolicies, ServiceCIDRs, IPAddresses.

mod addresses;
mod ingress;
mod policy;

pub(crate) use addresses::{IP_ADDRESS, SERVICE_CIDR};
pub(crate) use ingress::{INGRESS, INGRESS_CLASS};
pub(crate) use policy::NETWORK_POLICY;
