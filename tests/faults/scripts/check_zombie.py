"""Reads what is committed of a run of zombie.py, in which incarnation 1 took over from incarnation 0.

    check_zombie.py BOOTSTRAP TOPIC PARTITIONS RUN

Prints: committed transactions of either; torn (in some partitions only), late (of 0, behind one of 1), phantom.
"""

import collections
import json
import sys

from check import read
from values import parse


def main():
    bootstrap, topic, partitions, run = sys.argv[1:]
    partitions = int(partitions)
    where, taken_over = collections.defaultdict(list), set()
    counts = {"first": 0, "second": 0, "torn": 0, "late": 0, "phantom": 0}
    for partition, _, data in read(bootstrap, topic, partitions):
        identity = parse(run, data)
        if identity is None:
            counts["phantom"] += 1
            continue
        if identity[0] == 1:
            taken_over.add(partition)
        elif partition in taken_over:
            counts["late"] += 1
        where[identity].append(partition)
    for (incarnation, _), found in where.items():
        counts["torn"] += sorted(found) != list(range(partitions))
        counts["second" if incarnation else "first"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
