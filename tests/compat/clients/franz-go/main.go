// franz-go. Arguments and output as in ../python/harness.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const deadline = 30 * time.Second

var (
	bootstrap = os.Args[1]
	run       = fmt.Sprintf("%d-%d", time.Now().UnixMilli()%100_000, os.Getpid())
	admin     *kadm.Client
)

type scenario struct {
	name string
	run  func(context.Context)
}

var scenarios = []scenario{
	{"codecs", codecs},
	{"records", records},
	{"idempotence", idempotence},
	{"large-records", largeRecords},
	{"offsets-for-times", offsetsForTimes},
	{"delete-records", deleteRecords},
	{"many-partitions", manyPartitions},
	{"topics", topics},
	{"create-partitions", createPartitions},
	{"topic-ids", topicIDs},
	{"configs", configs},
	{"group-range", func(ctx context.Context) { rebalance(ctx, "range", kgo.Balancers(kgo.RangeBalancer())) }},
	{"group-sticky", func(ctx context.Context) { rebalance(ctx, "sticky", kgo.Balancers(kgo.StickyBalancer())) }},
	{"group-cooperative", func(ctx context.Context) {
		rebalance(ctx, "cooperative", kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}},
	{"group-consumer-protocol", func(ctx context.Context) {
		rebalance(ctx, "consumer", kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	}},
	{"group-migration", migration},
	{"static-member", staticMember},
	{"commits", commits},
	{"transactions", transactions},
	{"fencing", fencing},
	{"exactly-once", exactlyOnce},
	{"groups-admin", groupsAdmin},
	{"group-offsets-admin", groupOffsetsAdmin},
	{"cluster", cluster},
	{"log-dirs", logDirs},
	{"producers-admin", producersAdmin},
	{"quotas", quotas},
	{"acls", acls},
	{"elect-leaders", electLeaders},
}

// failure is what a scenario panics with when something is not as it should be.
type failure string

func main() {
	admin = kadm.NewClient(client())
	chosen := os.Args[2:]
	for _, s := range scenarios {
		if len(chosen) > 0 && !slices.Contains(chosen, s.name) {
			continue
		}
		started := time.Now()
		if reason := attempt(s); reason != "" {
			fmt.Printf("fail %s %.300s\n", s.name, strings.Join(strings.Fields(reason), " "))
		} else {
			fmt.Printf("ok %s %.1f\n", s.name, time.Since(started).Seconds())
		}
	}
}

func attempt(s scenario) (reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	defer cancel()
	defer func() {
		switch caught := recover().(type) {
		case nil:
		case failure:
			reason = string(caught)
		default:
			panic(caught)
		}
	}()
	s.run(ctx)
	return ""
}

func codecs(ctx context.Context) {
	all := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range all {
		topic := create(ctx, "codec-"+name, 1, nil)
		sent := texts(0, 500, func(n int) string { return strings.Repeat(fmt.Sprintf("%s %d ", name, n), 20) })
		produce(ctx, topic, 0, sent, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond))
		eq(name, values(read(ctx, topic, 0, len(sent))), sent)
	}
}

func records(ctx context.Context) {
	topic := create(ctx, "records", 1, nil)
	cl := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "empty", Value: []byte{}}, {Key: "null"}}
	at := time.UnixMilli(1234567890123)
	must(cl.ProduceSync(ctx,
		&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Headers: headers, Timestamp: at},
		&kgo.Record{Topic: topic, Key: []byte("tombstone")},
		&kgo.Record{Topic: topic, Value: []byte{}},
	).FirstErr())
	found := read(ctx, topic, 0, 3)
	eq("headers", found[0].Headers, headers)
	eq("timestamp", found[0].Timestamp.UnixMilli(), at.UnixMilli())
	eq("record", string(found[0].Key)+string(found[0].Value), "kv")
	check(found[1].Value == nil && string(found[1].Key) == "tombstone", "a tombstone, not %v", found[1])
	check(found[2].Key == nil && found[2].Value != nil && len(found[2].Value) == 0, "an empty value, not %v", found[2])
	appended := create(ctx, "append-time", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: appended, Value: []byte("v"), Timestamp: time.UnixMilli(5)}).FirstErr())
	record := read(ctx, appended, 0, 1)[0]
	eq("timestamp type", record.Attrs.TimestampType(), int8(1))
	check(time.Since(record.Timestamp).Abs() < time.Minute, "the time of the append, not %v", record.Timestamp)
}

func idempotence(ctx context.Context) {
	topic := create(ctx, "idempotence", 1, nil)
	sent := texts(0, 2000, strconv.Itoa)
	produce(ctx, topic, 0, sent, kgo.ProducerBatchMaxBytes(1000), kgo.MaxBufferedRecords(50))
	found := read(ctx, topic, 0, 2000)
	eq("records", values(found), sent)
	eq("last offset", found[1999].Offset, int64(1999))
}

func largeRecords(ctx context.Context) {
	topic := create(ctx, "large", 1, map[string]string{"max.message.bytes": "100000"})
	big := []kgo.Opt{kgo.ProducerBatchMaxBytes(10_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	cl := client(big...)
	defer cl.Close()
	fails(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 200_000)}).FirstErr(), kerr.MessageTooLarge)
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 90_000)}).FirstErr())
	wide := create(ctx, "wide", 1, map[string]string{"max.message.bytes": "10000000"})
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: wide, Value: make([]byte, 5_000_000)}).FirstErr())
	eq("length", len(read(ctx, wide, 0, 1)[0].Value), 5_000_000)
}

func offsetsForTimes(ctx context.Context) {
	topic := create(ctx, "times", 1, nil)
	cl := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerLinger(100*time.Millisecond))
	defer cl.Close()
	var sent []*kgo.Record
	for n := range 10 {
		sent = append(sent, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(n)), Timestamp: time.UnixMilli(int64(1_000_000 + n*1000))})
	}
	must(cl.ProduceSync(ctx, sent...).FirstErr())
	for at, offset := range map[int64]int64{1: 0, 1_000_001: 1, 1_005_000: 5, 1_008_999: 9} {
		listed := get(admin.ListOffsetsAfterMilli(ctx, at, topic))
		found, _ := listed.Lookup(topic, 0)
		eq(fmt.Sprintf("offset for %d", at), found.Offset, offset)
	}
	latest, _ := get(admin.ListMaxTimestampOffsets(ctx, topic)).Lookup(topic, 0)
	eq("max timestamp", []int64{latest.Offset, latest.Timestamp}, []int64{9, 1_009_000})
	start, _ := get(admin.ListStartOffsets(ctx, topic)).Lookup(topic, 0)
	end, _ := get(admin.ListEndOffsets(ctx, topic)).Lookup(topic, 0)
	eq("start and end", []int64{start.Offset, end.Offset}, []int64{0, 10})
}

func deleteRecords(ctx context.Context) {
	topic := create(ctx, "delete-records", 1, nil)
	produce(ctx, topic, 0, texts(0, 10, strconv.Itoa))
	remove := func(before int64) kadm.DeleteRecordsResponse {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, before, -1)
		found, _ := get(admin.DeleteRecords(ctx, offsets)).Lookup(topic, 0)
		return found
	}
	eq("low watermark", remove(4).LowWatermark, int64(4))
	eq("records", values(read(ctx, topic, 0, 6)), texts(4, 10, strconv.Itoa))
	fails(remove(99).Err, kerr.OffsetOutOfRange)
}

func manyPartitions(ctx context.Context) {
	topic := create(ctx, "many", 200, nil)
	cl := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	var sent []*kgo.Record
	for n := range 200 {
		sent = append(sent, &kgo.Record{Topic: topic, Partition: int32(n), Value: []byte(strconv.Itoa(n))})
	}
	must(cl.ProduceSync(ctx, sent...).FirstErr())
	member := client(kgo.ConsumerGroup(unique("many")), kgo.ConsumeTopics(topic), fromStart())
	defer member.Close()
	for _, record := range take(ctx, member, 200) {
		eq("partition", strconv.Itoa(int(record.Partition)), string(record.Value))
	}
}

func topics(ctx context.Context) {
	topic := create(ctx, "topics", 3, nil)
	detail := get(admin.ListTopics(ctx, topic))[topic]
	eq("partitions", len(detail.Partitions.Numbers()), 3)
	attempt := func(name string, partitions int32, replicas int16, configs map[string]*string) error {
		_, err := admin.CreateTopic(ctx, partitions, replicas, configs, name)
		return err
	}
	fails(attempt(topic, 1, 1, nil), kerr.TopicAlreadyExists)
	fails(attempt("bad/name", 1, 1, nil), kerr.InvalidTopicException)
	fails(attempt(unique("none"), 0, 1, nil), kerr.InvalidPartitions)
	fails(attempt(unique("r"), 1, 3, nil), kerr.InvalidReplicationFactor)
	fails(attempt(unique("c"), 1, 1, map[string]*string{"no.such": kadm.StringPtr("1")}), kerr.InvalidConfig)
	dry := unique("dry")
	must(get(admin.ValidateCreateTopics(ctx, -1, -1, nil, dry))[dry].Err)
	check(!get(admin.ListTopics(ctx)).Has(dry), "nothing was made")
	must(get(admin.DeleteTopic(ctx, topic)).Err)
	until("the topic is gone", func() bool { return !get(admin.ListTopics(ctx)).Has(topic) })
	_, err := admin.DeleteTopic(ctx, topic)
	fails(err, kerr.UnknownTopicOrPartition)
}

func createPartitions(ctx context.Context) {
	topic := create(ctx, "grow", 2, nil)
	must(get(admin.UpdatePartitions(ctx, 5, topic))[topic].Err)
	until("5 partitions", func() bool { return len(get(admin.ListTopics(ctx, topic))[topic].Partitions) == 5 })
	produce(ctx, topic, 4, []string{"x"})
	fails(get(admin.UpdatePartitions(ctx, 3, topic))[topic].Err, kerr.InvalidPartitions)
}

func topicIDs(ctx context.Context) {
	topic := create(ctx, "ids", 2, nil)
	before := get(admin.ListTopics(ctx, topic))[topic].ID
	check(before != kadm.TopicID{}, "an id")
	must(get(admin.DeleteTopic(ctx, topic)).Err)
	until("the topic is gone", func() bool { return !get(admin.ListTopics(ctx)).Has(topic) })
	get(admin.CreateTopic(ctx, 1, 1, nil, topic))
	until("the topic is known", func() bool { return get(admin.ListTopics(ctx)).Has(topic) })
	check(get(admin.ListTopics(ctx, topic))[topic].ID != before, "a new topic has a new id")
}

func configs(ctx context.Context) {
	topic := create(ctx, "configs", 1, map[string]string{"retention.ms": "1000000"})
	described := func() map[string]string {
		found := map[string]string{}
		for _, config := range get(admin.DescribeTopicConfigs(ctx, topic))[0].Configs {
			found[config.Key] = config.MaybeValue()
		}
		return found
	}
	eq("retention and policy", described()["retention.ms"]+described()["cleanup.policy"], "1000000delete")
	must(get(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"},
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("2000")},
	}, topic))[0].Err)
	until("the change shows", func() bool { return described()["max.message.bytes"] == "2000" })
	eq("policy and retention", described()["cleanup.policy"]+described()["retention.ms"], "delete,compact604800000")
	bad := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "no.such.key", Value: kadm.StringPtr("1")}}
	fails(get(admin.AlterTopicConfigs(ctx, bad, topic))[0].Err, kerr.InvalidConfig)
	must(get(admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "segment.ms", Value: kadm.StringPtr("60000")}}, topic))[0].Err)
	until("the old call replaces all", func() bool { return described()["cleanup.policy"] == "delete" })
	check(len(get(admin.DescribeBrokerConfigs(ctx, node(ctx)))[0].Configs) > 20, "settings of the broker")
}

// A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way.
func rebalance(ctx context.Context, kind string, how ...kgo.Opt) {
	topic := create(ctx, "group-"+kind, 4, nil)
	group := unique("group-" + kind)
	for n := range 4 {
		produce(ctx, topic, int32(n), []string{strconv.Itoa(n)})
	}
	member := func() *kgo.Client {
		return client(append(how, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), fromStart(), kgo.DisableAutoCommit(),
			kgo.HeartbeatInterval(500*time.Millisecond), kgo.RebalanceTimeout(10*time.Second))...)
	}
	assigned := func() []int {
		var counts []int
		if kind == "consumer" {
			for _, m := range get(admin.DescribeConsumerGroups(ctx, group))[group].Members {
				counts = append(counts, len(m.Assignment[topic]))
			}
			return counts
		}
		described := get(admin.DescribeGroups(ctx, group))[group]
		if described.State != "Stable" {
			return nil
		}
		for _, m := range described.Members {
			if plan, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range plan.Topics {
					counts = append(counts, len(t.Partitions))
				}
			}
		}
		return counts
	}
	first := member()
	defer first.Close()
	eq("before", sorted(values(take(ctx, first, 4))), texts(0, 4, strconv.Itoa))
	must(first.CommitUncommittedOffsets(ctx))
	second := member()
	until("two partitions each", func() bool { return reflect.DeepEqual(assigned(), []int{2, 2}) })
	second.Close()
	until("all partitions again", func() bool { return reflect.DeepEqual(assigned(), []int{4}) })
	for n := range 4 {
		produce(ctx, topic, int32(n), []string{strconv.Itoa(n + 4)})
	}
	eq("after the rebalance", sorted(values(take(ctx, first, 4))), texts(4, 8, strconv.Itoa))
}

// migration replaces each member by one of the other protocol, without a pause, and back; nothing is lost on the way.
func migration(ctx context.Context) {
	topic := create(ctx, "migration", 4, nil)
	group := unique("migration")
	member := func(how ...kgo.Opt) (*kgo.Client, *atomic.Int32) {
		var owned atomic.Int32
		add := func(sign int32) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
				owned.Add(sign * int32(len(parts[topic])))
			}
		}
		return client(append(how, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), fromStart(), kgo.DisableAutoCommit(),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(500*time.Millisecond),
			kgo.RebalanceTimeout(10*time.Second), kgo.OnPartitionsAssigned(add(1)), kgo.OnPartitionsRevoked(add(-1)),
			kgo.OnPartitionsLost(add(-1)))...), &owned
	}
	var former *kgo.Client
	var before *atomic.Int32
	for round, how := range [][]kgo.Opt{nil, {kgo.ServerSideBalancer()}, nil} {
		next, owned := member(how...)
		defer next.Close()
		if former != nil {
			until("two partitions each", func() bool { return before.Load() == 2 && owned.Load() == 2 })
			former.Close()
		}
		until("all partitions", func() bool { return owned.Load() == 4 })
		for n := range 4 {
			produce(ctx, topic, int32(n), []string{strconv.Itoa(round*4 + n)})
		}
		eq("records", sorted(values(take(ctx, next, 4))), sorted(texts(round*4, round*4+4, strconv.Itoa)))
		must(next.CommitUncommittedOffsets(ctx))
		former, before = next, owned
	}
}

func staticMember(ctx context.Context) {
	topic := create(ctx, "static", 2, nil)
	group := unique("static")
	produce(ctx, topic, 0, []string{"a"})
	for range 2 {
		cl := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.InstanceID("one"), fromStart(), kgo.DisableAutoCommit())
		take(ctx, cl, 1)
		cl.Close()
		members := get(admin.DescribeGroups(ctx, group))[group].Members
		eq("members", len(members), 1)
		eq("instance", *members[0].InstanceID, "one")
	}
	gone := get(admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one")))
	must(gone["one"].Err)
	eq("members", len(get(admin.DescribeGroups(ctx, group))[group].Members), 0)
}

func commits(ctx context.Context) {
	topic := create(ctx, "commits", 1, nil)
	group := unique("commits")
	produce(ctx, topic, 0, texts(0, 10, strconv.Itoa))
	eq("before the first commit", len(get(admin.FetchOffsets(ctx, group))), 0)
	cl := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), fromStart(), kgo.DisableAutoCommit())
	found := take(ctx, cl, 10)
	must(cl.CommitRecords(ctx, found[3]))
	cl.Close()
	committed, _ := get(admin.FetchOffsets(ctx, group)).Lookup(topic, 0)
	eq("committed", committed.At, int64(4))
	cl = client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), fromStart(), kgo.DisableAutoCommit())
	defer cl.Close()
	eq("after resuming", values(take(ctx, cl, 6)), texts(4, 10, strconv.Itoa))
}

func transactions(ctx context.Context) {
	topic := create(ctx, "tx", 2, nil)
	cl := client(kgo.TransactionalID(unique("tx")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for _, outcome := range []string{"commit", "abort", "commit"} {
		must(cl.BeginTransaction())
		for n := range 2 {
			must(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(n), Value: []byte(outcome)}).FirstErr())
		}
		must(cl.EndTransaction(ctx, kgo.TransactionEndTry(outcome == "commit")))
	}
	for n := range int32(2) {
		eq("committed", values(read(ctx, topic, n, 2, committedOnly())), []string{"commit", "commit"})
		eq("uncommitted", values(read(ctx, topic, n, 3)), []string{"commit", "abort", "commit"})
	}
	must(cl.BeginTransaction())
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr())
	produce(ctx, topic, 0, []string{"behind"})
	stable, _ := get(admin.ListCommittedOffsets(ctx, topic)).Lookup(topic, 0)
	end, _ := get(admin.ListEndOffsets(ctx, topic)).Lookup(topic, 0)
	eq("an open transaction hides what follows", end.Offset-stable.Offset, int64(2))
	must(cl.EndTransaction(ctx, kgo.TryCommit))
	eq("all", values(read(ctx, topic, 0, 4, committedOnly())), []string{"commit", "commit", "open", "behind"})
}

func fencing(ctx context.Context) {
	topic := create(ctx, "fencing", 1, nil)
	id := kgo.TransactionalID(unique("fenced"))
	old, fresh := client(id), client(id)
	defer old.Close()
	defer fresh.Close()
	must(old.BeginTransaction())
	must(old.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("old")}).FirstErr())
	must(fresh.BeginTransaction())
	must(fresh.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("new")}).FirstErr())
	err := old.EndTransaction(ctx, kgo.TryCommit)
	check(errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced), "the old one: %v", err)
	must(fresh.EndTransaction(ctx, kgo.TryCommit))
	eq("records", values(read(ctx, topic, 0, 1, committedOnly())), []string{"new"})
}

func exactlyOnce(ctx context.Context) {
	source, target := create(ctx, "eo-in", 1, nil), create(ctx, "eo-out", 1, nil)
	produce(ctx, source, 0, texts(0, 100, strconv.Itoa))
	for attempt := range 4 {
		session := get(kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(unique("eo")), kgo.ConsumerGroup(unique("eo")),
			kgo.ConsumeTopics(source), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(), fromStart()))
		var batch []*kgo.Record
		must(session.Begin())
		for len(batch) < 25 {
			fetches := session.PollRecords(ctx, 25-len(batch))
			must(fetches.Err())
			batch = append(batch, fetches.Records()...)
		}
		for _, record := range batch {
			must(session.ProduceSync(ctx, &kgo.Record{Topic: target, Value: []byte("copy " + string(record.Value))}).FirstErr())
		}
		get(session.End(ctx, kgo.TransactionEndTry(attempt != 1)))
		session.Close()
	}
	copied := texts(0, 75, func(n int) string { return fmt.Sprintf("copy %d", n) })
	eq("each input once, in order", values(read(ctx, target, 0, 75, committedOnly())), copied)
}

func groupsAdmin(ctx context.Context) {
	topic := create(ctx, "ga", 2, nil)
	group := unique("ga")
	produce(ctx, topic, 0, []string{"x"})
	cl := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), fromStart(), kgo.ClientID("who"), kgo.Balancers(kgo.RangeBalancer()))
	take(ctx, cl, 1)
	listed := get(admin.ListGroups(ctx))[group]
	eq("listed", listed.State+" "+listed.GroupType+" "+listed.ProtocolType, "Stable classic consumer")
	_, empty := get(admin.ListGroups(ctx, "Empty"))[group]
	check(!empty, "not among the empty ones")
	described := get(admin.DescribeGroups(ctx, group))[group]
	eq("described", described.State+" "+described.Protocol+" "+described.Members[0].ClientID, "Stable range who")
	_, err := admin.DeleteGroup(ctx, group)
	fails(err, kerr.NonEmptyGroup)
	cl.Close()
	get(admin.DeleteGroup(ctx, group))
	_, still := get(admin.ListGroups(ctx))[group]
	check(!still, "deleted")
	_, err = admin.DeleteGroup(ctx, group)
	fails(err, kerr.GroupIDNotFound)
}

func groupOffsetsAdmin(ctx context.Context) {
	topic := create(ctx, "goa", 2, nil)
	group := unique("goa")
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3, LeaderEpoch: -1})
	offsets.Add(kadm.Offset{Topic: topic, Partition: 1, At: 7, LeaderEpoch: -1, Metadata: "note"})
	must(admin.CommitAllOffsets(ctx, group, offsets))
	found := get(admin.FetchOffsets(ctx, group))
	zero, _ := found.Lookup(topic, 0)
	one, _ := found.Lookup(topic, 1)
	eq("offsets", fmt.Sprintf("%d %d%s", zero.At, one.At, one.Metadata), "3 7note")
	var gone kadm.TopicsSet
	gone.Add(topic, 0)
	must(get(admin.DeleteOffsets(ctx, group, gone)).Error())
	_, still := get(admin.FetchOffsets(ctx, group)).Lookup(topic, 0)
	check(!still, "deleted")
}

func cluster(ctx context.Context) {
	metadata := get(admin.BrokerMetadata(ctx))
	eq("brokers", len(metadata.Brokers), 1)
	eq("address", fmt.Sprintf("%s:%d", metadata.Brokers[0].Host, metadata.Brokers[0].Port), bootstrap)
	check(metadata.Cluster != "" && metadata.Controller >= 0, "id and controller: %+v", metadata)
	versions := get(admin.ApiVersions(ctx))
	check(len(versions) == 1, "versions")
}

func logDirs(ctx context.Context) {
	topic := create(ctx, "log-dirs", 1, nil)
	produce(ctx, topic, 0, []string{strings.Repeat("x", 1000)}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	found, _ := get(admin.DescribeBrokerLogDirs(ctx, node(ctx), nil)).LookupPartition(topic, 0)
	check(found.Size > 1000, "size %d", found.Size)
}

func producersAdmin(ctx context.Context) {
	topic := create(ctx, "producers", 1, nil)
	id := unique("described")
	cl := client(kgo.TransactionalID(id))
	defer cl.Close()
	must(cl.BeginTransaction())
	must(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
	described := get(admin.DescribeTransactions(ctx, id))[id]
	eq("state", described.State, "Ongoing")
	check(described.Topics.Lookup(topic, 0), "its partition: %v", described.Topics)
	_, listed := get(admin.ListTransactions(ctx, nil, nil))[id]
	check(listed, "listed")
	var set kadm.TopicsSet
	set.Add(topic, 0)
	producers := get(admin.DescribeProducers(ctx, set))[topic].Partitions[0].ActiveProducers
	active, ok := producers[described.ProducerID]
	check(ok, "active: %v", producers)
	eq("start", active.CurrentTxnStartOffset, int64(0))
	must(cl.EndTransaction(ctx, kgo.TryAbort))
}

func quotas(ctx context.Context) {
	name := unique("limited")
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &name}}
	alter := func(op kadm.AlterClientQuotaOp) {
		must(get(admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{op}}}))[0].Err)
	}
	described := func() kadm.DescribedClientQuotas {
		return get(admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &name, MatchType: 0}}))
	}
	alter(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Value: 1_000_000})
	until("the quota shows", func() bool {
		found := described()
		return len(found) == 1 && reflect.DeepEqual(found[0].Values, kadm.ClientQuotaValues{{Key: "consumer_byte_rate", Value: 1_000_000}})
	})
	alter(kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Remove: true})
	until("the quota is gone", func() bool { return len(described()) == 0 })
}

func acls(ctx context.Context) {
	builder := kadm.NewACLs().Topics("t").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead).Allow("User:a").AllowHosts("*")
	created, err := admin.CreateACLs(ctx, builder)
	must(err)
	fails(created[0].Err, kerr.SecurityDisabled)
	described, err := admin.DescribeACLs(ctx, builder)
	must(err)
	fails(described[0].Err, kerr.SecurityDisabled)
}

func electLeaders(ctx context.Context) {
	topic := create(ctx, "elect", 1, nil)
	var set kadm.TopicsSet
	set.Add(topic, 0)
	fails(get(admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set))[topic][0].Err, kerr.ElectionNotNeeded)
}

func client(options ...kgo.Opt) *kgo.Client {
	return get(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(50 * time.Millisecond)}, options...)...))
}

func fromStart() kgo.Opt { return kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()) }

func committedOnly() kgo.Opt { return kgo.FetchIsolationLevel(kgo.ReadCommitted()) }

func node(ctx context.Context) int32 { return get(admin.BrokerMetadata(ctx)).Brokers[0].NodeID }

func create(ctx context.Context, name string, partitions int32, config map[string]string) string {
	topic := unique(name)
	configs := map[string]*string{}
	for key, value := range config {
		configs[key] = kadm.StringPtr(value)
	}
	get(admin.CreateTopic(ctx, partitions, 1, configs, topic))
	until("the topic is known", func() bool { return get(admin.ListTopics(ctx)).Has(topic) })
	return topic
}

func produce(ctx context.Context, topic string, partition int32, values []string, options ...kgo.Opt) {
	cl := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer cl.Close()
	var sent []*kgo.Record
	for _, value := range values {
		sent = append(sent, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)})
	}
	must(cl.ProduceSync(ctx, sent...).FirstErr())
}

func take(ctx context.Context, cl *kgo.Client, count int) []*kgo.Record {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			panic(failure(fmt.Sprintf("%d of %d records, then %v", len(records), count, err)))
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func read(ctx context.Context, topic string, partition int32, count int, options ...kgo.Opt) []*kgo.Record {
	start := map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}
	cl := client(append(options, kgo.ConsumePartitions(start))...)
	defer cl.Close()
	records := take(ctx, cl, count)
	eq("number of records", len(records), count)
	return records
}

func values(records []*kgo.Record) []string {
	var all []string
	for _, record := range records {
		all = append(all, string(record.Value))
	}
	return all
}

func texts(from, to int, text func(int) string) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, text(n))
	}
	return all
}

func sorted(all []string) []string {
	sort.Strings(all)
	return all
}

func unique(name string) string { return "go-" + name + "-" + run }

func until(what string, condition func() bool) {
	for started := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		check(time.Since(started) < deadline, "not within %v: %s", deadline, what)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

func must(err error) {
	if err != nil {
		panic(failure(fmt.Sprintf("%T: %v", err, err)))
	}
}

func fails(err error, expected *kerr.Error) {
	check(errors.Is(err, expected), "%v, expected %s", err, expected.Message)
}

func eq[T any](what string, actual, expected T) {
	check(reflect.DeepEqual(actual, expected), "%s is %v, expected %v", what, actual, expected)
}

func check(holds bool, format string, args ...any) {
	if !holds {
		panic(failure(fmt.Sprintf(format, args...)))
	}
}
