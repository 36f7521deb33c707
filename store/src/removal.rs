//! Whom an order to remove a master means. A master that lost its disk comes back under its name with another id, and an
//! order may wait for a leader meanwhile: so it says ids, which are never used again, and leaves the successor in.

use std::collections::BTreeSet;

use mainstay_proto::raft as pb;

use crate::error::StoreError;
use crate::raft_types::StoredMembership;

/// An order to take a master out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    /// As the operator calls it.
    name: String,
    /// Who had the name when the order was given. Empty from versions that did not say: whoever has it when the order is
    /// carried out.
    ids: BTreeSet<u64>,
}

impl Removal {
    /// For the master of that name with this id.
    pub(crate) fn of(name: &str, id: u64) -> Self {
        Self { name: name.to_owned(), ids: BTreeSet::from([id]) }
    }

    /// For whoever has the name in `membership`; `None` if nobody has. While a successor joins, it is still the one whose
    /// place it takes.
    pub(crate) fn of_named(name: &str, membership: &StoredMembership) -> Option<Self> {
        let named = named(name, membership);
        // During a change the voters from before it come first.
        let mut voting = membership.get_joint_config().iter().map(|voters| &named & voters);
        let ids = voting.find(|ids| !ids.is_empty()).unwrap_or_else(|| named.clone());
        (!ids.is_empty()).then(|| Self { name: name.to_owned(), ids })
    }

    /// Those who are meant and are members still, at least one.
    pub(crate) fn members_in(&self, membership: &StoredMembership) -> Result<BTreeSet<u64>, StoreError> {
        let named = named(&self.name, membership);
        let meant = if self.ids.is_empty() { named.clone() } else { &self.ids & &named };
        if meant.is_empty() { Err(self.refused(&named)) } else { Ok(meant) }
    }

    /// Nobody who is meant is a member; `named` have the name now.
    fn refused(&self, named: &BTreeSet<u64>) -> StoreError {
        if named.is_empty() {
            return nobody(&self.name);
        }
        let (name, meant, stay) = (&self.name, listed(&self.ids), listed(named));
        StoreError::Membership(format!(
            "there is no master {name} with id {meant}; with id {stay} there is, and it stays"
        ))
    }

    pub(crate) fn to_pb(&self) -> pb::RemoveMemberRequest {
        pb::RemoveMemberRequest { name: self.name.clone(), ids: self.ids.iter().copied().collect() }
    }

    pub(crate) fn from_pb(request: pb::RemoveMemberRequest) -> Self {
        Self { name: request.name, ids: request.ids.into_iter().collect() }
    }
}

/// No member has the name.
pub(crate) fn nobody(name: &str) -> StoreError {
    StoreError::Membership(format!("there is no master {name}"))
}

fn named(name: &str, membership: &StoredMembership) -> BTreeSet<u64> {
    membership.nodes().filter(|(_, node)| node.name == name).map(|(id, _)| *id).collect()
}

fn listed(ids: &BTreeSet<u64>) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::MemberInfo;
    use crate::raft_types::Membership;

    /// Masters a and b with ids 1 and 2, and those of the name c; who votes, before and after a change if one is on.
    fn membership(configs: &[&[u64]], named_c: &[u64]) -> StoredMembership {
        let configs: Vec<BTreeSet<u64>> = configs.iter().map(|voters| voters.iter().copied().collect()).collect();
        let info = |id: u64, name: &str| (id, MemberInfo { id, name: name.to_owned(), ..MemberInfo::default() });
        let mut nodes = BTreeMap::from([info(1, "a"), info(2, "b")]);
        nodes.extend(named_c.iter().map(|id| info(*id, "c")));
        StoredMembership::new(None, Membership::new(configs, nodes).unwrap())
    }

    fn ids(ids: &[u64]) -> BTreeSet<u64> {
        ids.iter().copied().collect()
    }

    fn meant(membership: &StoredMembership) -> BTreeSet<u64> {
        Removal::of_named("c", membership).unwrap().ids
    }

    #[test]
    fn an_order_for_the_former_leaves_its_successor_in() {
        let (before, after) = (membership(&[&[1, 2, 3]], &[3]), membership(&[&[1, 2, 4]], &[4]));
        let order = Removal::of_named("c", &before).unwrap();
        assert_eq!(order, Removal::of("c", 3));
        assert_eq!(order.members_in(&before).unwrap(), ids(&[3]));
        let refused = order.members_in(&after).unwrap_err();
        assert!(matches!(&refused, StoreError::Membership(reason) if reason.contains("with id 4")), "{refused}");
        assert_eq!(Removal::of("c", 4).members_in(&after).unwrap(), ids(&[4]));
    }

    #[test]
    fn a_name_means_who_has_it_and_not_who_is_about_to_take_its_place() {
        assert_eq!(meant(&membership(&[&[1, 2, 3]], &[3, 4])), ids(&[3]), "4 catches up");
        assert_eq!(meant(&membership(&[&[1, 2, 3], &[1, 2, 4]], &[3, 4])), ids(&[3]), "4 takes its place");
        assert_eq!(meant(&membership(&[&[1, 2], &[1, 2, 4]], &[4])), ids(&[4]));
        assert_eq!(meant(&membership(&[&[1, 2]], &[3, 4])), ids(&[3, 4]), "left over from tries to join");
        assert_eq!(Removal::of_named("c", &membership(&[&[1, 2]], &[])), None);
    }

    #[test]
    fn an_id_of_another_name_is_refused() {
        let members = membership(&[&[1, 2, 3]], &[3]);
        assert!(matches!(Removal::of("c", 1).members_in(&members), Err(StoreError::Membership(_))));
        assert!(matches!(Removal::of("d", 3).members_in(&members), Err(StoreError::Membership(_))));
    }

    #[test]
    fn an_order_of_an_earlier_version_is_for_all_of_the_name() {
        let order = Removal::from_pb(pb::RemoveMemberRequest { name: "c".to_owned(), ids: Vec::new() });
        assert_eq!(order.members_in(&membership(&[&[1, 2, 3]], &[3, 4])).unwrap(), ids(&[3, 4]));
        assert!(order.members_in(&membership(&[&[1, 2]], &[])).is_err());
    }

    #[test]
    fn orders_survive_the_wire() {
        let order = Removal::of("c", 3);
        assert_eq!(Removal::from_pb(order.to_pb()), order);
    }
}
