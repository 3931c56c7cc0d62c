"""The store's tables and the statements on them; the `outbox…` modules run these, nothing else does."""

from __future__ import annotations

STEPS = (
    # 0 -> 1.  `job` holds what waits, and nothing else, so that a start reads it whole and needs no index.
    """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: rows found above a mark are new ones
        system TEXT NOT NULL, action TEXT NOT NULL, call TEXT NOT NULL, facts TEXT NOT NULL,
        at REAL NOT NULL, lifetime REAL NOT NULL,
        boot TEXT NOT NULL, steady_deadline REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_try REAL, reason TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO sqlite_sequence (name, seq) VALUES ('job', 0);
    CREATE TABLE ended (
        id INTEGER PRIMARY KEY,
        system TEXT NOT NULL, action TEXT NOT NULL, call TEXT NOT NULL, facts TEXT NOT NULL,
        at REAL NOT NULL, attempts INTEGER NOT NULL,
        state TEXT NOT NULL, ended REAL NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE once (job INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at REAL NOT NULL);
    CREATE TABLE life (
        job INTEGER NOT NULL, line INTEGER NOT NULL, at REAL NOT NULL,
        event TEXT NOT NULL, milliseconds REAL, reason TEXT NOT NULL,
        PRIMARY KEY (job, line)
    ) WITHOUT ROWID;
    """,
    # 1 -> 2.  How long what has ended would have been of use: for `retry`; 0 for what ended before.
    "ALTER TABLE ended ADD COLUMN lifetime REAL NOT NULL DEFAULT 0",
    # 2 -> 3.  What became of questions, never what was asked: counts a minute, and the last one's action and reason.
    """
    CREATE TABLE asked (
        system TEXT NOT NULL, status TEXT NOT NULL, minute INTEGER NOT NULL,
        questions INTEGER NOT NULL, at REAL NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (system, status, minute)
    ) WITHOUT ROWID;
    """,
    # 3 -> 4.  The store's name among those of several hosts.
    """
    CREATE TABLE meta (store TEXT NOT NULL);
    INSERT INTO meta VALUES (lower(hex(randomblob(8))));
    """,
    # 4 -> 5.  While they cannot be told: up to which job the other hosts may know of those here; NULL: of all.
    "ALTER TABLE meta ADD COLUMN known INTEGER",
)
"""`PRAGMA user_version` counts them.  A store of a later callsign is refused, an earlier one carried over."""

KEEP_IDS_RISING = "UPDATE sqlite_sequence SET seq = ? WHERE name = 'job' AND seq < ?"

INSERT_JOB = """
    INSERT INTO job (system, action, call, facts, at, lifetime, boot, steady_deadline)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

INSERT_ONCE = "INSERT INTO once (job, key, at) VALUES (?, ?, ?)"

# Into the store that comes after a lost one.

KEEP_JOB = """
    INSERT OR IGNORE INTO job
        (id, system, action, call, facts, at, lifetime, boot, steady_deadline, attempts, next_try)
    SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM ended WHERE id = ?)"""

KEEP_ONCE = "INSERT OR IGNORE INTO once (job, key, at) VALUES (?, ?, ?)"

FIND_ONCE = "SELECT job FROM once WHERE key = ?"

DIGEST_OF = "SELECT key FROM once WHERE job = ?"

OPEN_JOBS = """
    SELECT id, system, action, call, facts, at, lifetime, boot, steady_deadline, attempts, next_try
    FROM job WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"""

# `at` beside the id is the job's fingerprint: a store that was replaced under a running process may
# use the number for another job, and that one must not be touched.

NOTE_ATTEMPT = "UPDATE job SET attempts = ?, next_try = ?, reason = ? WHERE id = ? AND at = ?"

ADD_EVENT = """
    INSERT INTO life (job, line, at, event, milliseconds, reason)
    SELECT id, (SELECT coalesce(max(line), 0) + 1 FROM life WHERE job = job.id), ?, ?, ?, ?
    FROM job WHERE id = ? AND at = ?"""

END_JOB = """
    INSERT OR REPLACE INTO ended (id, system, action, call, facts, at, lifetime, attempts, state, ended, reason)
    SELECT id, system, action, call, facts, at, lifetime, ?, ?, ?, ? FROM job WHERE id = ? AND at = ?"""

DELETE_JOB = "DELETE FROM job WHERE id = ? AND at = ?"

# Whether it is old, and whether it may become so: neither is what has the moment of a clock that was ahead.

OLDEST_ENDED = """
    SELECT id, ended < :limit, ended BETWEEN :limit AND :now FROM ended WHERE id > :above ORDER BY id LIMIT :most"""

PRUNE = ("DELETE FROM life WHERE job = ?", "DELETE FROM ended WHERE id = ?")

OLDEST_ONCE = """
    SELECT job, at < :limit, at BETWEEN :limit AND :now FROM once WHERE job > :above ORDER BY job LIMIT :most"""

FORGET_ONCE = ("DELETE FROM once WHERE job = ?",)

NEWEST_OPEN = "SELECT max(id) FROM job"

HAS_NAME = "SELECT 1 FROM sqlite_master WHERE name = 'meta'"

STORE_NAME = "SELECT store FROM meta"

WRITE_NOTHING = "UPDATE meta SET store = store"
"""Changes nothing, and fails where nothing can be written."""

NOTE_KNOWN = "UPDATE meta SET known = ?"

KNOWN = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'job'), known FROM meta"

KEEP_NAME = "UPDATE meta SET store = ?"

STATE_OF = """
    SELECT state, reason FROM ended WHERE id = :id AND at = coalesce(:at, at)
    UNION ALL SELECT 'waiting', reason FROM job WHERE id = :id AND at = coalesce(:at, at)"""

# A job that `retry` made has the time of its call, for its life to end then, and is listed with its own.

_LISTED = """
    LEFT JOIN life AS again ON again.job = this.id AND again.line = 1 AND again.event = 'retry'
    WHERE (:id IS NULL OR id = :id)
      AND (:state IS NULL OR state = :state OR (:state = 'failed' AND state IN ('refused', 'expired')))
      AND (:system IS NULL OR system = :system OR substr(system, 1, length(:system) + 1) = :system || '.')
      AND (:call IS NULL OR call = :call)
      AND (:since IS NULL OR coalesce(again.at, this.at) >= :since)
      AND (:until IS NULL OR coalesce(again.at, this.at) < :until)
      AND (:sought IS NULL OR fits(CAST(facts AS BLOB)))
    ORDER BY id DESC LIMIT :most"""

LIST_JOBS = f"""
    SELECT * FROM (
        SELECT id, system, action, call, coalesce(again.at, this.at), attempts, 'waiting' AS state, NULL AS ended,
               next_try, this.at + lifetime AS deadline, this.reason, facts
        FROM job AS this {_LISTED})
    UNION ALL SELECT * FROM (
        SELECT id, system, action, call, coalesce(again.at, this.at), attempts, state, ended,
               NULL, NULL, this.reason, facts
        FROM ended AS this {_LISTED})
    ORDER BY id DESC LIMIT :most"""  # noqa: S608 (no value is in it)

NUMBERS_OF_ENDED = f"SELECT id FROM ended AS this {_LISTED}"  # noqa: S608 (the same)

EVENTS_OF = "SELECT at, event, milliseconds, reason FROM life WHERE job = ? ORDER BY line"

ENDED_COUNTS = "SELECT system, state, count(*) FROM ended GROUP BY system, state"

FAILED_SINCE = """
    SELECT system, count(*) FROM ended
    WHERE state IN ('refused', 'expired', 'superseded') AND ended BETWEEN ? AND ? GROUP BY system"""

WAITING = "SELECT system, count(*), min(at), min(coalesce(next_try, at)) FROM job GROUP BY system"

LAST_OF_STATE = """
    SELECT system, state = 'delivered', max(ended), id, reason FROM ended
    WHERE state IN ('delivered', 'refused', 'expired', 'superseded') AND ended <= ?
    GROUP BY system, state = 'delivered'"""

LAST_ATTEMPT = """
    SELECT job.system, max(life.at), life.job, life.reason
    FROM life JOIN job ON job.id = life.job WHERE life.event = 'try later' AND life.at <= ? GROUP BY job.system"""

EXPIRED_LATELY = """
    SELECT system, action, call, facts, at, lifetime FROM ended
    WHERE id > (SELECT max(id) FROM ended) - ? AND state = 'expired' AND attempts > 0 AND at > ?"""

# Questions: what became of them.

NOTE_ASKED = """
    INSERT INTO asked (system, status, minute, questions, at, action, reason) VALUES (?, ?, ?, 1, ?, ?, ?)
    ON CONFLICT (system, status, minute) DO UPDATE
    SET questions = questions + 1, at = excluded.at, action = excluded.action, reason = excluded.reason"""

HAS_ASKED = "SELECT 1 FROM sqlite_master WHERE name = 'asked'"

ASKED_SINCE = "SELECT system, status, sum(questions) FROM asked WHERE minute BETWEEN ? AND ? GROUP BY system, status"

LAST_ASKED = """
    SELECT system, max(at), action, status, reason,
        CASE status WHEN 'OK' THEN 'last_answer' WHEN 'ERROR' THEN 'last_error' ELSE 'last_trouble' END AS kind
    FROM asked WHERE at <= ? GROUP BY system, kind"""

FORGET_ASKED = """
    DELETE FROM asked WHERE minute < :limit OR (minute < :hour AND EXISTS (
        SELECT 1 FROM asked AS later
        WHERE later.system = asked.system AND later.status = asked.status
          AND later.minute > asked.minute AND later.minute <= :now))"""

# For `retry` and `drop`: what somebody at the shell changes.

FIND_ENDED = "SELECT system, action, call, facts, at, lifetime, state, reason FROM ended WHERE id = ?"

FIND_OPEN = "SELECT attempts, at FROM job WHERE id = ?"

END_OTHERWISE = "UPDATE ended SET state = ?, reason = ? WHERE id = ?"

ADD_ANY_EVENT = """
    INSERT INTO life (job, line, at, event, milliseconds, reason)
    VALUES (:job, (SELECT coalesce(max(line), 0) + 1 FROM life WHERE job = :job), :at, :event, NULL, :reason)"""
