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
)
"""`PRAGMA user_version` counts them.  A store of a later callsign is refused, an earlier one carried over."""

KEEP_IDS_RISING = "UPDATE sqlite_sequence SET seq = ? WHERE name = 'job' AND seq < ?"

INSERT_JOB = """
    INSERT INTO job (system, action, call, facts, at, lifetime, boot, steady_deadline)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

INSERT_ONCE = "INSERT INTO once (job, key, at) VALUES (?, ?, ?)"

FIND_ONCE = "SELECT job FROM once WHERE key = ?"

OPEN_JOBS_ABOVE = """
    SELECT id, system, action, call, facts, at, lifetime, boot, steady_deadline, attempts, next_try
    FROM job WHERE id > ? ORDER BY id"""

# `at` beside the id is the job's fingerprint: a store that was replaced under a running process may
# use the number for another job, and that one must not be touched.

NOTE_ATTEMPT = "UPDATE job SET attempts = ?, next_try = ?, reason = ? WHERE id = ? AND at = ?"

ADD_LIFE = """
    INSERT INTO life (job, line, at, event, milliseconds, reason)
    SELECT id, (SELECT coalesce(max(line), 0) + 1 FROM life WHERE job = job.id), ?, ?, ?, ?
    FROM job WHERE id = ? AND at = ?"""

END_JOB = """
    INSERT OR REPLACE INTO ended (id, system, action, call, facts, at, attempts, state, ended, reason)
    SELECT id, system, action, call, facts, at, ?, ?, ?, ? FROM job WHERE id = ? AND at = ?"""

DELETE_JOB = "DELETE FROM job WHERE id = ? AND at = ?"

OLDEST_ENDED = "SELECT id, ended FROM ended ORDER BY id LIMIT ?"

PRUNE = ("DELETE FROM life WHERE job = ?", "DELETE FROM ended WHERE id = ?")

FORGET_ONCE = "DELETE FROM once WHERE job IN (SELECT job FROM once ORDER BY job LIMIT ?) AND at < ?"

NEWEST_OPEN = "SELECT max(id) FROM job"

STATE_OF = """
    SELECT state, reason FROM ended WHERE id = :id
    UNION ALL SELECT 'waiting', reason FROM job WHERE id = :id"""

LIST_JOBS = """
    SELECT id, system, action, call, at, attempts, state, ended, next_try, reason FROM (
        SELECT id, system, action, call, at, attempts, 'waiting' AS state, NULL AS ended, next_try, reason FROM job
        UNION ALL
        SELECT id, system, action, call, at, attempts, state, ended, NULL, reason FROM ended
    )
    WHERE (:id IS NULL OR id = :id) AND (:state IS NULL OR state = :state)
      AND (:system IS NULL OR system = :system) AND (:call IS NULL OR call = :call)
    ORDER BY id DESC LIMIT :most"""

LIFE_OF = "SELECT at, event, milliseconds, reason FROM life WHERE job = ? ORDER BY line"

COUNTS = """
    SELECT system, state, count(*), min(at) FROM (
        SELECT system, 'waiting' AS state, at FROM job UNION ALL SELECT system, state, at FROM ended
    ) GROUP BY system, state ORDER BY system, state"""

LAST_OF_STATE = """
    SELECT system, state IN ('delivered'), max(ended), reason FROM ended
    WHERE state IN ('delivered', 'refused', 'expired')
    GROUP BY system, state IN ('delivered')
    UNION ALL
    SELECT system, 0, max(at), reason FROM job WHERE reason <> '' GROUP BY system"""
