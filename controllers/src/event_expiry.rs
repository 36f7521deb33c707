//! Events are forgotten an hour after they last happened.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use mainstay_client::{Api, DeleteOptions, Error, Informer, Key, Store, object_key};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::claim::absent_is_fine;
use crate::meta::{created, name, uid};
use crate::runner::{Controller, Keys, Next};
use crate::world::World;

pub(crate) struct EventExpiry {
    world: World,
    events: Store<Event>,
    ttl: Duration,
}

impl EventExpiry {
    /// Follows events with an informer of its own, spawned on `tasks`.
    pub(crate) fn new(
        world: &World,
        queue: &Keys,
        ttl: Duration,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Self {
        let mut informer = Informer::new(&Api::<Event>::all(world.client.clone()));
        let keys = queue.clone();
        informer.on_change(move |change| {
            let event = change.object();
            keys.add_after(object_key(&**event), until_expiry(event, ttl, Timestamp::now()));
        });
        let events = informer.store();
        tasks.spawn(informer.run(stop.clone()));
        EventExpiry { world: world.clone(), events, ttl }
    }
}

fn until_expiry(event: &Event, ttl: Duration, now: Timestamp) -> Duration {
    let times = [
        event.last_timestamp.as_ref().map(|t| t.0),
        event.event_time.as_ref().map(|t| t.0),
        event.series.as_ref().and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0),
    ];
    let last = times.into_iter().flatten().fold(created(&event.metadata), Timestamp::max);
    ttl.saturating_sub(Duration::try_from(now.duration_since(last)).unwrap_or(Duration::ZERO))
}

#[async_trait]
impl Controller for EventExpiry {
    fn name(&self) -> &'static str {
        "event-expiry"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(event) = self.events.get(key) else { return Ok(Next::Settled) };
        let left = until_expiry(&event, self.ttl, Timestamp::now());
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        let options = DeleteOptions::of_uid(uid(&event.metadata));
        absent_is_fine(self.world.api::<Event>(&key.namespace).delete(name(&event.metadata), &options).await)?;
        Ok(Next::Settled)
    }
}
