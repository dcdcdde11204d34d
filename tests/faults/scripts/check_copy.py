"""Holds a topic against the copy of it: the same values in the same order in each partition.

    check_copy.py BOOTSTRAP FROM TO PARTITIONS

Prints: records read and copied; lost, dup (more often than in the original), moved (the same values in another order, in so
many partitions).
"""

import collections
import json
import sys

from check import read


def values(bootstrap, topic, partitions):
    found = [[] for _ in range(partitions)]
    for partition, _, data in read(bootstrap, topic, partitions):
        found[partition].append(data)
    return found


def main():
    bootstrap, source, target, partitions = sys.argv[1:]
    originals = values(bootstrap, source, int(partitions))
    copies = values(bootstrap, target, int(partitions))
    counts = {"read": sum(map(len, originals)), "copied": sum(map(len, copies)), "lost": 0, "dup": 0, "moved": 0}
    for original, copy in zip(originals, copies):
        balance = collections.Counter(copy)
        balance.subtract(original)
        counts["lost"] += sum(-count for count in balance.values() if count < 0)
        counts["dup"] += sum(count for count in balance.values() if count > 0)
        counts["moved"] += original != copy and not any(balance.values())
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
