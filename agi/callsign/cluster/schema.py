"""The tables that the hosts share: what makes them, and whether they, and who looks at them, are as a host needs it."""

from __future__ import annotations

VERSION = 2
"""Of the tables that `statements` are for; `meta.version` is the one that is there."""

STEPS = (
    # 0 -> 1.  A job is its home's store and its number there.  One table for what waits and what has ended: it is
    # also the memory of who was notified, and what the commands show.
    """
    CREATE SCHEMA IF NOT EXISTS callsign;
    CREATE TABLE callsign.meta (
        version int NOT NULL,
        oldest_ok int NOT NULL              -- a callsign for an earlier version than this one leaves it alone
    );
    INSERT INTO callsign.meta VALUES (1, 1);
    CREATE TABLE callsign.host (
        name text PRIMARY KEY,
        life bigint NOT NULL,               -- counts its starts, and its returns from the dead
        beat bigint NOT NULL DEFAULT 0,
        dead boolean NOT NULL DEFAULT false,
        since timestamptz NOT NULL,         -- its life's beginning
        seen timestamptz NOT NULL,
        version text NOT NULL,
        systems text[] NOT NULL,            -- the accounts that it delivers
        wants jsonb NOT NULL DEFAULT '{}',  -- how many jobs wait there, by account
        troubled text[] NOT NULL DEFAULT '{}'   -- the accounts whose vendor seems to be away there
    ) WITH (fillfactor = 50);
    CREATE TABLE callsign.job (
        store text NOT NULL, n bigint NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        system text NOT NULL, action text NOT NULL, call text NOT NULL,
        key text,                           -- a digest: what an action and its undoing share; NULL: no order
        facts text NOT NULL,                -- callers' numbers; emptied when it has ended well
        once text,                          -- a digest
        born timestamptz NOT NULL, deadline timestamptz NOT NULL,
        home text NOT NULL,                 -- the host that was told
        owner text,                         -- the host that delivers; NULL: whoever comes first
        state text NOT NULL DEFAULT 'waiting',
        attempts int NOT NULL DEFAULT 0,
        doubt boolean NOT NULL DEFAULT false,   -- an attempt had no answer, and may be carried out yet
        next_try timestamptz, ended timestamptz,
        reason text NOT NULL DEFAULT '',
        wish text,                          -- 'drop': ended by somebody's word, of which its owner is to hear
        PRIMARY KEY (store, n)
    ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);
    CREATE UNIQUE INDEX job_once ON callsign.job (once) WHERE once IS NOT NULL;
    CREATE INDEX job_call ON callsign.job (call, system);
    CREATE INDEX job_waiting ON callsign.job (owner) WHERE state = 'waiting';
    CREATE INDEX job_wish ON callsign.job (owner) WHERE wish IS NOT NULL;
    CREATE INDEX job_ended ON callsign.job (ended);
    CREATE TABLE callsign.slot (            -- as many as a vendor lets in at once
        system text NOT NULL, n int NOT NULL,
        owner text, life bigint,
        PRIMARY KEY (system, n)
    ) WITH (fillfactor = 50);
    CREATE TABLE callsign.shared (          -- what one host has got from a vendor for all
        system text NOT NULL, name text NOT NULL,
        value text, at timestamptz,         -- when it was first used
        busy_by text, busy_until timestamptz,   -- who is getting another one
        PRIMARY KEY (system, name)
    ) WITH (fillfactor = 50);
    """,
    # 1 -> 2.  Digests as bytes, and better indexes; some tables that say 1 have them.
    r"""
    ALTER TABLE callsign.job
        ALTER key TYPE bytea USING decode(ltrim(key::text, '\x'), 'hex'),
        ALTER once TYPE bytea USING decode(ltrim(once::text, '\x'), 'hex');
    DROP INDEX callsign.job_call, callsign.job_waiting, callsign.job_ended;
    CREATE INDEX job_call ON callsign.job (call);
    CREATE INDEX job_waiting ON callsign.job (owner, store, n) WHERE state = 'waiting';
    CREATE INDEX job_ended ON callsign.job (ended) WHERE ended IS NOT NULL;
    UPDATE callsign.meta SET oldest_ok = 2;
    """,
)

GRANTS = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'callsign') THEN
            GRANT USAGE ON SCHEMA callsign TO callsign;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA callsign TO callsign;
            REVOKE INSERT, UPDATE, DELETE ON callsign.meta FROM callsign;
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'callsign_view') THEN
            GRANT USAGE ON SCHEMA callsign TO callsign_view;
            GRANT SELECT ON callsign.meta, callsign.host, callsign.slot TO callsign_view;
            GRANT SELECT (store, n, seq, system, action, call, born, deadline, home, owner, state, attempts,
                          next_try, ended, reason, wish) ON callsign.job TO callsign_view;
        END IF;
    END $$
"""
"""Behind the steps: to the roles that are there."""

VERSIONS = "SELECT version, oldest_ok FROM callsign.meta"

SERVER = """
    SELECT current_user::text, current_setting('server_version'), current_setting('statement_timeout') <> '0',
           pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
           EXISTS (SELECT FROM pg_class WHERE relname = 'meta' AND relnamespace = to_regnamespace('callsign')),
           coalesce(has_schema_privilege(to_regnamespace('callsign'), 'USAGE'), false)"""
"""The last two: whether there are tables, and whether the role may look at them."""

MISSING_RIGHTS = """
    SELECT need || ' on callsign.' || name
    FROM (VALUES ('meta', ARRAY['SELECT']), ('host', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                 ('job', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                 ('slot', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
                 ('shared', ARRAY['SELECT', 'INSERT', 'UPDATE'])) AS wanted (name, needs),
         unnest(needs) AS need
    WHERE NOT has_table_privilege('callsign.' || name, need)"""

MAY_CHANGE_TABLES = "SELECT has_schema_privilege('callsign', 'CREATE')"

ONE_UPGRADE = "SELECT pg_advisory_xact_lock(720369)"

SET_VERSION = f"UPDATE callsign.meta SET version = {VERSION}"  # noqa: S608


def misfit(version: int, oldest_ok: int) -> str:
    """Why this callsign cannot use tables of that version; empty where it can."""
    if not version:
        return "its table callsign.meta is empty: DROP SCHEMA callsign CASCADE, then callsign cluster upgrade"
    if version < VERSION:
        return f"its tables are of version {version}: callsign cluster upgrade makes them {VERSION}"
    if oldest_ok > VERSION:
        return f"its tables are of version {version}: this callsign is too old for them, update it"
    return ""
