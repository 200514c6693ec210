-- A password is chosen when a link is used, so no link and no unverified account has one to keep.
ALTER TABLE account_links DROP COLUMN password_hash;
-- A link is deleted when it is used.
DELETE FROM account_links WHERE used_at IS NOT NULL;
ALTER TABLE account_links DROP COLUMN used_at;

-- The mails of the last hour, counted per purpose and per client address: the requests of one client
-- do not use up the mails of another.
ALTER TABLE accounts DROP COLUMN mails_since;
ALTER TABLE accounts DROP COLUMN mail_count;
CREATE TABLE account_mails (
    account_id text        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify', 'reset', 'notice')),
    sender     text        NOT NULL,   -- the client address of the request
    sent_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX account_mails_of_account ON account_mails (account_id, purpose, sent_at);
CREATE INDEX account_mails_to_forget ON account_mails (sent_at);

-- Whether a webhook may receive the messages of an event now. Of an account, its role decides; what
-- the role of any other caller is, only its identity provider knows.
CREATE FUNCTION may_receive(webhook_owner text, any_owner boolean, event_owner text)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN NOT any_owner AND webhook_owner <> event_owner THEN false
        WHEN NOT starts_with(webhook_owner, 'acc_') THEN true
        ELSE EXISTS (
            SELECT FROM accounts a JOIN role_permissions p USING (role_id)
            WHERE a.account_id = webhook_owner AND (
                p.permission = 'event:update:any'
                OR p.permission = 'event:create:own' AND webhook_owner = event_owner))
    END
$$;
CREATE INDEX webhooks_of_event ON webhooks (event_id, webhook_id);
