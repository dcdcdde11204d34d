//! The classic protocol's requests.

use std::future::Future;

use futures::{FutureExt, future::BoxFuture};
use millstream_broker_coordinator::{
    Caller, Effects, GroupError, Groups, JoinRefused, JoinRequest, Joined, MemberId, Reply, SyncRequest,
    Synced, Token,
};
use millstream_types::GroupId;

use super::{Broker, consumer::Catalog};

impl Broker {
    /// JoinGroup. The order of requests is that of these calls; what they return may be awaited later.
    pub(crate) async fn join_group(
        &self,
        request: JoinRequest,
    ) -> impl Future<Output = Result<Joined, JoinRefused>> + use<> {
        let member = request.member.clone();
        let now = self.clock().now();
        let topics = Catalog(self.storage());
        let reply = self
            .wait(|groups, token| groups.join(request, &topics, token, now))
            .await;
        async move {
            let refused = |error| JoinRefused { member, error };
            match reply.await {
                Ok(Reply::Join(joined)) => joined,
                Ok(Reply::Sync(_)) => Err(refused(GroupError::NotStored)),
                Err(error) => Err(refused(error)),
            }
        }
    }

    /// SyncGroup, in two steps as well.
    pub(crate) async fn sync_group(
        &self,
        request: SyncRequest,
    ) -> impl Future<Output = Result<Synced, GroupError>> + use<> {
        let now = self.clock().now();
        let reply = self.wait(|groups, token| groups.sync(request, token, now)).await;
        async move {
            match reply.await? {
                Reply::Sync(synced) => synced,
                Reply::Join(_) => Err(GroupError::NotStored),
            }
        }
    }

    /// Heartbeat of a classic group.
    pub(crate) fn heartbeat_group(&self, group: &GroupId, caller: &Caller) -> Result<(), GroupError> {
        let now = self.clock().now();
        self.lock().groups.heartbeat(group, caller, now)
    }

    /// LeaveGroup: an answer for each, by member id and instance id.
    pub(crate) async fn leave_group(
        &self,
        group: &GroupId,
        leaving: &[(MemberId, Option<String>)],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.storage().room().await;
        let (results, durable) = {
            let mut coordinator = self.lock();
            let now = self.clock().now();
            let (results, effects) = coordinator.groups.leave(group, leaving, now)?;
            (results, self.settle(&mut coordinator, effects))
        };
        durable.await?;
        Ok(results)
    }

    /// Asks the groups something that may have to wait.
    async fn wait(&self, ask: impl FnOnce(&mut Groups, Token) -> Effects) -> Waits {
        self.storage().room().await;
        let receiver = {
            let mut coordinator = self.lock();
            let (token, receiver) = self.waiters.register();
            let effects = ask(&mut coordinator.groups, token);
            // The reply brings it along.
            let _durable = self.settle(&mut coordinator, effects);
            receiver
        };
        let reply = async move {
            let (reply, durable) = receiver.await.map_err(|_| GroupError::NotStored)?;
            durable.await?;
            Ok(reply)
        };
        reply.boxed()
    }
}

type Waits = BoxFuture<'static, Result<Reply, GroupError>>;
