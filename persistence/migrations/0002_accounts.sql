-- Accounts, their sessions, and what each role permits. Never on the path of a hold or a confirm.
--
-- No secret is stored in a form that could be used: passwords as argon2id, tokens as SHA-256 (they
-- are 256 random bits each, so there is nothing to guess).

CREATE TABLE roles (
    role_id text PRIMARY KEY CHECK (role_id ~ '^[A-Z][A-Z_]{0,31}$')
);

CREATE TABLE role_permissions (
    role_id    text NOT NULL REFERENCES roles,
    permission text NOT NULL,
    PRIMARY KEY (role_id, permission)
);

-- What a fresh installation needs to be usable at once; api/http/permissions.py has the same.
INSERT INTO roles VALUES ('USER'), ('ORGANIZER'), ('ADMIN');

INSERT INTO role_permissions
SELECT role_id, permission
FROM roles, unnest(ARRAY[
    'booking:create:own', 'booking:read:own', 'booking:update:own', 'payment:confirm'
]) AS permission;

INSERT INTO role_permissions
SELECT role_id, 'event:create:own' FROM roles WHERE role_id IN ('ORGANIZER', 'ADMIN');

INSERT INTO role_permissions
SELECT 'ADMIN', unnest(ARRAY[
    'booking:read:all', 'booking:update:any', 'payment:confirm:any', 'event:update:any',
    'role:assign', 'role:permission:read:all', 'role:permission:add', 'role:permission:remove'
]);

-- The address is kept in lower case. An account that was never verified has no password.
CREATE TABLE accounts (
    account_id    text        PRIMARY KEY,   -- the customer id of its tokens
    email         text        NOT NULL UNIQUE CHECK (email = lower(email)),
    role_id       text        NOT NULL REFERENCES roles DEFAULT 'USER',
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    verified_at   timestamptz,
    mails_since   timestamptz NOT NULL DEFAULT now(),
    mail_count    integer     NOT NULL DEFAULT 0,   -- since then: nobody is flooded with our mails
    CHECK ((verified_at IS NULL) = (password_hash IS NULL))
);
CREATE INDEX accounts_to_forget ON accounts (created_at) WHERE verified_at IS NULL;

-- Links that were mailed. password_hash is what a verification sets: the one chosen in the
-- registration that sent this very link.
CREATE TABLE account_links (
    token_hash    bytea       PRIMARY KEY,
    account_id    text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    purpose       text        NOT NULL CHECK (purpose IN ('verify', 'reset')),
    password_hash text        CHECK ((password_hash IS NOT NULL) = (purpose = 'verify')),
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
CREATE INDEX account_links_of_account ON account_links (account_id);
CREATE INDEX account_links_to_end ON account_links (expires_at);

-- A login that goes on. Its refresh tokens are one family: a token that comes twice ends it.
CREATE TABLE sessions (
    session_id text        PRIMARY KEY,      -- `sid` of its access tokens
    account_id text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX sessions_of_account ON sessions (account_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_to_forget ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY,
    session_id text        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
