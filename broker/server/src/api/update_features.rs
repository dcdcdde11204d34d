use millstream_protocol::{
    ErrorCode,
    messages::{
        StrBytes, UpdateFeaturesRequest, UpdateFeaturesResponse, update_features_request::FeatureUpdateKey,
        update_features_response::UpdatableFeatureResult,
    },
};

use super::{Call, Handle, Reply, features::FEATURES};

/// Up to this version, each feature has its own result.
const RESULTS_UNTIL: i16 = 1;

impl Handle for UpdateFeaturesRequest {
    async fn handle(self, call: Call) -> Reply<UpdateFeaturesResponse> {
        let answer = UpdateFeaturesResponse::default().with_error_message(None);
        let refused: Vec<_> = self.feature_updates.iter().map(refuse).collect();
        if call.version <= RESULTS_UNTIL {
            let results = self
                .feature_updates
                .into_iter()
                .zip(refused)
                .map(|(update, refused)| {
                    let (code, text) =
                        refused.map_or((ErrorCode::None, None), |(code, text)| (code, Some(text)));
                    UpdatableFeatureResult::default()
                        .with_feature(update.feature)
                        .with_error_code(code.code())
                        .with_error_message(text)
                });
            return Reply::Now(answer.with_results(results.collect()));
        }
        let first = refused.into_iter().flatten().next();
        Reply::Now(match first {
            Some((code, text)) => answer.with_error_code(code.code()).with_error_message(Some(text)),
            None => answer,
        })
    }
}

fn refuse(update: &FeatureUpdateKey) -> Option<(ErrorCode, StrBytes)> {
    let known = FEATURES
        .iter()
        .find(|(name, _, _)| *name == update.feature.as_str());
    let (code, text) = match known {
        None => (ErrorCode::InvalidRequest, "there is no such feature".into()),
        Some((_, _, level)) if *level == update.max_version_level => return None,
        Some((name, _, level)) => (
            ErrorCode::InvalidUpdateVersion,
            format!("the level of {name} is {level} in this version of the broker and cannot be altered"),
        ),
    };
    Some((code, StrBytes::from_string(text)))
}
