//! Wire definitions: mainstay's gRPC API, the Raft transport between masters, and the container runtime
//! interface. Generated from `proto/*.proto` at build time; there is no logic here.

/// `mainstay.v1`: objects, agents, cluster.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod v1 {
    tonic::include_proto!("mainstay.v1");
}

/// `mainstay.raft.v1`: the transport between masters and the stored form of transactions.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod raft {
    tonic::include_proto!("mainstay.raft.v1");
}

/// `etcdserverpb`: the part of etcd's API that the store benchmark speaks to etcd and to itself.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod etcd {
    tonic::include_proto!("etcdserverpb");
}

/// `runtime.v1`: Kubernetes' container runtime interface, as containerd serves it.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}

/// Trailer of a failed call: the Kubernetes `Status` object as JSON.
pub const STATUS_TRAILER: &str = "mainstay-status-bin";
