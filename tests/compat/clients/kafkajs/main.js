// KafkaJS. Arguments and output as in ../python/harness.py.
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, AclResourceTypes, AclOperationTypes,
  AclPermissionTypes, ResourcePatternTypes, logLevel } = require('kafkajs')
const assert = require('node:assert/strict')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const DEADLINE_MS = 30_000
const [bootstrap, ...chosen] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'who', brokers: [bootstrap], logLevel: logLevel.ERROR, retry: { retries: 8, initialRetryTime: 50 } })
const run = `${Date.now() % 100000}-${process.pid}`
const unique = (name) => `js-${name}-${run}`
const admin = kafka.admin()
const scenarios = {}
const open = new Set()

async function until(what, condition) {
  const deadline = Date.now() + DEADLINE_MS
  for (;;) {
    const result = await condition()
    if (result) return result
    assert(Date.now() < deadline, `not within ${DEADLINE_MS} ms: ${what}`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}

async function topic(name, numPartitions = 1, config = {}) {
  const topic = unique(name)
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  // Apache Kafka answers before its brokers know the topic, which KafkaJS's own waiting takes for an error.
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: false })
  await until('the topic is known', async () => (await admin.listTopics()).includes(topic))
  return topic
}

async function producer(options = {}) {
  const p = kafka.producer({ allowAutoTopicCreation: false, ...options })
  await p.connect()
  open.add(p)
  return p
}

async function produce(topic, values, options = {}, send = {}) {
  const p = await producer(options)
  const messages = values.map((value) => ({ value, partition: send.partition ?? 0 }))
  return p.send({ topic, messages, compression: send.compression })
}

/** A member of a group that runs until it is stopped; what it reads gathers in `records`. */
async function consumer(topic, groupId, options = {}) {
  const c = kafka.consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 10_000, rebalanceTimeout: 10_000, maxWaitTimeInMs: 100, ...options })
  c.records = []
  c.assignment = []
  c.on(c.events.GROUP_JOIN, ({ payload }) => { c.assignment = payload.memberAssignment[topic] ?? [] })
  await c.connect()
  open.add(c)
  await c.subscribe({ topics: [topic], fromBeginning: true })
  await c.run({ autoCommit: false, eachMessage: async ({ partition, message }) => { c.records.push({ partition, ...message }) } })
  return c
}

async function take(c, count) {
  await until(`${count} records`, () => c.records.length >= count)
  return c.records
}

async function close(client) {
  open.delete(client)
  await client.disconnect()
}

/** `count` records from the beginning, and a moment in which no more may come. */
async function read(topic, count, options = {}) {
  const c = await consumer(topic, unique(`read-${Math.random()}`), options)
  await take(c, count)
  await close(c)
  assert.equal(c.records.length, count)
  return c.records
}

const values = (records) => records.map((record) => record.value.toString())
const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => `${from + n}`)

async function fails(name, call) {
  let answer
  try {
    answer = await call()
  } catch (error) {
    const all = [error, error.cause, ...(error.errors ?? []), ...(error.groups ?? [])].filter(Boolean)
    const text = all.map((e) => `${e.name} ${e.type} ${e.error?.type} ${e.message}`).join('; ')
    assert(name.split('|').some((one) => text.includes(one)), `wrong error: ${text}`)
    return error
  }
  throw new Error(`no error but ${JSON.stringify(answer)}, expected ${name}`)
}

scenarios['codecs'] = async () => {
  for (const codec of ['None', 'GZIP', 'Snappy']) {
    const name = await topic(`codec-${codec}`)
    const sent = numbers(0, 300).map((n) => `${codec} ${n} `.repeat(20))
    await produce(name, sent, {}, { compression: CompressionTypes[codec] })
    assert.deepEqual(values(await read(name, 300)), sent)
  }
}

scenarios['records'] = async () => {
  const name = await topic('records')
  const p = await producer()
  await p.send({ topic: name, messages: [
    { key: 'k', value: 'v', headers: { a: ['1', '2'], empty: '' }, timestamp: '1234567890123' },
    { key: 'tombstone', value: null },
    { value: '' },
  ] })
  const [first, tombstone, empty] = await read(name, 3)
  assert.deepEqual([`${first.headers.a}`, `${first.headers.empty}`], ['1,2', ''])
  assert.deepEqual([first.timestamp, `${first.key}`, `${first.value}`], ['1234567890123', 'k', 'v'])
  assert.deepEqual([`${tombstone.key}`, tombstone.value], ['tombstone', null])
  assert.deepEqual([empty.key, empty.value.length], [null, 0])
  const appended = await topic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  await p.send({ topic: appended, messages: [{ value: 'v', timestamp: '5' }] })
  const [record] = await read(appended, 1)
  assert(Math.abs(Number(record.timestamp) - Date.now()) < 60_000, record.timestamp)
}

scenarios['idempotence'] = async () => {
  const name = await topic('idempotence')
  const p = await producer({ idempotent: true, maxInFlightRequests: 1 })
  for (let n = 0; n < 20; n++) {
    const [{ baseOffset }] = await p.send({ topic: name, messages: numbers(n * 10, n * 10 + 10).map((value) => ({ value })) })
    assert.equal(baseOffset, `${n * 10}`)
  }
  assert.deepEqual(values(await read(name, 200)), numbers(0, 200))
}

scenarios['large-records'] = async () => {
  const name = await topic('large', 1, { 'max.message.bytes': '100000' })
  await fails('MESSAGE_TOO_LARGE', () => produce(name, ['x'.repeat(200_000)]))
  await produce(name, ['y'.repeat(90_000)])
  const wide = await topic('wide', 1, { 'max.message.bytes': '10000000' })
  await produce(wide, ['z'.repeat(5_000_000)])
  assert.equal((await read(wide, 1))[0].value.length, 5_000_000)
}

scenarios['offsets-for-times'] = async () => {
  const name = await topic('times')
  const p = await producer()
  const messages = numbers(0, 10).map((value) => ({ value, timestamp: `${1_000_000 + value * 1000}` }))
  await p.send({ topic: name, messages, compression: CompressionTypes.GZIP })
  for (const [at, offset] of [[1, '0'], [1_000_001, '1'], [1_005_000, '5'], [1_008_999, '9']]) {
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(name, at), [{ partition: 0, offset }], `at ${at}`)
  }
  const [{ low, high }] = await admin.fetchTopicOffsets(name)
  assert.deepEqual([low, high], ['0', '10'])
}

scenarios['delete-records'] = async () => {
  const name = await topic('delete-records')
  await produce(name, numbers(0, 10))
  await admin.fetchTopicOffsets(name) // or this client knows no leader yet
  await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '4' }] })
  assert.deepEqual(values(await read(name, 6)), numbers(4, 10))
}

scenarios['many-partitions'] = async () => {
  const name = await topic('many', 200)
  const p = await producer({ idempotent: true, maxInFlightRequests: 1 })
  await p.send({ topic: name, messages: numbers(0, 200).map((value) => ({ value, partition: Number(value) })) })
  const records = await read(name, 200)
  assert(records.every((record) => `${record.partition}` === `${record.value}`))
}

scenarios['topics'] = async () => {
  const name = await topic('topics', 3)
  const { topics } = await admin.fetchTopicMetadata({ topics: [name] })
  assert.deepEqual(topics[0].partitions.map((p) => p.partitionId).sort(), [0, 1, 2])
  assert.equal(await admin.createTopics({ topics: [{ topic: name }] }), false, 'exists')
  const create = (topic, more) => admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, ...more }] })
  await fails('INVALID_TOPIC_EXCEPTION', () => create('bad/name'))
  await fails('INVALID_REPLICATION_FACTOR', () => create(unique('r'), { replicationFactor: 3 }))
  await fails('INVALID_CONFIG', () => create(unique('c'), { configEntries: [{ name: 'no.such', value: '1' }] }))
  await admin.deleteTopics({ topics: [name] })
  await until('the topic is gone', async () => !(await admin.listTopics()).includes(name))
  const impatient = kafka.admin({ retry: { retries: 1 } })
  await impatient.connect()
  await fails('UNKNOWN_TOPIC_OR_PARTITION', () => impatient.deleteTopics({ topics: [name] }))
  await impatient.disconnect()
}

scenarios['create-partitions'] = async () => {
  const name = await topic('grow', 2)
  await admin.createPartitions({ topicPartitions: [{ topic: name, count: 5 }] })
  await until('5 partitions', async () => (await admin.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length === 5)
  const [{ baseOffset }] = await produce(name, ['x'], {}, { partition: 4 })
  assert.equal(baseOffset, '0')
  await fails('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] }))
}

scenarios['configs'] = async () => {
  const name = await topic('configs', 1, { 'retention.ms': '1000000' })
  const described = async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: ConfigResourceTypes.TOPIC, name }] })
    return Object.fromEntries(resources[0].configEntries.map((entry) => [entry.configName, entry.configValue]))
  }
  const found = await described()
  assert.deepEqual([found['retention.ms'], found['cleanup.policy']], ['1000000', 'delete'])
  const configEntries = [{ name: 'segment.ms', value: '60000' }]
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }] })
  await until('the change shows', async () => (await described())['segment.ms'] === '60000')
  assert.equal((await described())['retention.ms'], '604800000', 'the old call replaces all')
}

scenarios['group-range'] = async () => {
  const name = await topic('group', 4)
  const group = unique('group')
  for (let partition = 0; partition < 4; partition++) await produce(name, [`${partition}`], {}, { partition })
  const first = await consumer(name, group)
  assert.deepEqual(values(await take(first, 4)).sort(), numbers(0, 4))
  await first.commitOffsets([0, 1, 2, 3].map((partition) => ({ topic: name, partition, offset: '1' })))
  const second = await consumer(name, group)
  await until('two partitions each', () => first.assignment.length === 2 && second.assignment.length === 2)
  assert.deepEqual([...first.assignment, ...second.assignment].sort(), [0, 1, 2, 3])
  await close(second)
  await until('all partitions again', () => first.assignment.length === 4)
  for (let partition = 0; partition < 4; partition++) await produce(name, [`${partition + 4}`], {}, { partition })
  assert.deepEqual(values(await take(first, 8)).slice(4).sort(), numbers(4, 8), 'after the rebalance')
  await close(first)
}

scenarios['commits'] = async () => {
  const name = await topic('commits')
  const group = unique('commits')
  await produce(name, numbers(0, 10))
  assert.deepEqual((await admin.fetchOffsets({ groupId: group, topics: [name] }))[0].partitions[0].offset, '-1')
  let c = await consumer(name, group)
  await take(c, 10)
  await c.commitOffsets([{ topic: name, partition: 0, offset: '4', metadata: 'note' }])
  await close(c)
  const [{ partitions: [{ offset, metadata }] }] = await admin.fetchOffsets({ groupId: group, topics: [name] })
  assert.deepEqual([offset, metadata], ['4', 'note'])
  c = await consumer(name, group)
  assert.deepEqual(values(await take(c, 6)), numbers(4, 10), 'after resuming')
  await close(c)
}

scenarios['transactions'] = async () => {
  const name = await topic('tx', 2)
  const p = await producer({ transactionalId: unique('tx'), idempotent: true, maxInFlightRequests: 1 })
  for (const outcome of ['commit', 'abort', 'commit']) {
    const tx = await p.transaction()
    await tx.send({ topic: name, messages: [0, 1].map((partition) => ({ value: outcome, partition })) })
    await (outcome === 'commit' ? tx.commit() : tx.abort())
  }
  assert.deepEqual(values(await read(name, 4)), Array(4).fill('commit'))
  const all = values(await read(name, 6, { readUncommitted: true })).sort()
  assert.deepEqual(all, ['abort', 'abort', 'commit', 'commit', 'commit', 'commit'])
}

scenarios['fencing'] = async () => {
  const name = await topic('fencing')
  const options = { transactionalId: unique('fenced'), idempotent: true, maxInFlightRequests: 1 }
  const old = await producer(options)
  const first = await old.transaction()
  await first.send({ topic: name, messages: [{ value: 'old' }] })
  const second = await (await producer(options)).transaction()
  await fails('INVALID_PRODUCER_EPOCH|PRODUCER_FENCED', () => first.commit())
  await second.send({ topic: name, messages: [{ value: 'new' }] })
  await second.commit()
  assert.deepEqual(values(await read(name, 1)), ['new'])
}

scenarios['exactly-once'] = async () => {
  const source = await topic('eo-in')
  const target = await topic('eo-out')
  const group = unique('eo')
  await produce(source, numbers(0, 100))
  const p = await producer({ transactionalId: unique('eo'), idempotent: true, maxInFlightRequests: 1 })
  for (const attempt of [0, 1, 2, 3]) {
    const c = await consumer(source, group)
    const batch = (await take(c, 25)).slice(0, 25)
    const tx = await p.transaction()
    await tx.send({ topic: target, messages: batch.map(({ value }) => ({ value: `copy ${value}` })) })
    const offset = `${Number(batch.at(-1).offset) + 1}`
    await tx.sendOffsets({ consumerGroupId: group, topics: [{ topic: source, partitions: [{ partition: 0, offset }] }] })
    await (attempt === 1 ? tx.abort() : tx.commit())
    await close(c)
  }
  assert.deepEqual(values(await read(target, 75)), numbers(0, 75).map((n) => `copy ${n}`), 'each input once, in order')
}

scenarios['groups-admin'] = async () => {
  const name = await topic('ga', 2)
  const group = unique('ga')
  const c = await consumer(name, group)
  await until('an assignment', () => c.assignment.length === 2)
  assert((await admin.listGroups()).groups.some(({ groupId, protocolType }) => groupId === group && protocolType === 'consumer'))
  const { groups: [described] } = await admin.describeGroups([group])
  assert.deepEqual([described.state, described.protocol, described.members.map((m) => m.clientId)], ['Stable', 'RoundRobinAssigner', ['who']])
  await fails('NON_EMPTY_GROUP', () => admin.deleteGroups([group]))
  await close(c)
  await admin.deleteGroups([group])
  assert(!(await admin.listGroups()).groups.some(({ groupId }) => groupId === group))
  await fails('GROUP_ID_NOT_FOUND', () => admin.deleteGroups([group]))
}

scenarios['group-offsets-admin'] = async () => {
  const name = await topic('goa', 2)
  const group = unique('goa')
  await admin.setOffsets({ groupId: group, topic: name, partitions: [{ partition: 0, offset: '3' }, { partition: 1, offset: '7' }] })
  const [{ partitions }] = await admin.fetchOffsets({ groupId: group })
  assert.deepEqual(partitions.map(({ partition, offset }) => [partition, offset]).sort(), [[0, '3'], [1, '7']])
}

scenarios['cluster'] = async () => {
  const { brokers, controller, clusterId } = await admin.describeCluster()
  assert.deepEqual(brokers.map(({ host, port }) => `${host}:${port}`), [bootstrap])
  assert(clusterId && controller !== null)
}

scenarios['acls'] = async () => {
  const one = { resourceType: AclResourceTypes.TOPIC, resourceName: 't', resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:a', host: '*', operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW }
  await fails('SECURITY_DISABLED', () => admin.describeAcls(one))
  await fails('SECURITY_DISABLED', () => admin.createAcls({ acl: [one] }))
}

async function main() {
  await admin.connect()
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (chosen.length && !chosen.includes(name)) continue
    const started = Date.now()
    try {
      await scenario()
      console.log(`ok ${name} ${((Date.now() - started) / 1000).toFixed(1)}`)
    } catch (error) {
      console.error(error)
      console.log(`fail ${name} ${`${error.name}: ${error.message}`.replace(/\s+/g, ' ').slice(0, 300)}`)
    }
    await Promise.all([...open].map((client) => close(client).catch(() => {})))
  }
  await admin.disconnect()
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
