import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Duration;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** The Java client. Arguments and output as in ../python/harness.py. */
public final class Compat {
    private static final long DEADLINE_S = 30;
    private static final String RUN = System.currentTimeMillis() % 100_000 + "-" + ProcessHandle.current().pid();

    private final String bootstrap;
    private final Admin admin;

    private interface Scenario {
        void run() throws Exception;
    }

    private Compat(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] args) {
        var chosen = Arrays.asList(args).subList(1, args.length);
        new Compat(args[0]).scenarios().forEach((name, scenario) -> {
            if (!chosen.isEmpty() && !chosen.contains(name)) return;
            long started = System.nanoTime();
            try {
                scenario.run();
                System.out.printf("ok %s %.1f%n", name, (System.nanoTime() - started) / 1e9);
            } catch (Throwable error) {
                error.printStackTrace();
                String reason = String.valueOf(error).replaceAll("\\s+", " ");
                System.out.printf("fail %s %s%n", name, reason.substring(0, Math.min(300, reason.length())));
            }
            System.out.flush();
        });
        System.exit(0);
    }

    private Map<String, Scenario> scenarios() {
        var all = new LinkedHashMap<String, Scenario>();
        all.put("codecs", this::codecs);
        all.put("records", this::records);
        all.put("idempotence", this::idempotence);
        all.put("large-records", this::largeRecords);
        all.put("offsets-for-times", this::offsetsForTimes);
        all.put("delete-records", this::deleteRecords);
        all.put("many-partitions", this::manyPartitions);
        all.put("topics", this::topics);
        all.put("create-partitions", this::createPartitions);
        all.put("topic-ids", this::topicIds);
        all.put("configs", this::configs);
        all.put("group-range", () -> rebalance("range", Map.of(
                "partition.assignment.strategy", RangeAssignor.class.getName(), "heartbeat.interval.ms", "500")));
        all.put("group-sticky", () -> rebalance("sticky", Map.of(
                "partition.assignment.strategy", StickyAssignor.class.getName(), "heartbeat.interval.ms", "500")));
        all.put("group-cooperative", () -> rebalance("cooperative", Map.of(
                "partition.assignment.strategy", CooperativeStickyAssignor.class.getName(), "heartbeat.interval.ms", "500")));
        all.put("group-migration", this::migration);
        all.put("group-consumer-protocol", () -> rebalance("consumer", Map.of("group.protocol", "consumer")));
        all.put("static-member", this::staticMember);
        all.put("commits", this::commits);
        all.put("transactions", this::transactions);
        all.put("fencing", this::fencing);
        all.put("exactly-once", this::exactlyOnce);
        all.put("groups-admin", this::groupsAdmin);
        all.put("group-offsets-admin", this::groupOffsetsAdmin);
        all.put("cluster", this::cluster);
        all.put("log-dirs", this::logDirs);
        all.put("producers-admin", this::producersAdmin);
        all.put("quotas", this::quotas);
        all.put("acls", this::acls);
        all.put("elect-leaders", this::electLeaders);
        return all;
    }

    private void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = topic("codec-" + codec, 1, Map.of());
            var sent = IntStream.range(0, 500).mapToObj(n -> (codec + " " + n + " ").repeat(20)).toList();
            produce(topic, 0, sent, Map.of("compression.type", codec, "linger.ms", "20"));
            eq(values(read(topic, 0, Map.of())), sent, codec);
        }
    }

    private void records() throws Exception {
        String topic = topic("records", 1, Map.of());
        try (var producer = producer(Map.of())) {
            var headers = List.<org.apache.kafka.common.header.Header>of(new RecordHeader("a", "1".getBytes(UTF_8)),
                    new RecordHeader("a", "2".getBytes(UTF_8)), new RecordHeader("empty", new byte[0]), new RecordHeader("null", (byte[]) null));
            producer.send(new ProducerRecord<>(topic, 0, 1234567890123L, "k", "v", headers));
            producer.send(new ProducerRecord<>(topic, 0, "tombstone", null));
            producer.send(new ProducerRecord<>(topic, 0, null, ""));
            producer.flush();
            var found = read(topic, 0, Map.of());
            eq(Arrays.asList(found.get(0).headers().toArray()), headers, "headers");
            eq(found.get(0).timestamp(), 1234567890123L, "timestamp");
            eq(found.get(0).timestampType(), TimestampType.CREATE_TIME, "its type");
            eq(found.get(0).key() + found.get(0).value(), "kv", "record");
            eq(found.get(1).value(), null, "tombstone");
            eq(found.get(2).key(), null, "no key");
            eq(found.get(2).value(), "", "an empty value");
            String appended = topic("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
            long at = producer.send(new ProducerRecord<>(appended, 0, 5L, null, "v")).get().timestamp();
            var record = read(appended, 0, Map.of()).get(0);
            eq(record.timestampType(), TimestampType.LOG_APPEND_TIME, "type");
            eq(record.timestamp(), at, "the time that the producer was told");
            check(Math.abs(at - System.currentTimeMillis()) < 60_000, "time " + at);
        }
    }

    private void idempotence() throws Exception {
        String topic = topic("idempotence", 1, Map.of());
        var sent = IntStream.range(0, 2000).mapToObj(Integer::toString).toList();
        var offsets = produce(topic, 0, sent, Map.of("enable.idempotence", "true", "batch.size", "200", "linger.ms", "0"));
        eq(offsets, IntStream.range(0, 2000).mapToObj(n -> (long) n).toList(), "offsets");
        eq(values(read(topic, 0, Map.of())), sent, "records");
    }

    private void largeRecords() throws Exception {
        String topic = topic("large", 1, Map.of("max.message.bytes", "100000"));
        var large = Map.<String, Object>of("max.request.size", "10000000", "batch.size", "0");
        raises(RecordTooLargeException.class, () -> produce(topic, 0, List.of("x".repeat(200_000)), large));
        produce(topic, 0, List.of("y".repeat(90_000)), large);
        String wide = topic("wide", 1, Map.of("max.message.bytes", "10000000"));
        produce(wide, 0, List.of("z".repeat(5_000_000)), large);
        eq(read(wide, 0, Map.of()).get(0).value().length(), 5_000_000, "length");
    }

    private void offsetsForTimes() throws Exception {
        String topic = topic("times", 1, Map.of());
        var part = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of("linger.ms", "100", "compression.type", "gzip"))) {
            for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(topic, 0, 1_000_000L + n * 1000, null, "" + n));
        }
        try (var consumer = consumer(null, Map.of())) {
            var expected = Map.of(0L, 0L, 1_000_001L, 1L, 1_005_000L, 5L, 1_008_999L, 9L);
            for (var at : expected.entrySet())
                eq(consumer.offsetsForTimes(Map.of(part, at.getKey())).get(part).offset(), at.getValue(), "offset for " + at.getKey());
            eq(consumer.offsetsForTimes(Map.of(part, 1_009_001L)).get(part), null, "later than all");
            eq(consumer.beginningOffsets(List.of(part)).get(part), 0L, "start");
            eq(consumer.endOffsets(List.of(part)).get(part), 10L, "end");
        }
        var latest = admin.listOffsets(Map.of(part, OffsetSpec.maxTimestamp())).partitionResult(part).get();
        eq(latest.offset() + " " + latest.timestamp(), "9 1009000", "max timestamp");
        eq(admin.listOffsets(Map.of(part, OffsetSpec.earliestLocal())).partitionResult(part).get().offset(), 0L, "earliest local");
    }

    private void deleteRecords() throws Exception {
        String topic = topic("delete-records", 1, Map.of());
        var part = new TopicPartition(topic, 0);
        produce(topic, 0, Collections.nCopies(10, "x"), Map.of());
        eq(admin.deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(part).get().lowWatermark(), 4L, "low");
        eq(read(topic, 0, Map.of()).get(0).offset(), 4L, "first offset");
        raises(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(99))).all().get());
    }

    private void manyPartitions() throws Exception {
        String topic = topic("many", 200, Map.of());
        try (var producer = producer(Map.of())) {
            for (int n = 0; n < 200; n++) producer.send(new ProducerRecord<>(topic, n, null, "" + n));
        }
        try (var consumer = consumer(unique("many"), Map.of())) {
            consumer.subscribe(List.of(topic));
            var found = take(consumer, 200);
            check(found.stream().allMatch(r -> r.value().equals("" + r.partition())), "each record in its partition");
        }
    }

    private void topics() throws Exception {
        String topic = topic("topics", 3, Map.of());
        var described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        eq(described.partitions().stream().map(TopicPartitionInfo::partition).toList(), List.of(0, 1, 2), "partitions");
        eq(described.partitions().get(0).isr(), described.partitions().get(0).replicas(), "in-sync replicas");
        raises(TopicExistsException.class, () -> create(new NewTopic(topic, 1, (short) 1)));
        raises(InvalidTopicException.class, () -> create(new NewTopic("bad/name", 1, (short) 1)));
        raises(InvalidPartitionsException.class, () -> create(new NewTopic(unique("none"), 0, (short) 1)));
        raises(InvalidReplicationFactorException.class, () -> create(new NewTopic(unique("r"), 1, (short) 3)));
        raises(InvalidConfigurationException.class,
                () -> create(new NewTopic(unique("c"), 1, (short) 1).configs(Map.of("no.such", "1"))));
        var assigned = new NewTopic(unique("assigned"), Map.of(0, List.of(node()), 1, List.of(node())));
        var made = admin.createTopics(List.of(assigned));
        eq(made.numPartitions(assigned.name()).get() + " " + made.replicationFactor(assigned.name()).get(), "2 1", "as assigned");
        eq(made.config(assigned.name()).get().get("cleanup.policy").value(), "delete", "config of the answer");
        String dry = unique("dry");
        admin.createTopics(List.of(new NewTopic(dry, Optional.empty(), Optional.empty())), new CreateTopicsOptions().validateOnly(true)).all().get();
        check(!admin.listTopics().names().get().contains(dry), "nothing was made");
        admin.deleteTopics(List.of(topic)).all().get();
        until("the topic is gone", () -> !admin.listTopics().names().get().contains(topic));
        raises(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
    }

    private void createPartitions() throws Exception {
        String topic = topic("grow", 2, Map.of());
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        until("5 partitions", () -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 5);
        eq(produce(topic, 4, List.of("x"), Map.of()), List.of(0L), "offset in a new partition");
        raises(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get());
    }

    private void topicIds() throws Exception {
        String topic = topic("ids", 2, Map.of());
        Uuid id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
        var ids = TopicCollection.ofTopicIds(List.of(id));
        eq(admin.describeTopics(ids).allTopicIds().get().get(id).name(), topic, "by its id");
        admin.deleteTopics(ids).all().get();
        until("the topic is gone", () -> !admin.listTopics().names().get().contains(topic));
        raises(UnknownTopicIdException.class, () -> admin.describeTopics(ids).allTopicIds().get());
        create(new NewTopic(topic, 1, (short) 1));
        var again = until("the topic is known", () -> admin.listTopics().namesToListings().get().get(topic));
        check(!again.topicId().equals(id), "a new topic has a new id");
    }

    private void configs() throws Exception {
        String topic = topic("configs", 1, Map.of("retention.ms", "1000000"));
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Callable<Config> described = () -> admin.describeConfigs(List.of(resource),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(resource);
        var found = described.call();
        eq(found.get("retention.ms").value() + " " + found.get("retention.ms").source(), "1000000 DYNAMIC_TOPIC_CONFIG", "retention");
        eq(found.get("retention.ms").type(), ConfigEntry.ConfigType.LONG, "type");
        eq(found.get("cleanup.policy").value() + " " + found.get("cleanup.policy").isDefault(), "delete true", "policy");
        admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
                new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE),
                new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000"), AlterConfigOp.OpType.SET)))).all().get();
        until("the change shows", () -> described.call().get("max.message.bytes").value().equals("2000"));
        eq(described.call().get("cleanup.policy").value(), "delete,compact", "appended");
        eq(described.call().get("retention.ms").value(), "604800000", "back to the default");
        raises(InvalidConfigurationException.class, () -> set(resource, "no.such.key", "1"));
        raises(InvalidConfigurationException.class, () -> set(resource, "retention.ms", "soon"));
        var missing = new ConfigResource(ConfigResource.Type.TOPIC, unique("missing"));
        raises(UnknownTopicOrPartitionException.class, () -> admin.describeConfigs(List.of(missing)).all().get());
        var broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node());
        var settings = admin.describeConfigs(List.of(broker)).all().get().get(broker);
        check(settings.get("log.retention.ms") != null && settings.get("num.partitions") != null, "settings of the broker");
        var listed = admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all().get();
        check(listed.contains(resource), "listed");
    }

    private void set(ConfigResource resource, String key, String value) throws Exception {
        var op = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all().get();
    }

    /** A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way. */
    private void rebalance(String kind, Map<String, Object> config) throws Exception {
        String topic = topic("group-" + kind, 4, Map.of());
        String group = unique("group-" + kind);
        for (int n = 0; n < 4; n++) produce(topic, n, List.of("" + n), Map.of());
        try (var first = consumer(group, config)) {
            first.subscribe(List.of(topic));
            eq(sorted(values(take(first, 4))), List.of("0", "1", "2", "3"), "before");
            first.commitSync();
            try (var second = consumer(group, config)) {
                second.subscribe(List.of(topic));
                until("two partitions each", () -> {
                    first.poll(Duration.ofMillis(50));
                    second.poll(Duration.ofMillis(50));
                    return first.assignment().size() == 2 && second.assignment().size() == 2;
                });
                check(Collections.disjoint(first.assignment(), second.assignment()), "no partition twice");
            }
            until("all partitions again", () -> {
                first.poll(Duration.ofMillis(50));
                return first.assignment().size() == 4;
            });
            for (int n = 0; n < 4; n++) produce(topic, n, List.of("" + (n + 4)), Map.of());
            eq(sorted(values(take(first, 4))), List.of("4", "5", "6", "7"), "after the rebalance");
        }
    }

    /** Each member is replaced by one of the other protocol, without a pause, and back; nothing is lost on the way. */
    private void migration() throws Exception {
        String topic = topic("migration", 4, Map.of());
        String group = unique("migration");
        KafkaConsumer<String, String> former = null;
        int count = 0;
        try {
            for (String protocol : List.of("classic", "consumer", "classic")) {
                var next = consumer(group, Map.of("group.protocol", protocol));
                var before = former;
                former = next;
                next.subscribe(List.of(topic));
                if (before != null) {
                    try (before) {
                        until("two partitions each, " + protocol + " the newer one", () -> {
                            before.poll(Duration.ofMillis(50));
                            next.poll(Duration.ofMillis(50));
                            return before.assignment().size() == 2 && next.assignment().size() == 2;
                        });
                    }
                }
                until("all partitions, " + protocol, () -> {
                    next.poll(Duration.ofMillis(50));
                    return next.assignment().size() == 4;
                });
                List<String> sent = IntStream.range(count, count + 4).mapToObj(Integer::toString).sorted().toList();
                for (int n = 0; n < 4; n++) produce(topic, n, List.of("" + (count + n)), Map.of());
                eq(sorted(values(take(next, 4))), sent, protocol);
                next.commitSync();
                count += 4;
            }
        } finally {
            if (former != null) former.close();
        }
    }

    private void staticMember() throws Exception {
        String topic = topic("static", 2, Map.of());
        String group = unique("static");
        for (int n = 0; n < 2; n++) {
            try (var consumer = consumer(group, Map.of("group.instance.id", "one", "partition.assignment.strategy", RangeAssignor.class.getName()))) {
                consumer.subscribe(List.of(topic));
                until("an assignment", () -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.assignment().size() == 2;
                });
            }
            var members = admin.describeConsumerGroups(List.of(group)).all().get().get(group).members();
            eq(members.stream().map(m -> m.groupInstanceId().get()).toList(), List.of("one"), "a static member stays when it closes");
        }
        var gone = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")));
        admin.removeMembersFromConsumerGroup(group, gone).all().get();
        eq(admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), 0, "members");
    }

    private void commits() throws Exception {
        String topic = topic("commits", 1, Map.of());
        String group = unique("commits");
        var part = new TopicPartition(topic, 0);
        produce(topic, 0, IntStream.range(0, 10).mapToObj(Integer::toString).toList(), Map.of());
        try (var consumer = consumer(group, Map.of("max.poll.records", "4"))) {
            eq(consumer.committed(Set.of(part)).get(part), null, "before the first commit");
            consumer.subscribe(List.of(topic));
            take(consumer, 4);
            consumer.commitSync(Map.of(part, new OffsetAndMetadata(4, Optional.of(0), "note")));
        }
        try (var consumer = consumer(group, Map.of())) {
            eq(consumer.committed(Set.of(part)).get(part), new OffsetAndMetadata(4, Optional.of(0), "note"), "committed");
            consumer.subscribe(List.of(topic));
            eq(values(take(consumer, 6)), List.of("4", "5", "6", "7", "8", "9"), "after resuming");
        }
    }

    private static final Map<String, Object> COMMITTED = Map.of("isolation.level", "read_committed");

    private void transactions() throws Exception {
        String topic = topic("tx", 2, Map.of());
        try (var producer = producer(Map.of("transactional.id", unique("tx")))) {
            producer.initTransactions();
            for (String outcome : List.of("commit", "abort", "commit")) {
                producer.beginTransaction();
                for (int n = 0; n < 2; n++) producer.send(new ProducerRecord<>(topic, n, null, outcome));
                producer.flush();
                if (outcome.equals("commit")) producer.commitTransaction();
                else producer.abortTransaction();
            }
            for (int n = 0; n < 2; n++) {
                eq(values(read(topic, n, COMMITTED)), List.of("commit", "commit"), "committed");
                eq(values(read(topic, n, Map.of())), List.of("commit", "abort", "commit"), "uncommitted");
            }
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, null, "open")).get();
            produce(topic, 0, List.of("behind"), Map.of());
            eq(values(read(topic, 0, COMMITTED)), List.of("commit", "commit"), "an open transaction hides what follows");
            producer.commitTransaction();
            eq(values(read(topic, 0, COMMITTED)), List.of("commit", "commit", "open", "behind"), "all");
        }
    }

    private void fencing() throws Exception {
        String topic = topic("fencing", 1, Map.of());
        var config = Map.<String, Object>of("transactional.id", unique("fenced"));
        try (var old = producer(config); var fresh = producer(config)) {
            old.initTransactions();
            old.beginTransaction();
            old.send(new ProducerRecord<>(topic, 0, null, "old")).get();
            fresh.initTransactions();
            try {
                old.commitTransaction();
                throw new AssertionError("the old producer could commit");
            } catch (ProducerFencedException | InvalidProducerEpochException expected) {
                // as it should be
            }
            fresh.beginTransaction();
            fresh.send(new ProducerRecord<>(topic, 0, null, "new"));
            fresh.commitTransaction();
            eq(values(read(topic, 0, COMMITTED)), List.of("new"), "records");
        }
    }

    private void exactlyOnce() throws Exception {
        String source = topic("eo-in", 1, Map.of()), target = topic("eo-out", 1, Map.of());
        produce(source, 0, IntStream.range(0, 100).mapToObj(Integer::toString).toList(), Map.of());
        try (var producer = producer(Map.of("transactional.id", unique("eo")))) {
            producer.initTransactions();
            for (int attempt = 0; attempt < 4; attempt++) {
                try (var consumer = consumer(unique("eo"), Map.of("isolation.level", "read_committed", "max.poll.records", "25"))) {
                    consumer.subscribe(List.of(source));
                    var batch = take(consumer, 25).subList(0, 25);
                    producer.beginTransaction();
                    for (var record : batch) producer.send(new ProducerRecord<>(target, 0, null, "copy " + record.value()));
                    var next = new OffsetAndMetadata(batch.get(24).offset() + 1);
                    producer.sendOffsetsToTransaction(Map.of(new TopicPartition(source, 0), next), consumer.groupMetadata());
                    if (attempt == 1) producer.abortTransaction();
                    else producer.commitTransaction();
                }
            }
        }
        eq(values(read(target, 0, COMMITTED)), IntStream.range(0, 75).mapToObj(n -> "copy " + n).toList(), "each input once, in order");
    }

    private void groupsAdmin() throws Exception {
        String topic = topic("ga", 2, Map.of());
        for (String protocol : List.of("classic", "consumer")) {
            String group = unique("ga-" + protocol);
            try (var consumer = consumer(group, Map.of("client.id", "who", "group.protocol", protocol))) {
                consumer.subscribe(List.of(topic));
                until("an assignment", () -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.assignment().size() == 2;
                });
                var listed = admin.listGroups().all().get().stream().filter(g -> g.groupId().equals(group)).findFirst().get();
                eq(listed.type().get().toString().toLowerCase(), protocol, "type");
                var described = until("stable", () -> {
                    var d = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                    return d.groupState() == GroupState.STABLE ? d : null;
                });
                eq(described.members().stream().map(MemberDescription::clientId).toList(), List.of("who"), "members");
                eq(described.members().iterator().next().assignment().topicPartitions().size(), 2, "assigned");
                eq(described.type().toString().toLowerCase(), protocol, "type");
                raises(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            until("empty", () -> admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState() == GroupState.EMPTY);
            admin.deleteConsumerGroups(List.of(group)).all().get();
            check(admin.listGroups().all().get().stream().noneMatch(g -> g.groupId().equals(group)), "deleted");
            raises(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            raises(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get());
        }
    }

    private void groupOffsetsAdmin() throws Exception {
        String topic = topic("goa", 2, Map.of());
        String group = unique("goa");
        var zero = new TopicPartition(topic, 0);
        var one = new TopicPartition(topic, 1);
        admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(3), one, new OffsetAndMetadata(7, "note"))).all().get();
        var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        eq(found.get(zero).offset() + " " + found.get(one).offset() + found.get(one).metadata(), "3 7note", "offsets");
        admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all().get();
        eq(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().keySet(), Set.of(one), "after deleting one");
        eq(admin.listConsumerGroupOffsets(unique("nobody")).partitionsToOffsetAndMetadata().get().size(), 0, "a group that nobody knows");
    }

    private void cluster() throws Exception {
        var described = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        eq(described.nodes().get().stream().map(n -> n.host() + ":" + n.port()).toList(), List.of(bootstrap), "nodes");
        check(described.clusterId().get() != null && described.controller().get() != null, "id and controller");
        check(!admin.describeFeatures().featureMetadata().get().supportedFeatures().isEmpty(), "features");
    }

    private void logDirs() throws Exception {
        String topic = topic("log-dirs", 1, Map.of());
        produce(topic, 0, List.of("x".repeat(1000)), Map.of());
        var dirs = admin.describeLogDirs(List.of(node())).allDescriptions().get().get(node());
        long size = dirs.values().stream().flatMap(d -> d.replicaInfos().entrySet().stream())
                .filter(e -> e.getKey().topic().equals(topic)).mapToLong(e -> e.getValue().size()).sum();
        check(size > 1000, "size " + size);
    }

    private void producersAdmin() throws Exception {
        String topic = topic("producers", 1, Map.of());
        String id = unique("described");
        var part = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of("transactional.id", id))) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, null, "x")).get();
            var described = admin.describeTransactions(List.of(id)).description(id).get();
            eq(described.state() + " " + described.topicPartitions(), "Ongoing [" + part + "]", "transaction");
            check(admin.listTransactions().all().get().stream().anyMatch(t -> t.transactionalId().equals(id)), "listed");
            var active = admin.describeProducers(List.of(part)).partitionResult(part).get().activeProducers().get(0);
            eq(active.producerId() + " " + active.currentTransactionStartOffset().getAsLong(), described.producerId() + " 0", "producer");
            admin.abortTransaction(new AbortTransactionSpec(part, active.producerId(), (short) active.producerEpoch(), -1)).all().get();
            eq(values(read(topic, 0, COMMITTED)), List.of(), "aborted by an administrator");
        }
        String fenced = unique("admin-fenced");
        try (var producer = producer(Map.of("transactional.id", fenced))) {
            producer.initTransactions();
            admin.fenceProducers(List.of(fenced)).all().get();
            producer.beginTransaction();
            try {
                producer.send(new ProducerRecord<>(topic, 0, null, "x")).get();
                producer.commitTransaction();
                throw new AssertionError("a fenced producer could commit");
            } catch (KafkaException | ExecutionException expected) {
                // as it should be
            }
        }
    }

    private void quotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, unique("limited")));
        var op = new ClientQuotaAlteration.Op("producer_byte_rate", 1_000_000.0);
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all().get();
        var filter = ClientQuotaFilter.containsOnly(List.of(
                ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, unique("limited"))));
        until("the quota shows", () -> admin.describeClientQuotas(filter).entities().get()
                .equals(Map.of(entity, Map.of("producer_byte_rate", 1_000_000.0))));
        var gone = new ClientQuotaAlteration.Op("producer_byte_rate", null);
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(gone)))).all().get();
        until("the quota is gone", () -> admin.describeClientQuotas(filter).entities().get().isEmpty());
    }

    private void acls() throws Exception {
        raises(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        var one = new AclBinding(new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL),
                new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        raises(SecurityDisabledException.class, () -> admin.createAcls(List.of(one)).all().get());
        raises(SecurityDisabledException.class, () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());
    }

    private void electLeaders() throws Exception {
        var part = new TopicPartition(topic("elect", 1, Map.of()), 0);
        var error = admin.electLeaders(ElectionType.PREFERRED, Set.of(part)).partitions().get().get(part);
        check(error.get() instanceof ElectionNotNeededException, "answer: " + error);
    }

    private int node() throws Exception {
        return admin.describeCluster().nodes().get().iterator().next().id();
    }

    private void create(NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
    }

    private String topic(String name, int partitions, Map<String, String> config) throws Exception {
        String topic = unique(name);
        create(new NewTopic(topic, partitions, (short) 1).configs(config));
        until("the topic is known", () -> admin.listTopics().names().get().contains(topic));
        return topic;
    }

    private KafkaProducer<String, String> producer(Map<String, Object> config) {
        var all = new HashMap<String, Object>(config);
        all.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    private List<Long> produce(String topic, int partition, List<String> values, Map<String, Object> config) throws Exception {
        try (var producer = producer(config)) {
            var sent = values.stream().map(v -> producer.send(new ProducerRecord<>(topic, partition, null, v))).toList();
            producer.flush();
            var offsets = new ArrayList<Long>();
            for (var one : sent) offsets.add(one.get(DEADLINE_S, TimeUnit.SECONDS).offset());
            return offsets;
        }
    }

    private KafkaConsumer<String, String> consumer(String group, Map<String, Object> config) {
        var all = new HashMap<String, Object>(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        all.putAll(config);
        all.put("bootstrap.servers", bootstrap);
        if (group != null) all.put("group.id", group);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    private List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) throws Exception {
        var records = new ArrayList<ConsumerRecord<String, String>>();
        until(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() >= count;
        });
        return records;
    }

    /** All records up to the end as this isolation level sees it. */
    private List<ConsumerRecord<String, String>> read(String topic, int partition, Map<String, Object> config) throws Exception {
        var part = new TopicPartition(topic, partition);
        var records = new ArrayList<ConsumerRecord<String, String>>();
        try (var consumer = consumer(null, config)) {
            consumer.assign(List.of(part));
            consumer.seekToBeginning(List.of(part));
            long end = consumer.endOffsets(List.of(part)).get(part);
            until("the end of the partition", () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                return consumer.position(part) >= end;
            });
        }
        return records;
    }

    private static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    private static List<String> sorted(List<String> values) {
        return values.stream().sorted().collect(Collectors.toList());
    }

    private static String unique(String name) {
        return "java-" + name + "-" + RUN;
    }

    /** Polls until the answer is neither null nor false. */
    private static <T> T until(String what, Callable<T> condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_S);
        Predicate<T> holds = value -> value != null && !Boolean.FALSE.equals(value);
        for (;;) {
            T value = condition.call();
            if (holds.test(value)) return value;
            check(System.nanoTime() < deadline, "not within " + DEADLINE_S + " s: " + what);
            Thread.sleep(20);
        }
    }

    private static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    private static void eq(Object actual, Object expected, String what) {
        check(Objects.equals(actual, expected), what + " is " + actual + ", expected " + expected);
    }

    private static void raises(Class<? extends Throwable> kind, Scenario call) {
        try {
            call.run();
        } catch (Exception error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) if (kind.isInstance(cause)) return;
            throw new AssertionError("wrong error: " + error, error);
        }
        throw new AssertionError("no error, expected " + kind.getSimpleName());
    }
}
