use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context as _, bail};
use millstream_client::{Log, LogError};
use millstream_schema_registry_core::{QualifiedSubject, model::Guid};
use millstream_schema_registry_server::DEFAULT_TOPIC;
use millstream_types::{GroupId, Offset, SchemaId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions,
    reader::{Reader, Span},
    record,
    schemas::{
        at::Asked,
        client::{Client, part},
        usage::{Census, Occurrence, Part, Place, Read},
    },
    store::Target,
};

/// What a registry answers at once.
const PAGE: usize = 1000;

/// Say where the schemas of a subject still occur, and which groups have yet to read them
///
/// Reads the committed records of topics from their beginning and looks at the schema id in front of each key or value,
/// or in its header. Without --topic that is the topic of the subject (`orders` for `orders-value`), or all topics if
/// there is none of that name. A group that has committed nothing in a partition is not known there.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry usage orders-value
  millstream registry usage com.acme.Order --topic orders --topic orders.dlq
  millstream registry usage orders-value --bootstrap kafka:9092 --registry http://registry:8081
  millstream registry usage orders-value -o json | jq -r '.schemas[] | select(.uses == []) | .id'")]
pub(crate) struct Args {
    /// The subject
    subject: String,
    /// Only this topic; may be repeated
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<TopicName>,
    #[command(flatten)]
    target: Target,
    /// The schema registry [default: that of the data directory, or http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", env = "SCHEMA_REGISTRY_URL", help_heading = "Where")]
    registry: Option<String>,
}

/// A version as the registry lists it.
#[derive(Deserialize)]
struct Listed {
    subject: String,
    version: i32,
    id: i32,
    #[serde(default)]
    guid: Option<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Serialize)]
struct Usage {
    subject: String,
    topics: Vec<TopicName>,
    schemas: Vec<SchemaUsage>,
    /// Keys and values that were read and name another schema.
    of_other_schemas: u64,
    /// Keys and values that were read and name none.
    without_schema: u64,
}

#[derive(Serialize)]
struct SchemaUsage {
    id: SchemaId,
    versions: Vec<VersionView>,
    records: u64,
    uses: Vec<Use>,
}

#[derive(Serialize)]
struct VersionView {
    version: i32,
    deleted: bool,
}

#[derive(Serialize)]
struct Use {
    topic: TopicName,
    partition: i32,
    part: Part,
    records: u64,
    first_offset: Offset,
    last_offset: Offset,
    first_timestamp: String,
    last_timestamp: String,
    groups: Vec<GroupView>,
}

#[derive(Serialize)]
struct GroupView {
    group: GroupId,
    committed: Offset,
    /// How much of these records it has read.
    read: Read,
}

/// The committed offsets of all groups.
type Groups = BTreeMap<TopicPartition, Vec<(GroupId, Offset)>>;

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let registry = Asked::beside(&store, self.registry.as_deref(), context).await?;
        let versions = versions(registry.client(), &self.subject);
        registry.close().await;
        let versions = versions?;
        if versions.is_empty() {
            store.close().await;
            bail!(
                "there is no subject '{}': see `millstream registry list`",
                self.subject
            );
        }
        let (topics, parts) = self.wanted(store.log()).await?;
        if !context.output.is_json() && topics.len() > 1 {
            context.talk.say(format_args!("reading {} topics", topics.len()));
        }
        let known = versions.iter().map(|listed| {
            let guid = listed.guid.as_deref().and_then(Guid::parse);
            (SchemaId(listed.id), guid.map(|guid| *guid.bytes()))
        });
        let mut census = Census::of(known);
        let reader = Reader::start(&store.shared(), spans(store.log(), &topics).await?);
        count(reader, &parts, &mut census).await?;
        let groups = groups(store.log()).await?;
        store.close().await;
        let usage = usage(self.subject, topics, versions, &census, &groups);
        show(&usage, context)?;
        Ok(Exit::Ok)
    }

    /// The topics to read, and which parts of their records.
    async fn wanted(&self, log: &dyn Log) -> anyhow::Result<(Vec<TopicName>, Vec<Part>)> {
        let own = topic_of(&self.subject);
        if !self.topic.is_empty() {
            let mut topics = self.topic.clone();
            topics.sort();
            topics.dedup();
            let is_own = |(topic, part): (TopicName, Part)| (topics == [topic]).then_some(part);
            let parts = own
                .and_then(is_own)
                .map_or(vec![Part::Key, Part::Value], |part| vec![part]);
            return Ok((topics, parts));
        }
        if let Some((topic, part)) = own
            && log.topic(&topic).await?.is_some()
        {
            return Ok((vec![topic], vec![part]));
        }
        let all = log.topics().await?.into_iter().map(|topic| topic.name);
        let topics = all.filter(|name| !is_internal(name)).collect();
        Ok((topics, vec![Part::Key, Part::Value]))
    }
}

fn is_internal(topic: &TopicName) -> bool {
    topic.as_str().starts_with("__") || topic.as_str() == DEFAULT_TOPIC
}

/// Of a subject that Confluent's serializers name by its topic.
fn topic_of(subject: &str) -> Option<(TopicName, Part)> {
    let subject = QualifiedSubject::new(subject);
    let (topic, part) = match subject.name().rsplit_once('-')? {
        (topic, "key") => (topic, Part::Key),
        (topic, "value") => (topic, Part::Value),
        _ => return None,
    };
    Some((TopicName::from_str(topic).ok()?, part))
}

/// Those that are deleted, but not for good, too.
fn versions(client: &Client, subject: &str) -> anyhow::Result<Vec<Listed>> {
    let mut versions = Vec::new();
    let mut offset = 0;
    loop {
        let path = format!(
            "/schemas?subjectPrefix={}&deleted=true&offset={offset}&limit={PAGE}",
            part(subject)
        );
        let page: Vec<Listed> =
            serde_json::from_value(client.get(&path)?).context("the registry lists no versions")?;
        let count = page.len();
        versions.extend(page.into_iter().filter(|listed| listed.subject == subject));
        if count < PAGE {
            return Ok(versions);
        }
        offset += count;
    }
}

async fn spans(log: &dyn Log, topics: &[TopicName]) -> Result<Vec<Span>, LogError> {
    let mut spans = Vec::new();
    for name in topics {
        let topic = partitions::topic(log, name).await?;
        for partition in partitions::chosen(&topic, None)? {
            let bounds = partitions::bounds_of(log, &partition).await?;
            spans.push(Span {
                partition,
                from: bounds.log_start,
                to: Some(bounds.last_stable_offset),
            });
        }
    }
    Ok(spans)
}

async fn count(mut reader: Reader, parts: &[Part], census: &mut Census) -> anyhow::Result<()> {
    loop {
        let batch = tokio::select! {
            batch = reader.next() => batch?,
            stop = tokio::signal::ctrl_c() => {
                stop?;
                bail!("stopped before all records were read: what was found is not all there is");
            }
        };
        let Some((partition, records)) = batch else {
            return Ok(());
        };
        for record in &records {
            for part in parts {
                census.add(&partition, *part, record);
            }
        }
    }
}

async fn groups(log: &dyn Log) -> Result<Groups, LogError> {
    let mut groups = Groups::new();
    for group in log.groups().await? {
        for (partition, committed) in log.all_committed(&group).await? {
            groups
                .entry(partition)
                .or_default()
                .push((group.clone(), committed));
        }
    }
    Ok(groups)
}

fn usage(
    subject: String,
    topics: Vec<TopicName>,
    versions: Vec<Listed>,
    census: &Census,
    groups: &Groups,
) -> Usage {
    let mut by_id = BTreeMap::<SchemaId, Vec<VersionView>>::new();
    for Listed {
        version, id, deleted, ..
    } in versions
    {
        by_id
            .entry(SchemaId(id))
            .or_default()
            .push(VersionView { version, deleted });
    }
    let schemas = by_id.into_iter().map(|(id, versions)| {
        let uses: Vec<_> = census.of_schema(id).map(|found| used(found, groups)).collect();
        SchemaUsage {
            id,
            versions,
            records: uses.iter().map(|used| used.records).sum(),
            uses,
        }
    });
    Usage {
        subject,
        topics,
        schemas: schemas.collect(),
        of_other_schemas: census.of_other_schemas,
        without_schema: census.without_schema,
    }
}

fn used((place, occurrence): (&Place, &Occurrence), groups: &Groups) -> Use {
    let readers = groups.get(&place.partition).into_iter().flatten();
    let groups = readers.map(|(group, committed)| GroupView {
        group: group.clone(),
        committed: *committed,
        read: occurrence.read_by(*committed),
    });
    Use {
        topic: place.partition.topic.clone(),
        partition: place.partition.partition,
        part: place.part,
        records: occurrence.records,
        first_offset: occurrence.first_offset,
        last_offset: occurrence.last_offset,
        first_timestamp: record::instant(occurrence.from),
        last_timestamp: record::instant(occurrence.to),
        groups: groups.collect(),
    }
}

fn show(usage: &Usage, context: &mut Context) -> anyhow::Result<()> {
    if context.output.is_json() {
        return Ok(context.output.json(usage)?);
    }
    context.output.table(&rows(usage))?;
    for (count, what) in [
        (usage.of_other_schemas, "have another schema"),
        (usage.without_schema, "name no schema"),
    ] {
        if count > 0 {
            context
                .talk
                .say(format_args!("{} keys or values {what}", grouped(count)));
        }
    }
    Ok(())
}

/// A line for each place; one for a schema that occurs nowhere.
fn rows(usage: &Usage) -> Vec<PlaceRow> {
    let mut rows = Vec::new();
    for schema in &usage.schemas {
        let versions = schema.versions.iter().map(|version| match version.deleted {
            true => format!("{} (deleted)", version.version),
            false => version.version.to_string(),
        });
        let version = versions.collect::<Vec<_>>().join(", ");
        let row = |used| PlaceRow::new(version.clone(), schema.id, used);
        if schema.uses.is_empty() {
            rows.push(row(None));
        }
        rows.extend(schema.uses.iter().map(|used| row(Some(used))));
    }
    rows
}

struct PlaceRow(Vec<String>);

impl PlaceRow {
    fn new(version: String, id: SchemaId, used: Option<&Use>) -> Self {
        let mut cells = vec![version, id.to_string()];
        match used {
            None => cells.extend(["-", "-", "-", "0", "-", "-", "-"].map(str::to_owned)),
            Some(used) => {
                let waiting = used.groups.iter().filter(|view| view.read != Read::All);
                let waiting =
                    waiting.map(|view| format!("{} (at {})", view.group, grouped(view.committed.0)));
                let waiting = waiting.collect::<Vec<_>>().join(", ");
                cells.extend([
                    used.topic.to_string(),
                    used.partition.to_string(),
                    used.part.as_str().to_owned(),
                    grouped(used.records),
                    grouped(used.first_offset.0),
                    grouped(used.last_offset.0),
                    if waiting.is_empty() {
                        "-".to_owned()
                    } else {
                        waiting
                    },
                ]);
            }
        }
        Self(cells)
    }
}

impl Row for PlaceRow {
    const TITLES: &'static [&'static str] = &[
        "#VERSION",
        "#ID",
        "TOPIC",
        "#PARTITION",
        "IN",
        "#RECORDS",
        "#FIRST",
        "#LAST",
        "STILL TO BE READ BY",
    ];

    fn cells(&self) -> Vec<String> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_a_topic_where_its_name_ends_as_serializers_end_it() {
        let check = |subject: &str, expected: Option<(&str, Part)>| {
            let found = topic_of(subject);
            let found = found.as_ref().map(|(topic, part)| (topic.as_str(), *part));
            assert_eq!(found, expected, "{subject}");
        };
        check("orders-value", Some(("orders", Part::Value)));
        check("a-b-key", Some(("a-b", Part::Key)));
        check(":.staging:orders-value", Some(("orders", Part::Value)));
        check("com.acme.Order", None);
        check("orders-com.acme.Order", None);
        check("-value", None);
    }
}
