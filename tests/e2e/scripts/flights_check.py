"""Computes the late departures independently and compares: the NDJSON with Python's csv module, the Parquet with DuckDB.

    flights_check.py FLIGHTS.csv[.gz] OUT_DIR [COPIES]
"""

import collections
import csv
import datetime
import glob
import gzip
import json
import sys

import duckdb

COLUMNS = ["carrier", "flight", "tailnum", "origin", "dest", "scheduled_hour", "departure_delay_minutes",
           "arrival_delay_minutes", "made_up_minutes", "miles_per_hour", "severity"]


def number(text):
    return int(text) if text not in ("", "NA") else None


def expected(path):
    opened = gzip.open(path, "rt", newline="") if path.endswith(".gz") else open(path, newline="")
    with opened as file:
        for row in csv.DictReader(file):
            delay, arrival, air = number(row["dep_delay"]), number(row["arr_delay"]), number(row["air_time"])
            if delay is None or delay <= 15:
                continue
            yield normal(dict(
                carrier=row["carrier"], flight=number(row["flight"]), tailnum=None if row["tailnum"] in ("", "NA") else row["tailnum"],
                origin=row["origin"], dest=row["dest"], scheduled_hour=row["time_hour"],
                departure_delay_minutes=delay, arrival_delay_minutes=arrival,
                made_up_minutes=None if arrival is None else delay - arrival,
                miles_per_hour=None if air is None else number(row["distance"]) / air * 60,
                severity="severe" if delay >= 180 else "long" if delay >= 60 else "short",
            ))


def normal(row):
    time = row["scheduled_hour"]
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    time = time.replace(tzinfo=None) if time.tzinfo is None else time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    speed = row["miles_per_hour"]
    row = dict(row, scheduled_hour=time.isoformat(), miles_per_hour=None if speed is None else round(speed, 6))
    return tuple(row.get(column) for column in COLUMNS)


def ndjson_rows(out):
    for name in glob.glob(f"{out}/ndjson/**/*.ndjson", recursive=True):
        with open(name) as file:
            for line in file:
                yield normal({**dict.fromkeys(COLUMNS), **json.loads(line)})


def parquet_rows(out):
    relation = duckdb.sql(f"SELECT {', '.join(COLUMNS)} FROM read_parquet('{out}/parquet/**/*.parquet', hive_partitioning = true)")
    for values in relation.fetchall():
        yield normal(dict(zip(COLUMNS, values)))


def compare(name, got, wanted):
    got = collections.Counter(got)
    if got != wanted:
        missing, extra = wanted - got, got - wanted
        sys.exit(f"{name}: {sum(missing.values())} rows missing, {sum(extra.values())} too many; "
                 f"for example missing {list(missing)[:2]}, too many {list(extra)[:2]}")


def main():
    flights, out, *copies = sys.argv[1:]
    wanted = collections.Counter(expected(flights))
    for row in wanted:
        wanted[row] *= int(copies[0]) if copies else 1
    compare("ndjson", ndjson_rows(out), wanted)
    compare("parquet", parquet_rows(out), wanted)
    print(json.dumps({"rows": sum(wanted.values())}))


if __name__ == "__main__":
    main()
