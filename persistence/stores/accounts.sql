-- Accounts, sessions and roles: the queries of `accounts.py`, `sessions.py` and `roles.py`.

-- name: add_unverified
INSERT INTO accounts (account_id, email) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING;

-- name: lock_account
SELECT account_id, email, role_id AS role, verified_at IS NOT NULL AS verified FROM accounts
WHERE email = $1 FOR UPDATE;

-- name: count_mail
-- Counts one mail of a purpose, while the last hour has room: $4 from one sender, $5 from all.
INSERT INTO account_mails (account_id, purpose, sender)
SELECT $1, $2, $3
FROM (
    SELECT count(*) AS total, count(*) FILTER (WHERE sender = $3) AS own FROM account_mails
    WHERE account_id = $1 AND purpose = $2 AND sent_at > now() - interval '1 hour') sent
WHERE own < $4 AND total < $5
RETURNING account_id;

-- name: add_link
INSERT INTO account_links (token_hash, account_id, purpose, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4));

-- name: forget_old
-- A few at a time, by whoever adds some: no job of its own.
WITH links AS (
    DELETE FROM account_links WHERE token_hash IN (
        SELECT token_hash FROM account_links WHERE expires_at < now()
        ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED)),
mails AS (
    DELETE FROM account_mails WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM account_mails WHERE sent_at < now() - interval '1 hour'
        ORDER BY sent_at LIMIT 20 FOR UPDATE SKIP LOCKED)))
DELETE FROM accounts WHERE account_id IN (
    SELECT account_id FROM accounts a
    WHERE verified_at IS NULL AND created_at < now() - interval '7 days'
        AND NOT EXISTS (
            SELECT FROM account_links l WHERE l.account_id = a.account_id AND l.expires_at > now())
    ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED);

-- name: find_link
SELECT a.email FROM account_links l JOIN accounts a USING (account_id)
WHERE l.token_hash = $1 AND l.purpose = $2 AND l.expires_at > now();

-- name: lock_account_of_link
-- First the account, then its links: the order of every transaction that changes both.
SELECT a.account_id FROM account_links l JOIN accounts a USING (account_id)
WHERE l.token_hash = $1
FOR UPDATE OF a;

-- name: use_link
-- The first use ends every link of the account, and starts the hour of its mails again.
WITH used AS (
    DELETE FROM account_links WHERE token_hash = $1 AND purpose = $2 AND expires_at > now()
    RETURNING account_id),
others AS (
    DELETE FROM account_links l USING used
    WHERE l.account_id = used.account_id AND l.token_hash <> $1),
mails AS (
    DELETE FROM account_mails m USING used WHERE m.account_id = used.account_id)
SELECT account_id FROM used;

-- name: end_links
DELETE FROM account_links WHERE account_id = $1;

-- name: set_password
UPDATE accounts SET password_hash = $2, verified_at = coalesce(verified_at, now())
WHERE account_id = $1;

-- name: replace_hash
UPDATE accounts SET password_hash = $3 WHERE account_id = $1 AND password_hash = $2;

-- name: find_credentials
SELECT account_id, password_hash FROM accounts WHERE email = $1 AND verified_at IS NOT NULL;

-- name: add_account
INSERT INTO accounts (account_id, email, role_id, password_hash, verified_at)
VALUES ($1, $2, $3, $4, now())
ON CONFLICT (email) DO UPDATE SET role_id = excluded.role_id,
    password_hash = excluded.password_hash, verified_at = excluded.verified_at
WHERE accounts.verified_at IS NULL
RETURNING account_id;

-- name: list_accounts
SELECT account_id, email, role_id AS role,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_at_ms,
    (extract(epoch FROM verified_at) * 1000)::bigint AS verified_at_ms
FROM accounts WHERE email > $1 ORDER BY email LIMIT $2;

-- name: open_session
-- One round trip, as logins come in storms. Only while the account still has the password that was
-- checked: a reset may have come between. A few sessions that are over go with it. It does not wait
-- for the disk, which holds need more: a session that a crash forgets is opened again.
WITH known AS (
    SELECT account_id, role_id, set_config('synchronous_commit', 'off', true) FROM accounts
    WHERE account_id = $2 AND password_hash = $3
    FOR UPDATE),
forgotten AS (
    DELETE FROM sessions WHERE session_id IN (
        SELECT session_id FROM sessions WHERE expires_at < now()
        ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED)),
opened AS (
    INSERT INTO sessions (session_id, account_id, expires_at)
    SELECT $1, account_id, now() + make_interval(secs => $5) FROM known),
token AS (
    INSERT INTO refresh_tokens (token_hash, session_id) SELECT $4, $1 FROM known)
SELECT array(
    SELECT p.permission FROM role_permissions p WHERE p.role_id = known.role_id
    ORDER BY p.permission) AS permissions
FROM known;

-- name: add_refresh_token
INSERT INTO refresh_tokens (token_hash, session_id) VALUES ($1, $2);

-- name: lock_session
-- Two refreshes of one family come one after the other.
SELECT s.session_id, s.account_id, s.ended_at IS NULL AND s.expires_at > now() AS alive
FROM sessions s JOIN refresh_tokens t USING (session_id)
WHERE t.token_hash = $1
FOR UPDATE OF s;

-- name: use_refresh_token
UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1 AND used_at IS NULL
RETURNING session_id;

-- name: extend_session
UPDATE sessions SET expires_at = now() + make_interval(secs => $2) WHERE session_id = $1;

-- name: forget_used_tokens
DELETE FROM refresh_tokens WHERE session_id = $1 AND used_at < now() - make_interval(secs => $2);

-- name: read_permissions
SELECT p.permission FROM accounts a JOIN role_permissions p USING (role_id)
WHERE a.account_id = $1 ORDER BY p.permission;

-- name: end_session
UPDATE sessions SET ended_at = coalesce(ended_at, now()) WHERE session_id = $1;

-- name: end_sessions
UPDATE sessions SET ended_at = now() WHERE account_id = $1 AND ended_at IS NULL
RETURNING session_id;

-- name: list_roles
SELECT r.role_id AS role, array_remove(array_agg(p.permission ORDER BY p.permission), NULL)
    AS permissions
FROM roles r LEFT JOIN role_permissions p USING (role_id)
WHERE $1::text IS NULL OR r.role_id = $1
GROUP BY r.role_id ORDER BY r.role_id;

-- name: lock_roles
-- Serialises the changes of roles. It conflicts with itself only, so registrations do not wait.
SELECT FROM roles ORDER BY role_id FOR NO KEY UPDATE;

-- name: count_other_admins
SELECT count(*) FROM accounts
WHERE role_id = 'ADMIN' AND verified_at IS NOT NULL AND account_id <> $1;

-- name: add_permission
INSERT INTO role_permissions VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: remove_permission
DELETE FROM role_permissions WHERE role_id = $1 AND permission = $2;

-- name: assign_role
UPDATE accounts SET role_id = $2 WHERE account_id = $1;
