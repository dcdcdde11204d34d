use millstream_protocol::{
    ErrorCode,
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
};

use super::{Call, Handle, Reply, TABLE, features};

const FEATURES_SINCE: i16 = 3;

impl Handle for ApiVersionsRequest {
    async fn handle(self, call: Call) -> Reply<ApiVersionsResponse> {
        let answer = ApiVersionsResponse::default().with_api_keys(supported());
        if call.version < FEATURES_SINCE {
            return Reply::Now(answer);
        }
        Reply::Now(
            answer
                .with_supported_features(features::supported(call.version))
                .with_finalized_features_epoch(features::EPOCH)
                .with_finalized_features(features::finalized()),
        )
    }
}

/// The answer, in version 0, to a version that is not supported (KIP-511).
pub(super) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(supported())
}

fn supported() -> Vec<ApiVersion> {
    TABLE
        .iter()
        .map(|row| {
            ApiVersion::default()
                .with_api_key(row.key)
                .with_min_version(row.advertised_min)
                .with_max_version(row.max)
        })
        .collect()
}
