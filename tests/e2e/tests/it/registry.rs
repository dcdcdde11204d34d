//! The schema registry of `broker serve` under kills, and under clients that others wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use millstream_tests_kit::seed;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    clients::{node, python, script, stdout_of},
    millstream::root,
    serving::Serving,
};

const DEADLINE: Duration = Duration::from_secs(60);
const KILLS: u32 = 25;
const WRITERS: usize = 4;

/// A request, and the status and the body of its answer, if it comes in whole.
fn ask(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

fn get(address: &str, path: &str) -> (u16, Value) {
    ask(address, "GET", path, "").expect("nobody kills this one")
}

fn enum_of(name: &str) -> String {
    format!(r#"{{"type":"enum","name":"{name}","symbols":["A"]}}"#)
}

fn registration(schema: &str) -> String {
    json!({ "schema": schema }).to_string()
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Texts and the ids they got, those of deleted subjects too.
    ids: BTreeMap<String, BTreeSet<u64>>,
    /// Subjects that are there, and the text each has as its first version.
    subjects: BTreeMap<String, String>,
    /// Subjects whose permanent deletion was asked for.
    deleted: BTreeSet<String>,
}

/// Registers schemas under new subjects until the registry is gone: some that nobody else has, some that all writers
/// have, and deletes some again.
fn write(address: &str, writer: usize, life: u32, done: &AtomicBool, acknowledged: &Mutex<Acknowledged>) {
    for n in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let name = if n % 2 == 0 {
            format!("Own_{life}_{writer}_{n}")
        } else {
            format!("Shared_{life}_{n}")
        };
        let (schema, subject) = (enum_of(&name), format!("subject-{life}-{writer}-{n}"));
        let path = format!("/subjects/{subject}");
        let Some((status, answer)) = ask(
            address,
            "POST",
            &format!("{path}/versions"),
            &registration(&schema),
        ) else {
            return;
        };
        assert_eq!(status, 200, "{answer}");
        let id = answer["id"].as_u64().expect("an answer has an id");
        {
            let mut acknowledged = acknowledged.lock().expect("no writer panics");
            acknowledged.ids.entry(schema.clone()).or_default().insert(id);
            acknowledged.subjects.insert(subject.clone(), schema);
        }
        if n % 10 == 0 {
            acknowledged
                .lock()
                .expect("no writer panics")
                .deleted
                .insert(subject);
            for query in ["", "?permanent=true"] {
                if ask(address, "DELETE", &format!("{path}{query}"), "").is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn kills_while_schemas_are_registered_lose_none_and_give_no_id_twice() {
    let seed = seed();
    println!("MILLSTREAM_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let acknowledged = Mutex::new(Acknowledged::default());
    for life in 0..KILLS {
        let mut serving = Serving::broker(folder.path());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (address, done, acknowledged) = (&serving.registry, &done, &acknowledged);
                scope.spawn(move || write(address, writer, life, done, acknowledged));
            }
            let time = random.random_range(Duration::from_millis(10)..Duration::from_millis(250));
            let ended = serving.process.wait(time).expect("it can be waited for");
            assert!(ended.is_none(), "{}", serving.process.stderr());
            serving.process.kill().expect("it can be killed");
            done.store(true, Ordering::Relaxed);
        });
    }
    let serving = Serving::broker(folder.path());
    let acknowledged = acknowledged.into_inner().expect("no writer has panicked");
    println!(
        "{} schemas, {} subjects, {} of them to be deleted",
        acknowledged.ids.len(),
        acknowledged.subjects.len(),
        acknowledged.deleted.len()
    );
    assert!(acknowledged.subjects.len() > KILLS as usize);
    check(&serving.registry, &acknowledged);
}

fn check(address: &str, acknowledged: &Acknowledged) {
    let mut owners = BTreeMap::new();
    for (schema, ids) in &acknowledged.ids {
        for id in ids {
            let other = owners.insert(id, schema);
            assert_eq!(other, None, "id {id} was given to {schema} too");
        }
        // Once the last subject that had it is gone for good, a schema gets a new id.
        if schema.contains("Shared") {
            assert_eq!(ids.len(), 1, "{schema}: {ids:?}");
        }
    }
    for (subject, schema) in &acknowledged.subjects {
        let (status, version) = get(address, &format!("/subjects/{subject}/versions/1?deleted=true"));
        if acknowledged.deleted.contains(subject) {
            // The last deletion that was asked for may have been too late.
            assert!(matches!(status, 200 | 404), "{subject}: {version}");
            continue;
        }
        assert_eq!(status, 200, "{subject}: {version}");
        assert_eq!(version["schema"], *schema, "{subject}");
        let id = version["id"].as_u64().expect("a version has an id");
        assert!(acknowledged.ids[schema].contains(&id), "{subject}: {version}");
        let (status, found) = get(address, &format!("/schemas/ids/{id}"));
        assert_eq!((status, &found["schema"]), (200, &version["schema"]), "{found}");
    }
    let last = acknowledged
        .ids
        .values()
        .flatten()
        .max()
        .expect("some were acknowledged");
    let (status, answer) = ask(
        address,
        "POST",
        "/subjects/after/versions",
        &registration(&enum_of("After")),
    )
    .expect("nobody kills this one");
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer["id"].as_u64() > Some(*last),
        "{answer}, after an id of {last}"
    );
}

#[test]
fn confluents_python_serializer_registers_evolves_and_reads_back() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serving = Serving::broker(folder.path());
    let checked =
        stdout_of(script(&python, "registry_check.py").args([&serving.kafka, &serving.registry_url()]));
    assert!(checked.contains("all of it holds"), "{checked}");
}

#[test]
fn the_registry_client_of_kafkajs_registers_evolves_and_reads_back() {
    let Some(modules) = node() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serving = Serving::broker(folder.path());
    let mut check = Command::new("node");
    check
        .env("NODE_PATH", modules)
        .env("KAFKAJS_NO_PARTITIONER_WARNING", "1")
        .arg(root().join("tests/e2e/scripts/registry_check.js"))
        .args([&serving.kafka, &serving.registry_url()]);
    let checked = stdout_of(&mut check);
    assert!(checked.contains("all of it holds"), "{checked}");
}
