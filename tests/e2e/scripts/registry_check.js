// KafkaJS's registry client against a broker and its schema registry.
//
//     node registry_check.js BOOTSTRAP REGISTRY_URL

const assert = require("node:assert/strict");
const { Kafka, logLevel } = require("kafkajs");
const { SchemaRegistry, SchemaType, COMPATIBILITY } = require("@kafkajs/confluent-schema-registry");

const [bootstrap, url] = process.argv.slice(2);
const topic = "payments";

const payment = (...more) =>
  JSON.stringify({
    type: "record",
    name: "Payment",
    namespace: "com.acme",
    fields: [{ name: "id", type: "string" }, ...more],
  });
const V1 = payment();
const V2 = payment({ name: "note", type: "string", default: "" });
const BAD = payment({ name: "must", type: "int" });

async function refused(what, promise) {
  await assert.rejects(promise, (error) => {
    assert.match(String(error.message), what);
    return true;
  });
}

async function main() {
  const registry = new SchemaRegistry({ host: url });
  // It sets the level of a new subject, and wants to find that level from then on.
  const options = { subject: `${topic}-value`, compatibility: COMPATIBILITY.FULL };
  const { id: first } = await registry.register({ type: SchemaType.AVRO, schema: V1 }, options);
  const { id: second } = await registry.register({ type: SchemaType.AVRO, schema: V2 }, options);
  assert.notEqual(first, second);
  const again = await registry.register({ type: SchemaType.AVRO, schema: V1 }, options);
  assert.equal(again.id, first);
  await refused(/READER_FIELD_MISSING_DEFAULT_VALUE/, registry.register({ type: SchemaType.AVRO, schema: BAD }, options));
  assert.equal(await registry.getRegistryId(`${topic}-value`, 1), first);
  assert.equal(await registry.getRegistryIdBySchema(`${topic}-value`, { type: SchemaType.AVRO, schema: V2 }), second);
  assert.equal(await registry.getLatestSchemaId(`${topic}-value`), second);
  await refused(/Schema .*not found/i, registry.getSchema(1 << 20));

  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({
    topic,
    messages: [
      { value: await registry.encode(first, { id: "a" }) },
      { value: await registry.encode(second, { id: "b", note: "thanks" }) },
    ],
  });
  await producer.disconnect();

  // One that knows no schema but by the ids in the records.
  const other = new SchemaRegistry({ host: url });
  const consumer = kafka.consumer({ groupId: "registry-check" });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const read = [];
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`read ${JSON.stringify(read)} within 30 s`)), 30000);
    consumer.run({
      eachMessage: async ({ message }) => {
        read.push({ ...(await other.decode(message.value)) });
        if (read.length === 2) {
          clearTimeout(late);
          resolve();
        }
      },
    });
  });
  await consumer.disconnect();
  read.sort((a, b) => a.id.localeCompare(b.id));
  assert.deepEqual(read, [{ id: "a" }, { id: "b", note: "thanks" }]);
  console.log("all of it holds");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
