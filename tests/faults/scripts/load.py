"""Idempotent load with acks=all until SIGTERM; then waits for what is in flight and writes the journal.

    load.py BOOTSTRAP TOPIC PARTITIONS JOURNAL RUN RECORDS_PER_SECOND FLUSH_SECONDS

The journal has one line per record: producer, sequence, partition, offset (-1: not acknowledged). Prints a summary.
"""

import json
import signal
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer

from values import PATIENT, value

PRODUCERS = 2
BURST_SECONDS = 0.01
# Of librdkafka's statistics, what tells where records wait.
BROKER = ["name", "nodeid", "state", "stateage", "outbuf_cnt", "waitresp_cnt", "rxidle", "txidle", "connects", "disconnects",
          "req_timeouts"]
PARTITION = ["partition", "broker", "leader", "msgq_cnt", "xmit_msgq_cnt", "msgs_inflight", "next_ack_seq", "next_err_seq"]


class Sender(threading.Thread):
    def __init__(self, number, bootstrap, topic, partitions, run, rate, flush_seconds, stop):
        super().__init__()
        self.number, self.topic, self.partitions, self.run_name = number, topic, partitions, run
        self.rate, self.flush_seconds, self.stop = rate, flush_seconds, stop
        self.offsets, self.partition_of, self.errors = [], [], {}
        self.statistics = {}
        codec = ["none", "lz4"][number % 2]
        self.producer = Producer(PATIENT | {
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5,
            "compression.type": codec, "message.timeout.ms": 120_000, "socket.timeout.ms": 10_000,
            "statistics.interval.ms": 1_000, "stats_cb": self.on_statistics, "error_cb": self.on_error})

    def on_statistics(self, text):
        self.statistics = json.loads(text)

    def on_error(self, error):
        if error.fatal():
            self.errors[f"fatal: {error}"] = 1

    def on_delivery(self, sequence):
        def delivered(error, record):
            if error is None:
                self.offsets[sequence] = record.offset()
            else:
                self.errors[str(error)] = self.errors.get(str(error), 0) + 1
        return delivered

    def send(self):
        sequence = len(self.offsets)
        partition = sequence % self.partitions
        self.offsets.append(-1)
        self.partition_of.append(partition)
        while True:
            try:
                self.producer.produce(self.topic, value(self.run_name, self.number, sequence), partition=partition,
                                      on_delivery=self.on_delivery(sequence))
                return
            except BufferError:
                self.producer.poll(0.05)

    def run(self):
        try:
            self.send_until_told()
            self.producer.flush(self.flush_seconds)
        except KafkaException as error:
            # of a fatal error: nothing is delivered any more
            self.errors[f"fatal: {error}"] = 1

    def send_until_told(self):
        started, sent = time.monotonic(), 0
        while not self.stop.is_set() and not any(error.startswith("fatal") for error in self.errors):
            due = int((time.monotonic() - started) * self.rate)
            # what a stall kept back is not made up for, so that the queue stays short
            for _ in range(min(due - sent, int(self.rate / 10) + 1)):
                self.send()
            sent = due
            self.producer.poll(BURST_SECONDS)

    def state(self):
        """What the client says of itself, for whoever has to find out why it did not finish."""
        brokers = [{name: broker[name] for name in BROKER} for broker in self.statistics.get("brokers", {}).values()]
        topics = self.statistics.get("topics", {}).values()
        partitions = [{name: partition[name] for name in PARTITION} for topic in topics
                      for partition in topic["partitions"].values() if partition["partition"] >= 0]
        return {"producer": self.number, "unfinished": len(self.producer), "errors": self.errors, "eos": self.statistics.get("eos"),
                "brokers": brokers, "partitions": partitions}


def main():
    bootstrap, topic, partitions, journal, run, rate, flush_seconds = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    senders = [Sender(number, bootstrap, topic, int(partitions), run, float(rate) / PRODUCERS, float(flush_seconds), stop)
               for number in range(PRODUCERS)]
    for sender in senders:
        sender.start()
    print("sending", flush=True)
    while not stop.wait(0.1) and any(sender.is_alive() for sender in senders):
        pass
    for sender in senders:
        sender.join()
        if sender.errors or len(sender.producer) > 0:
            print(json.dumps(sender.state()), file=sys.stderr, flush=True)
    with open(journal, "w") as file:
        for sender in senders:
            for sequence, offset in enumerate(sender.offsets):
                file.write(f"{sender.number} {sequence} {sender.partition_of[sequence]} {offset}\n")
    errors = {}
    for sender in senders:
        for error, count in sender.errors.items():
            errors[error] = errors.get(error, 0) + count
    acked = sum(offset >= 0 for sender in senders for offset in sender.offsets)
    print(json.dumps({"sent": sum(len(sender.offsets) for sender in senders), "acked": acked, "errors": errors}))


if __name__ == "__main__":
    main()
