"""Reads what is committed and holds it against the journal of transact.py.

    check_transactions.py BOOTSTRAP TOPIC PARTITIONS JOURNAL RUN

Prints: committed and aborted transactions; torn (in some partitions only), lost (committed, absent), raised (aborted,
present), dup, phantom.
"""

import collections
import json
import sys

from check import read
from values import parse


def main():
    bootstrap, topic, partitions, journal, run = sys.argv[1:]
    partitions = int(partitions)
    found = collections.defaultdict(list)
    for partition, _, data in read(bootstrap, topic, partitions):
        identity = parse(run, data)
        found[identity and identity[1]].append(partition)
    with open(journal) as file:
        outcomes = {int(number): outcome for number, outcome in map(str.split, file)}
    everywhere = list(range(partitions))
    counts = dict.fromkeys(["committed", "aborted", "torn", "lost", "raised", "dup", "phantom"], 0)
    for number, where in found.items():
        if number not in outcomes:
            counts["phantom"] += 1
        elif len(set(where)) < len(where):
            counts["dup"] += 1
        elif sorted(where) != everywhere:
            counts["torn"] += 1
    for number, outcome in outcomes.items():
        if outcome in counts:
            counts[outcome] += 1
        if outcome == "committed" and number not in found:
            counts["lost"] += 1
        if outcome == "aborted" and number in found:
            counts["raised"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
