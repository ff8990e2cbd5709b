#!/bin/sh
# DuckDB reads one and the same two-digit date as two different dates: by CAST in the first century, by read_csv in ours.
#
# The small public sample of Spotify's sequential skip data went through a spreadsheet: its `date` column holds 15-07-18
# for 15 July 2018. Expected: an error, as Python's date.fromisoformat gives, or at least one reading.
# Seen with duckdb 2.0.0: CAST and TRY_CAST give 0015-07-18, the year 15; read_csv, with the column declared as DATE and
# with types detected, gives 2015-07-18. Neither is the date that was meant, and no warning is printed. A log that is
# read as text and cast (so that no digit is lost) and one that is read directly differ by 2,000 years.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.0
printf 'session,date\na,15-07-18\nb,16-07-18\n' > log.csv
env/bin/python - <<'PROGRAM'
from datetime import date

import duckdb

text = "select min(date) from read_csv('log.csv', types={'date': 'VARCHAR'})"
seen = {
    "cast": duckdb.sql(f"select cast(({text}) as date)").fetchall()[0][0],
    "try_cast": duckdb.sql(f"select try_cast(({text}) as date)").fetchall()[0][0],
    "read_csv, declared": duckdb.sql("select min(date) from read_csv('log.csv', types={'date': 'DATE'})").fetchall()[0][0],
    "read_csv, detected": duckdb.sql("select min(date) from read_csv('log.csv')").fetchall()[0][0],
}
for how, day in seen.items():
    print(f"{how}: {day!r}")
first, ours = date(15, 7, 18), date(2015, 7, 18)
assert list(seen.values()) == [first, first, ours, ours], "changed"
PROGRAM
echo "as stated"
