use millstream_broker_coordinator::GroupListing;
use millstream_protocol::messages::{
    ListGroupsRequest, ListGroupsResponse, StrBytes, list_groups_response::ListedGroup,
};

use super::{
    Call, Handle, Reply,
    groups::{text, wire_group_id},
};

impl Handle for ListGroupsRequest {
    async fn handle(self, call: Call) -> Reply<ListGroupsResponse> {
        let wanted = |filter: &[StrBytes], value: &str| {
            filter.is_empty() || filter.iter().any(|f| f.trim().eq_ignore_ascii_case(value))
        };
        let groups = call.node.broker.list_groups().into_iter().filter(|group| {
            wanted(&self.states_filter, group.state) && wanted(&self.types_filter, group.group_type)
        });
        Reply::Now(ListGroupsResponse::default().with_groups(groups.map(listed).collect()))
    }
}

fn listed(group: GroupListing) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(wire_group_id(&group.group))
        .with_protocol_type(text(group.protocol_type))
        .with_group_state(text(group.state))
        .with_group_type(text(group.group_type))
}
