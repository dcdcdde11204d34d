//! Features of the cluster (KIP-584): fixed, as there is one broker of one version.

use millstream_protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};

use super::transactions::text;

/// Name, lowest and highest supported level; the highest is the one in force.
pub(super) const FEATURES: [(&str, i16, i16); 3] = [
    // Groups of the consumer protocol (KIP-848).
    ("group.version", 0, 1),
    // What Apache Kafka 4.1 calls its metadata; clients only show it.
    ("metadata.version", 7, 27),
    // KIP-890 part 2.
    ("transaction.version", 0, 2),
];

/// Features are never altered: the first epoch is the last.
pub(super) const EPOCH: i64 = 1;

/// From this version of ApiVersions on, clients bear a lowest level of 0 (KAFKA-17011).
const LEVEL_0_SINCE: i16 = 4;

pub(super) fn supported(version: i16) -> Vec<SupportedFeatureKey> {
    let shown = FEATURES
        .iter()
        .filter(|(_, min, _)| *min > 0 || version >= LEVEL_0_SINCE);
    let feature = |(name, min, max): &(&str, i16, i16)| {
        SupportedFeatureKey::default()
            .with_name(text(name))
            .with_min_version(*min)
            .with_max_version(*max)
    };
    shown.map(feature).collect()
}

pub(super) fn finalized() -> Vec<FinalizedFeatureKey> {
    let feature = |(name, _, max): &(&str, i16, i16)| {
        FinalizedFeatureKey::default()
            .with_name(text(name))
            .with_min_version_level(*max)
            .with_max_version_level(*max)
    };
    FEATURES.iter().map(feature).collect()
}
