-- The installation, the body, its newsletters and the notices that were ever shown.
-- Nothing in this file is personal.

CREATE TABLE installation (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    body_id    bytea       NOT NULL CHECK (octet_length(body_id) = 16),
    tick       bigint      NOT NULL DEFAULT 0,   -- grows with every heartbeat: tells a database that went back
    created_at timestamptz NOT NULL
);

CREATE TABLE body (
    one               boolean     PRIMARY KEY DEFAULT true CHECK (one),
    name_en           text        NOT NULL,
    name_cy           text,
    dpo_email         text        NOT NULL,
    dpo_post          text[]      NOT NULL,
    regulator_name_en text        NOT NULL,
    regulator_name_cy text,
    regulator_url     text        NOT NULL,
    colour            text        NOT NULL,
    reply_to          text        NOT NULL,
    changed_at        timestamptz NOT NULL
);

CREATE TABLE newsletter (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug           text        NOT NULL UNIQUE,
    name_en        text        NOT NULL,
    name_cy        text,
    summary_en     text        NOT NULL,
    summary_cy     text,
    frequency_en   text        NOT NULL,
    frequency_cy   text,
    sender_address text        NOT NULL,
    languages      smallint[]  NOT NULL CHECK (cardinality(languages) > 0),  -- 0 English, 1 Welsh
    retention_days integer     NOT NULL CHECK (retention_days BETWEEN 0 AND 90),
    lawful_basis   smallint    NOT NULL CHECK (lawful_basis IN (0, 1)),      -- 0 consent, 1 public task
    open           boolean     NOT NULL,
    created_at     timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);

CREATE TABLE notice (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    newsletter_id bigint      NOT NULL REFERENCES newsletter,
    language      smallint    NOT NULL,
    version       integer     NOT NULL,
    hash          bytea       NOT NULL CHECK (hash = sha256(convert_to(text, 'UTF8'))),
    text          text        NOT NULL,
    published_at  timestamptz NOT NULL,
    superseded_at timestamptz,
    UNIQUE (newsletter_id, language, version),
    UNIQUE (newsletter_id, language, hash)
);
CREATE UNIQUE INDEX notice_one_current ON notice (newsletter_id, language) WHERE superseded_at IS NULL;

-- A notice that somebody consented to can never read differently afterwards.
CREATE FUNCTION refuse_changed_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a notice that was shown stays as it was: publish a new version';
END $$;
CREATE TRIGGER notice_text_is_fixed
    BEFORE UPDATE OF newsletter_id, language, version, hash, text ON notice
    FOR EACH ROW EXECUTE FUNCTION refuse_changed_notice();
CREATE TRIGGER notice_is_kept
    BEFORE DELETE ON notice
    FOR EACH ROW EXECUTE FUNCTION refuse_changed_notice();
