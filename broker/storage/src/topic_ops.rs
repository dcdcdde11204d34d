//! Creating, changing and deleting topics: each is one change of the keyed state.

use std::{collections::BTreeMap, sync::Arc};

use millstream_types::{TopicName, TopicPartition};
use uuid::Uuid;

use crate::{
    TopicConfig,
    engine::{Engine, lock},
    error::{InvalidConfig, TopicError, UnknownTopic},
    partition::{PartitionId, PartitionState, PartitionView},
    stage::{Effect, Stage, StagedTopic, TopicEntry},
    state::topic_key,
    ticket::Ticket,
    topic::{MAX_PARTITIONS, NewTopicSpec, Topic},
};

impl Engine {
    pub(crate) fn create_topic(
        &self,
        spec: NewTopicSpec,
        id: Uuid,
    ) -> Result<Ticket<Arc<Topic>>, TopicError> {
        check_partitions(spec.partitions, 1)?;
        let mut stage = self.stage_with_room()?;
        let config = self.topic_config(spec.config)?;
        if stage.topics.contains_key(&spec.name) {
            return Err(TopicError::Exists { topic: spec.name });
        }
        self.put_topic(
            &mut stage,
            Topic {
                id,
                name: spec.name,
                partitions: spec.partitions,
                config,
            },
        )
    }

    pub(crate) fn alter_topic_config(
        &self,
        name: &TopicName,
        config: BTreeMap<String, String>,
    ) -> Result<Ticket<Arc<Topic>>, TopicError> {
        let mut stage = self.stage_with_room()?;
        let config = self.topic_config(config)?;
        let topic = Topic {
            config,
            ..current(&stage, name)?
        };
        self.put_topic(&mut stage, topic)
    }

    /// The caller holds the stage.
    fn topic_config(&self, set: BTreeMap<String, String>) -> Result<TopicConfig, InvalidConfig> {
        TopicConfig::parse_over(set, lock(&self.topic_defaults).clone())
    }

    /// The sealer's own copy of a topic knows what was set, but not the defaults.
    pub(crate) fn config_in_force(&self, topic: &Topic) -> TopicConfig {
        let set = topic.config.as_set().clone();
        TopicConfig::parse_over(set, lock(&self.topic_defaults).clone())
            .unwrap_or_else(|_| topic.config.clone())
    }

    /// Gives all topics these defaults, the present and the coming ones. Nothing is written.
    pub(crate) fn set_topic_defaults(
        &self,
        defaults: BTreeMap<String, String>,
    ) -> Result<Ticket<()>, TopicError> {
        let defaults = Arc::new(defaults);
        let mut stage = self.stage_with_room()?;
        TopicConfig::parse_over(BTreeMap::new(), defaults.clone())?;
        *lock(&self.topic_defaults) = defaults.clone();
        let mut effects = Vec::with_capacity(stage.topics.len());
        for staged in stage.topics.values_mut() {
            let topic = &*staged.entry.topic;
            let config = TopicConfig::parse_over(topic.config.as_set().clone(), defaults.clone())?;
            let topic = Topic {
                config,
                ..topic.clone()
            };
            staged.entry = Arc::new(TopicEntry {
                topic: Arc::new(topic),
                partitions: staged.entry.partitions.clone(),
            });
            effects.push(Effect::Topic(staged.entry.clone()));
        }
        // Behind the changes of topics that are on their way to the disk.
        let (ticket, done) = Ticket::of(());
        stage.push_effects(effects, done);
        self.work.notify_one();
        Ok(ticket)
    }

    pub(crate) fn create_partitions(
        &self,
        name: &TopicName,
        partitions: i32,
    ) -> Result<Ticket<Arc<Topic>>, TopicError> {
        let mut stage = self.stage_with_room()?;
        let topic = current(&stage, name)?;
        check_partitions(partitions, topic.partitions + 1)?;
        self.put_topic(&mut stage, Topic { partitions, ..topic })
    }

    pub(crate) fn delete_topic(&self, name: &TopicName) -> Result<Ticket<()>, TopicError> {
        let mut stage = self.stage_with_room()?;
        let Topic { id, .. } = current(&stage, name)?;
        let entry = stage.topics[name].entry.clone();
        let ticket = self.write_own(&mut stage, &topic_key(id), None, Effect::TopicGone(entry), ())?;
        stage.topics.remove(name);
        Ok(ticket)
    }

    fn put_topic(&self, stage: &mut Stage, topic: Topic) -> Result<Ticket<Arc<Topic>>, TopicError> {
        let old = stage
            .topics
            .get(&topic.name)
            .map(|staged| staged.entry.partitions.clone());
        let entry = Arc::new(entry_of(topic, old.unwrap_or_default()));
        let topic = entry.topic.clone();
        let effect = Effect::Topic(entry.clone());
        let ticket = self.write_own(
            stage,
            &topic_key(topic.id),
            Some(&topic.encode()),
            effect,
            topic.clone(),
        )?;
        let staged = stage
            .topics
            .entry(topic.name.clone())
            .or_insert_with(|| StagedTopic {
                entry: entry.clone(),
                states: Vec::new(),
            });
        staged
            .states
            .resize_with(entry.partitions.len(), PartitionState::default);
        staged.entry = entry;
        Ok(ticket)
    }
}

/// The entry of a topic, with fresh views for the partitions that it did not have before.
pub(crate) fn entry_of(topic: Topic, mut partitions: Vec<Arc<PartitionView>>) -> TopicEntry {
    for index in partitions.len()..usize::try_from(topic.partitions).expect("at least 1") {
        let index = u32::try_from(index).expect("at most MAX_PARTITIONS");
        let name = TopicPartition::new(topic.name.clone(), index.cast_signed());
        let id = PartitionId {
            topic: topic.id,
            index,
        };
        partitions.push(Arc::new(PartitionView::new(name, id)));
    }
    TopicEntry {
        topic: Arc::new(topic),
        partitions,
    }
}

fn current(stage: &Stage, name: &TopicName) -> Result<Topic, UnknownTopic> {
    let staged = stage
        .topics
        .get(name)
        .ok_or_else(|| UnknownTopic { topic: name.clone() })?;
    Ok(Topic::clone(&staged.entry.topic))
}

fn check_partitions(partitions: i32, min: i32) -> Result<(), TopicError> {
    if (min..=MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(TopicError::InvalidPartitions {
        partitions,
        max: MAX_PARTITIONS,
    })
}
