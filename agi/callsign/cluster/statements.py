"""All that hosts and commands say to PostgreSQL (12 or later).  Nothing but this and `schema`, the tables, knows SQL.

No clock of a host enters: a moment goes there as seconds from now, and comes back so.  Times of a transaction are the
database's now().  Where a row is sought by its key or its call, `state || ''` keeps the index of all that wait out of
it: by the statistics of a calm hour nothing waits.  Several jobs go there as one text, `jobs`, an array of JSON: arrays
of PostgreSQL, one for each column, take the driver twice as long.
"""

from __future__ import annotations

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""So that each statement sees what others committed while it waited for a lock."""

NO_WAIT_FOR_DISK = "SET LOCAL synchronous_commit = off"
"""For what is only repeated where it is lost."""

COMMIT = "COMMIT"

# -- publish -------------------------------------------------------------------------------------------

LOCK_KEYS = "SELECT pg_advisory_xact_lock(key::bigint) FROM json_array_elements_text(%(keys)s::json) AS key"
"""Of what no two hosts may publish at once: a call's order, a notification that goes out once.  Rising keys."""

PUBLISH = """
    INSERT INTO callsign.job (store, n, system, action, call, key, facts, once, born, deadline, home, owner,
                              state, attempts, ended, reason)
    SELECT store, n, system, action, call, decode(key, 'hex'), facts, decode(once, 'hex'),
           now() - make_interval(secs => age), now() + make_interval(secs => time_left), home, owner, state, attempts,
           now() - make_interval(secs => ended_ago), reason
    FROM json_to_recordset(%(jobs)s::json) AS new (
        store text, n bigint, system text, action text, call text, key text, facts text, once text, age float8,
        time_left float8, home text, owner text, state text, attempts int, ended_ago float8, reason text)
    ON CONFLICT DO NOTHING RETURNING store, n"""
"""What has ended meanwhile goes there as such; `ended_ago` is NULL for the rest."""

ANSWERS = """
    SELECT job.store, job.n, job.home, job.state, job.owner, job.reason, job.call, job.action,
           EXISTS (SELECT FROM callsign.job AS earlier
                   WHERE earlier.call = job.call AND earlier.system = job.system AND earlier.state || '' = 'waiting'
                     AND earlier.owner IS DISTINCT FROM %(me)s AND (earlier.born, earlier.seq) < (job.born, job.seq)
                     AND job.key IS NOT NULL),
           ARRAY (SELECT DISTINCT later.action FROM callsign.job AS later
                  WHERE later.call = job.call AND later.system = job.system AND later.key = job.key
                    AND (later.born, later.seq) > (job.born, job.seq)),
           ARRAY (SELECT DISTINCT earlier.action FROM callsign.job AS earlier
                  WHERE earlier.call = job.call AND earlier.system = job.system AND earlier.key = job.key
                    AND (earlier.born, earlier.seq) < (job.born, job.seq))
    FROM json_to_recordset(%(jobs)s::json) AS asked (store text, n bigint)
    JOIN callsign.job AS job ON job.store = asked.store AND job.n = asked.n"""
"""What these jobs are, and what has become of them: whether an earlier one of the call is open elsewhere, what later
and earlier ones of its key there are.

No row for one whose `once` another job has.
"""

END = """
    UPDATE callsign.job SET state = told.state, reason = told.reason, attempts = told.attempts, ended = now(),
        next_try = NULL,
        facts = CASE WHEN told.state IN ('delivered', 'superseded', 'duplicate') THEN '{}' ELSE facts END
    FROM json_to_recordset(%(jobs)s::json) AS told (store text, n bigint, state text, reason text, attempts int)
    WHERE job.store = told.store AND job.n = told.n AND (job.owner = %(me)s OR job.owner IS NULL)
      AND job.state || '' = 'waiting'
    RETURNING job.store, job.n"""

NOTE_ATTEMPTS = """
    UPDATE callsign.job SET attempts = told.attempts, reason = told.reason, doubt = told.doubt,
        next_try = now() + make_interval(secs => told.pause)
    FROM json_to_recordset(%(jobs)s::json)
         AS told (store text, n bigint, attempts int, reason text, pause float8, doubt bool)
    WHERE job.store = told.store AND job.n = told.n AND job.owner = %(me)s AND job.state || '' = 'waiting'"""

HAND_OVER = """
    UPDATE callsign.job SET owner = %(new_owner)s, attempts = told.attempts, doubt = told.doubt,
        next_try = now() + make_interval(secs => told.pause)
    FROM json_to_recordset(%(jobs)s::json) AS told (store text, n bigint, attempts int, pause float8, doubt bool)
    WHERE job.store = told.store AND job.n = told.n AND job.owner IS NOT DISTINCT FROM %(owner)s
      AND job.state || '' = 'waiting'"""
"""To whoever comes first, with all that is known of it; or from there, to who has begun with it."""

# -- each second ---------------------------------------------------------------------------------------

JOIN = """
    INSERT INTO callsign.host AS mine (name, life, since, seen, version, systems)
    VALUES (%(me)s, 1, now(), now(), %(version)s, %(systems)s)
    ON CONFLICT (name) DO UPDATE SET life = mine.life + 1, beat = 0, dead = false, since = now(), seen = now(),
        version = excluded.version, systems = excluded.systems
    RETURNING life"""

NEWEST = "SELECT n FROM callsign.job WHERE store = %(store)s ORDER BY n DESC LIMIT 1"
"""A store that was put back has given lower ones, and would give this one again."""

BEAT = """
    UPDATE callsign.host SET beat = beat + 1, seen = now(), wants = %(wants)s::jsonb, systems = %(systems)s,
        troubled = %(troubled)s
    WHERE name = %(me)s AND life = %(life)s AND NOT dead RETURNING life"""

HOSTS = "SELECT name, life, beat, dead, wants, systems, troubled FROM callsign.host"

STARTED = "SELECT pg_postmaster_start_time()::text || pg_is_in_recovery()::text"
"""Another text: another server, or the same one started again."""

WISHES = "SELECT store, n FROM callsign.job WHERE owner = %(me)s AND wish IS NOT NULL LIMIT 500"

WISH_HEARD = """
    UPDATE callsign.job SET wish = NULL
    FROM json_to_recordset(%(jobs)s::json) AS heard (store text, n bigint)
    WHERE job.store = heard.store AND job.n = heard.n"""

DECLARE_DEAD = """
    UPDATE callsign.host SET dead = true
    WHERE name = %(name)s AND life = %(life)s AND beat = %(beat)s AND NOT dead RETURNING name"""

_TAKEN = """
    store, n, system, action, call, facts, extract(epoch FROM now() - born)::float8,
    extract(epoch FROM deadline - now())::float8, home, attempts, doubt,
    coalesce(extract(epoch FROM next_try - now()), 0)::float8"""

ADOPT = f"""
    WITH gone AS MATERIALIZED (
        SELECT name FROM callsign.host WHERE dead AND name <> %(me)s FOR SHARE),  -- who joins waits
    taken AS (
        SELECT store AS of_store, n AS number, owner AS before FROM callsign.job
        WHERE state = 'waiting' AND system = ANY(%(systems)s)
          AND ((owner IS NULL AND %(ownerless)s) OR owner = ANY(ARRAY(SELECT name FROM gone)))
        ORDER BY born LIMIT 100 FOR UPDATE SKIP LOCKED)
    UPDATE callsign.job SET owner = %(me)s FROM taken
    WHERE store = of_store AND n = number RETURNING {_TAKEN}, doubt OR before IS NOT NULL"""  # noqa: S608 (no value is in it)
"""The last column: whether somebody may have begun with it.

Who has joined again keeps its own; who is about to waits until this is done, and then sees what was taken.
"""

HELD = f"""
    SELECT {_TAKEN}, true FROM callsign.job
    WHERE owner = %(me)s AND state = 'waiting' AND (store, n) > (%(above_store)s, %(above_n)s)
    ORDER BY store, n LIMIT 500"""  # noqa: S608
"""All that waits and is mine, by and by."""

MAKE_SLOTS = """
    INSERT INTO callsign.slot (system, n)
    SELECT system, n
    FROM unnest(%(systems)s::text[], %(most)s::int[]) AS wanted (system, most), generate_series(1, most) AS n
    ON CONFLICT DO NOTHING"""

MY_SLOTS = "SELECT system, n FROM callsign.slot WHERE owner = %(me)s"

TAKE_SLOTS = """
    WITH gone AS MATERIALIZED (
        SELECT name FROM callsign.host WHERE dead AND name <> %(me)s FOR SHARE)  -- who joins waits
    UPDATE callsign.slot SET owner = %(me)s, life = %(life)s WHERE (system, n) IN (
        SELECT system, n FROM callsign.slot
        WHERE system = %(system)s AND (owner IS NULL OR owner = ANY(ARRAY(SELECT name FROM gone)))
        ORDER BY n LIMIT %(number)s FOR UPDATE SKIP LOCKED)
    RETURNING system, n"""

GIVE_SLOTS = "UPDATE callsign.slot SET owner = NULL WHERE system = %(system)s AND n = ANY(%(n)s) AND owner = %(me)s"

SHARE = """
    INSERT INTO callsign.shared AS known (system, name, value, at)
    VALUES (%(system)s, %(name)s, %(value)s, now() - make_interval(secs => %(age)s))
    ON CONFLICT (system, name) DO UPDATE
        SET value = excluded.value, at = excluded.at, busy_by = NULL, busy_until = NULL
        WHERE known.at IS NULL OR known.at < excluded.at"""
"""The younger one stays, whoever was to get it."""

BE_BUSY = """
    INSERT INTO callsign.shared AS known (system, name, busy_by, busy_until)
    VALUES (%(system)s, %(name)s, %(me)s, now() + make_interval(secs => %(busy)s))
    ON CONFLICT (system, name) DO UPDATE SET busy_by = excluded.busy_by, busy_until = excluded.busy_until
        WHERE (known.busy_until IS NULL OR known.busy_until < now() OR known.busy_by = %(me)s)
          AND (known.value IS NULL OR known.value = %(spent)s OR known.at < now() - make_interval(secs => %(most)s))
    RETURNING system"""
"""A row: nothing is there that is of use, nobody else is getting it, and it is for us to get."""

SHARED = """
    SELECT value, extract(epoch FROM now() - at)::float8 FROM callsign.shared
    WHERE system = %(system)s AND name = %(name)s AND value <> %(spent)s
      AND at >= now() - make_interval(secs => %(most)s)"""

MOST_PRUNED = 500

EXPIRE = f"""
    UPDATE callsign.job SET state = 'expired', reason = 'no host delivered it in time', ended = now(), next_try = NULL
    WHERE (store, n) IN (
        SELECT store, n FROM callsign.job
        WHERE state = 'waiting' AND deadline < now()
          AND NOT EXISTS (SELECT FROM callsign.host WHERE name = coalesce(owner, home) AND NOT dead)
        LIMIT {MOST_PRUNED} FOR UPDATE OF job SKIP LOCKED)
    AND pg_try_advisory_xact_lock(720368) RETURNING n"""  # noqa: S608 (no value is in it)
"""What is a dead host's, or that of none: no other one has a section for it."""

PRUNE = f"""
    DELETE FROM callsign.job WHERE (store, n) IN (
        SELECT store, n FROM callsign.job WHERE ended < now() - make_interval(secs => %(keep)s)
        ORDER BY ended LIMIT {MOST_PRUNED})
    AND pg_try_advisory_xact_lock(720368) RETURNING n"""  # noqa: S608 (no value is in it)
"""720368: a number that nothing else here locks."""

# -- what the commands ask -----------------------------------------------------------------------------

SHOWN_HOSTS = """
    SELECT name, life, dead, extract(epoch FROM since)::float8, extract(epoch FROM now() - seen)::float8, version,
           systems
    FROM callsign.host ORDER BY name"""

HELD_SLOTS = "SELECT owner, system, count(*) FROM callsign.slot WHERE owner IS NOT NULL GROUP BY owner, system"

WAITING = """
    SELECT coalesce(owner, ''), system, count(*), extract(epoch FROM now() - min(born))::float8
    FROM callsign.job WHERE state = 'waiting' GROUP BY owner, system"""

_SHOWN = """
    seq, coalesce(ended, 'infinity')::text, store, home, coalesce(owner, ''), n, system, action, call,
    extract(epoch FROM born)::float8, attempts, state, extract(epoch FROM ended)::float8,
    extract(epoch FROM next_try)::float8, extract(epoch FROM deadline)::float8, reason, facts"""

_SOUGHT = """
    (%(state)s::text IS NULL OR state = %(state)s OR (%(state)s = 'failed' AND state IN ('refused', 'expired')))
    AND (%(system)s::text IS NULL OR system = %(system)s OR starts_with(system, %(system)s || '.'))
    AND (%(call)s::text IS NULL OR call = ANY(ARRAY (
        SELECT %(call)s::text UNION ALL SELECT name || '/' || %(call)s FROM callsign.host)))
    AND (%(host)s::text IS NULL OR home = %(host)s OR owner = %(host)s)
    AND (%(since)s::float8 IS NULL OR born >= to_timestamp(%(since)s))
    AND (%(until)s::float8 IS NULL OR born < to_timestamp(%(until)s))
    AND (NOT %(with_facts)s::bool OR facts <> '{}')"""

OPEN_JOBS = f"""
    SELECT {_SHOWN} FROM callsign.job
    WHERE state = 'waiting' AND seq < %(seq)s AND %(ended)s::timestamptz IS NOT NULL AND {_SOUGHT}
    ORDER BY seq DESC LIMIT %(page)s"""  # noqa: S608 (no value is in it)

ENDED_JOBS = f"""
    SELECT {_SHOWN} FROM callsign.job
    WHERE (ended, seq) < (%(ended)s::timestamptz, %(seq)s) AND ended IS NOT NULL
      AND (%(since)s::float8 IS NULL OR ended >= to_timestamp(%(since)s)) AND {_SOUGHT}
    ORDER BY ended DESC, seq DESC LIMIT %(page)s"""  # noqa: S608
"""A page of each, below the last row of the one before: by an index, the newest first."""

KNOWN_JOBS = f"SELECT {_SHOWN} FROM callsign.job WHERE store = %(store)s AND n = ANY(%(n)s)"  # noqa: S608

JOBS_OF_HOST = f"""
    WITH RECURSIVE stores AS (
        (SELECT store AS one FROM callsign.job ORDER BY store LIMIT 1)
        UNION ALL
        SELECT (SELECT store FROM callsign.job WHERE store > one ORDER BY store LIMIT 1) FROM stores
        WHERE one IS NOT NULL)
    SELECT {_SHOWN} FROM stores JOIN callsign.job ON store = one
    WHERE n = ANY(%(n)s) AND home = %(host)s ORDER BY seq DESC"""  # noqa: S608
"""By the primary key, which begins with the store: a host has few, a new one when it lost the last."""

# What somebody at the shell changes.

RETRY = """
    WITH failed AS (
        UPDATE callsign.job SET state = 'retried', reason = 'as job retry:' || seq
        WHERE store = %(store)s AND n = %(n)s AND state IN ('refused', 'expired', 'dropped') AND deadline > now()
        RETURNING *)
    INSERT INTO callsign.job (store, n, system, action, call, key, facts, born, deadline, home)
    SELECT 'retry', seq, system, action, call, key, facts, now(), deadline, 'retry' FROM failed RETURNING n"""
"""For whichever host comes first.  Its number is the other's `seq`: a job is not retried twice."""

NOTE_RETRIED = """
    UPDATE callsign.job SET state = 'retried', reason = %(reason)s
    WHERE store = %(store)s AND n = %(n)s AND state IN ('refused', 'expired', 'dropped') RETURNING n"""

DROP = """
    UPDATE callsign.job SET state = 'dropped', ended = coalesce(ended, now()), next_try = NULL,
        wish = CASE WHEN state = 'waiting' AND owner IS NOT NULL THEN 'drop' END,
        reason = 'given up by the administrator'
            || CASE state WHEN 'waiting' THEN '' ELSE '; ' || state || ': ' || reason END
    WHERE store = %(store)s AND n = %(n)s AND state IN ('waiting', 'refused', 'expired') RETURNING n"""

FORGET = """
    WITH gone AS (
        DELETE FROM callsign.host WHERE name = %(name)s AND dead
            AND NOT EXISTS (SELECT FROM callsign.job WHERE owner = %(name)s AND state = 'waiting')
        RETURNING name),
    freed AS (UPDATE callsign.slot SET owner = NULL, life = NULL FROM gone WHERE owner = gone.name)
    SELECT name FROM gone"""
