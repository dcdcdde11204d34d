use millstream_broker_storage::TopicConfig;

use super::*;

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn parse(pairs: &[(&str, &str)]) -> Result<BrokerSettings, InvalidSettings> {
    BrokerSettings::parse(values(pairs))
}

fn refused(pairs: &[(&str, &str)]) -> String {
    parse(pairs).unwrap_err().to_string()
}

#[test]
fn rows_are_sorted_and_their_defaults_valid() {
    assert!(KEYS.is_sorted_by_key(|key| key.name));
    for key in KEYS {
        let refused = key.default.and_then(|value| key.kind.refuses(value));
        assert_eq!(refused, None, "{}", key.name);
        assert!(key.doc.ends_with('.'), "{}", key.name);
    }
    let settings = BrokerSettings::default();
    assert_eq!(settings.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    assert_eq!(settings.topic_defaults(), Values::new());
}

#[test]
fn topic_keys_are_those_of_the_storage_and_take_its_defaults_from_known_settings() {
    let names = |keys: &mut dyn Iterator<Item = &'static str>| keys.collect::<Vec<_>>();
    assert_eq!(
        names(&mut TOPIC_KEYS.iter().map(|key| key.name)),
        names(&mut TopicConfig::defaults().map(|(name, _)| name))
    );
    for (key, (_, default)) in TOPIC_KEYS.iter().zip(TopicConfig::defaults()) {
        let broker = key.synonyms.iter().find_map(|synonym| {
            let known = Key::find(synonym.name).expect(synonym.name);
            known.default.map(|value| synonym.convert(value))
        });
        assert!(broker.is_none_or(|value| value == default), "{}", key.name);
    }
}

#[test]
fn unknown_names_and_wrong_values_are_all_named() {
    let error = refused(&[
        ("log.retention.hour", "1"),
        ("num.partitions", "0"),
        ("utterly.strange", "1"),
        ("auto.create.topics.enable", "yes"),
    ]);
    assert_eq!(
        error,
        "'yes' is no value for 'auto.create.topics.enable': it takes true or false; there is no broker setting \
         'log.retention.hour': did you mean 'log.retention.hours'?; '0' is no value for 'num.partitions': it takes a \
         whole number from 1 to 100000; there is no broker setting 'utterly.strange'"
    );
    let misfit = refused(&[("group.min.session.timeout.ms", "2000000")]);
    assert!(misfit.contains("group.max.session.timeout.ms"), "{misfit}");
}

#[test]
fn layers_count_from_the_nearest_to_the_default() {
    let settings = parse(&[("message.max.bytes", "1000")]).unwrap();
    let dynamic = DynamicSettings {
        broker: values(&[("message.max.bytes", "3000")]),
        cluster: values(&[("message.max.bytes", "2000"), ("log.retention.ms", "5")]),
    };
    let altered = settings.with_dynamic(dynamic).unwrap();
    let layers: Vec<_> = altered.layers("message.max.bytes").collect();
    assert_eq!(
        layers,
        [
            (Source::Broker, "3000"),
            (Source::Cluster, "2000"),
            (Source::Static, "1000"),
            (Source::Default, "1048588")
        ]
    );
    assert_eq!(
        altered.topic_defaults(),
        values(&[("max.message.bytes", "3000"), ("retention.ms", "5")])
    );
    assert_eq!(altered.get("log.retention.minutes"), None);
    assert_eq!(
        altered.with_dynamic(DynamicSettings::default()).unwrap(),
        settings
    );
}

#[test]
fn times_of_topics_come_from_hours_and_minutes_too() {
    let default = |pairs: &[(&str, &str)]| parse(pairs).unwrap().topic_defaults()["retention.ms"].clone();
    assert_eq!(default(&[("log.retention.hours", "2")]), "7200000");
    assert_eq!(default(&[("log.retention.hours", "-1")]), "-1");
    assert_eq!(
        default(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]),
        "180000"
    );
}

#[test]
fn listeners_are_read_as_in_a_servers_properties() {
    let settings = parse(&[
        (
            "listeners",
            "internal://:9092,EXTERNAL://[::1]:9094,CONTROLLER://:9093",
        ),
        ("advertised.listeners", "EXTERNAL://kafka.example.com:9094"),
        ("controller.listener.names", "CONTROLLER"),
        (
            "listener.security.protocol.map",
            "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        ),
    ])
    .unwrap();
    let addresses: Vec<_> = settings.listeners.iter().map(Endpoint::address).collect();
    assert_eq!(addresses, ["0.0.0.0:9092", "[::1]:9094"]);
    assert_eq!(settings.advertised_listeners[0].host, "kafka.example.com");
    assert!(refused(&[("listeners", "SASL_SSL://:9092")]).contains("SASL_SSL is not built yet"));
    assert!(refused(&[("listeners", "PLAINTEXT://host")]).contains("NAME://host:port"));
    assert!(refused(&[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")]).contains("each name"));
}
