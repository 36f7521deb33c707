//! The handle that everything else is made from.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_proto::v1;
use mainstay_proto::v1::objects_client::ObjectsClient;

use crate::config::Config;
use crate::error::Result;
use crate::transport::{BoxedService, Safety, Transport};
use crate::watch::{Hub, WatchSpec, Watcher};

/// A Raft term: the leadership under which a write may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

type WarningHandler = Arc<dyn Fn(&str) + Send + Sync>;

/// A cheap handle on the API; clones share connections and the watch stream.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    hub: Hub,
    pub(crate) options: v1::WriteOptions,
    on_warning: Option<WarningHandler>,
}

impl Client {
    /// A client over this transport. Must be called within a Tokio runtime, in which its watches then run.
    pub fn new(transport: Transport) -> Self {
        let hub = Hub::new(transport.clone());
        let options = v1::WriteOptions { field_manager: "mainstay".into(), ..Default::default() };
        Client { transport, hub, options, on_warning: None }
    }

    /// A client with channels as `config` says.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the settings cannot be used; no connection is made yet.
    pub fn connect(config: &Config) -> Result<Self> {
        Ok(Self::new(Transport::connect(config)?))
    }

    /// The transport below, for other services of the same masters.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// All writes of the returned client are refused once the leader is no longer in this term.
    #[must_use]
    pub fn with_term(&self, term: Term) -> Self {
        let mut client = self.clone();
        client.options.term = term.0;
        client
    }

    /// Writes of the returned client own their fields under this name.
    #[must_use]
    pub fn with_manager(&self, manager: &str) -> Self {
        let mut client = self.clone();
        manager.clone_into(&mut client.options.field_manager);
        client
    }

    /// `handler` gets the text of each warning that the server sends with an answer.
    #[must_use]
    pub fn on_warning(&self, handler: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let mut client = self.clone();
        client.on_warning = Some(Arc::new(handler));
        client
    }

    /// Carries out several writes, all or nothing, under one revision; returns the objects in the order of `writes`.
    ///
    /// # Errors
    /// As for the write that fails; none of them then happened.
    pub async fn txn(&self, writes: Vec<Write>) -> Result<Vec<Bytes>> {
        let operations = writes.into_iter().map(|w| w.0).collect();
        let request = v1::TxnRequest { operations, options: Some(self.options.clone()) };
        let send = |mut c: ObjectsClient<BoxedService>| {
            let request = request.clone();
            async move { c.txn(request).await }
        };
        let response = self.transport.call(Safety::Write, send).await?;
        Ok(self.take(response).results.into_iter().map(|r| r.object).collect())
    }

    /// Starts a watch on the client's one stream.
    ///
    /// # Errors
    /// [`crate::Error::Shutdown`] if the client's runtime is going down.
    pub async fn watch(&self, spec: WatchSpec) -> Result<Watcher> {
        self.hub.watch(spec).await
    }

    /// Hands warnings on and unwraps the answer.
    pub(crate) fn take<R>(&self, response: tonic::Response<R>) -> R {
        if let Some(handler) = &self.on_warning {
            for warning in response.metadata().get_all("warning") {
                if let Ok(text) = warning.to_str() {
                    handler(text);
                }
            }
        }
        response.into_inner()
    }
}

/// One write of a transaction; made by the `*_op` methods of [`crate::Api`] and [`crate::DynamicApi`].
#[derive(Clone, Debug)]
pub struct Write(pub(crate) v1::TxnOperation);
