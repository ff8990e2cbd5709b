#!/bin/sh
# DuckDB's `last(x ORDER BY time)` is not the last element of `list(x ORDER BY time)` where times are equal.
#
# Listening logs are full of equal times: a Spotify account export has minutes only. Every session's last play is what a
# session-based recommender is tested on.
# Expected: both sort by the same key, so the last one of the sorted list is the last one.
# Seen with duckdb 2.0.0, one thread, a file in order: list(x ORDER BY t) keeps the order of the file among equal times and
# ends with the file's last play; last(x ORDER BY t) is the first of the plays with the greatest time. first(x ORDER BY t)
# agrees with the list's first element. So a test target taken by last() is another play than the one taken by list().
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.0
printf 'session,minute,track\n1,10:00,a\n1,10:01,b\n1,10:01,c\n1,10:01,d\n2,11:00,e\n2,11:00,f\n' > plays.csv
env/bin/python - <<'PROGRAM'
import duckdb

duckdb.sql("set threads = 1")
rows = duckdb.sql("""
    select session, list(track order by minute) as tracks, first(track order by minute) as first,
        last(track order by minute) as last, list(track order by minute)[-1] as last_of_list
    from read_csv('plays.csv', types={'minute': 'VARCHAR'}) group by session order by session
""").fetchall()
for row in rows:
    print(row)
assert rows == [(1, ["a", "b", "c", "d"], "a", "b", "d"), (2, ["e", "f"], "e", "e", "f")], "changed"
PROGRAM
echo "as stated"
