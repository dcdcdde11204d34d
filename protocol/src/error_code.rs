use std::fmt;

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $message:literal;)+) => {
        /// Kafka's error codes, by the number that travels, the name that its documents use and a phrase for people.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $message] $variant = $code,)+
        }

        impl ErrorCode {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// `None` for a number that Kafka has not given out yet.
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// As Kafka's documents spell it, for example `OFFSET_OUT_OF_RANGE`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// One lowercase phrase.
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }
        }
    };
}

impl ErrorCode {
    /// The number that travels.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Whether the same request may succeed later: the subclasses of `RetriableException` in Apache Kafka.
    pub fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::CorruptMessage
                | Self::UnknownTopicOrPartition
                | Self::LeaderNotAvailable
                | Self::NotLeaderOrFollower
                | Self::RequestTimedOut
                | Self::ReplicaNotAvailable
                | Self::NetworkException
                | Self::CoordinatorLoadInProgress
                | Self::CoordinatorNotAvailable
                | Self::NotCoordinator
                | Self::NotEnoughReplicas
                | Self::NotEnoughReplicasAfterAppend
                | Self::NotController
                | Self::ConcurrentTransactions
                | Self::KafkaStorageError
                | Self::FetchSessionIdNotFound
                | Self::InvalidFetchSessionEpoch
                | Self::ListenerNotFound
                | Self::FencedLeaderEpoch
                | Self::UnknownLeaderEpoch
                | Self::OffsetNotAvailable
                | Self::PreferredLeaderNotAvailable
                | Self::EligibleLeadersNotAvailable
                | Self::ElectionNotNeeded
                | Self::UnstableOffsetCommit
                | Self::ThrottlingQuotaExceeded
                | Self::UnknownTopicId
                | Self::InconsistentTopicId
                | Self::FetchSessionTopicIdError
        )
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", "the broker failed in a way it has no name for";
    None = 0, "NONE", "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", "the offset is outside of the partition's log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", "the record batch is damaged";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", "there is no such topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", "invalid fetch size";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", "the partition has no leader right now";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", "this broker is not the leader of the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", "the request timed out";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", "broker not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", "replica not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", "the record batch is larger than the topic allows";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", "stale controller epoch";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", "the metadata of the committed offset is too large";
    NetworkException = 13, "NETWORK_EXCEPTION", "network exception";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is loading";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", "this broker is not the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", "the topic name is not allowed";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", "the request holds more record batches than the log takes at once";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", "too few replicas are in sync";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "the records were written to too few replicas";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", "acks must be 0, 1 or -1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", "the generation of the group has passed";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", "the member supports no protocol of the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", "the group id is not allowed";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", "the group does not know the member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", "the session timeout is outside of the allowed range";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", "the group is rebalancing: join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", "the committed offsets are too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", "not allowed on this topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", "not allowed on this group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", "not allowed on this cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", "the timestamp of a record is out of range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", "the SASL mechanism is not supported";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", "the request does not fit the state of the SASL exchange";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", "the version of the request is not supported";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", "the topic exists already";
    InvalidPartitions = 37, "INVALID_PARTITIONS", "the number of partitions is not allowed";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", "the replication factor is not available";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", "the replica assignment is not possible";
    InvalidConfig = 40, "INVALID_CONFIG", "a configuration key or value is not allowed";
    NotController = 41, "NOT_CONTROLLER", "this broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", "the request contradicts itself";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "the message format is too old for the request";
    PolicyViolation = 44, "POLICY_VIOLATION", "a policy of the cluster forbids it";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "a sequence number is missing before this batch";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", "the batch was written before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", "the producer epoch has passed";
    InvalidTxnState = 48, "INVALID_TXN_STATE", "the transaction is not in a state for this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", "the transaction timeout is outside of the allowed range";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", "the former transaction of this producer is still ending";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", "the transaction coordinator was replaced";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "not allowed on this transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", "security features are off";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", "the operation was not tried";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", "the disk failed under the partition";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", "there is no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", "SASL authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", "the broker has forgotten the producer id";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", "reassignment in progress";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", "delegation token auth disabled";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", "delegation token not found";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", "delegation token owner mismatch";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "delegation token request not allowed";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "delegation token authorization failed";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", "delegation token expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", "invalid principal type";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", "the group has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", "there is no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", "there is no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", "the fetch session epoch is not the next one";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", "listener not found";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", "topic deletion is off";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", "the leader epoch in the request has passed";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", "the leader epoch in the request is not known yet";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", "the compression codec is not supported";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", "stale broker epoch";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", "offset not available";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", "the member needs the id it was just given";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", "preferred leader not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", "the group has no room for more members";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", "another member has the same group instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", "eligible leaders not available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", "election not needed";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", "no reassignment in progress";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", "group subscribed to topic";
    InvalidRecord = 87, "INVALID_RECORD", "a record of the batch is malformed";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", "a transaction still holds an offset commit back";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", "a quota is used up";
    ProducerFenced = 90, "PRODUCER_FENCED", "another producer with the same transactional id is active";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", "there is no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", "the resource exists already";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", "unacceptable credential";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", "inconsistent voter set";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", "invalid update version";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", "feature update failed";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", "principal deserialization failure";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", "snapshot not found";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", "position out of range";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", "there is no topic of that id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", "duplicate broker registration";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", "broker id not registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", "inconsistent topic id";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", "inconsistent cluster id";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", "there is no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", "fetch session topic id error";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", "ineligible replica";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", "new leader elected";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", "offset moved to tiered storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", "fenced member epoch";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", "unreleased instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", "unsupported assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", "stale member epoch";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", "mismatched endpoint type";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", "unsupported endpoint type";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", "unknown controller id";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", "unknown subscription id";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", "telemetry too large";
    InvalidRegistration = 119, "INVALID_REGISTRATION", "invalid registration";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", "the transaction must be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", "invalid record state";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", "share session not found";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", "invalid share session epoch";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", "fenced state epoch";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", "invalid voter key";
    DuplicateVoter = 126, "DUPLICATE_VOTER", "duplicate voter";
    VoterNotFound = 127, "VOTER_NOT_FOUND", "voter not found";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", "invalid regular expression";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", "rebootstrap required";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", "streams invalid topology";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", "streams invalid topology epoch";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", "streams topology fenced";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", "share session limit reached";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back_to_the_same_error() {
        for error in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        }
        assert_eq!(ErrorCode::from_code(1000), None);
        assert_eq!(ErrorCode::OffsetOutOfRange.to_string(), "OFFSET_OUT_OF_RANGE");
    }

    #[test]
    fn numbers_are_those_of_the_message_crate() {
        use kafka_protocol::ResponseError;
        for error in ErrorCode::ALL.iter().filter(|error| error.code() != 0) {
            let theirs = ResponseError::try_from_code(error.code()).map(|theirs| format!("{theirs:?}"));
            if !matches!(error.code(), 122 | 123) {
                assert_eq!(theirs, Some(format!("{error:?}")));
            }
        }
    }
}
