-- Our copy: variables stand without quotes, which pgbench does not know.
SELECT gen_random_uuid() AS id, encode(sha256(random()::text::bytea || random()::text::bytea), 'hex') AS h, repeat('ab', 88) AS s \gset
BEGIN;
INSERT INTO subscriber (id, address_index, sealed) VALUES (:id::uuid, decode(:h, 'hex'), decode(:s, 'hex')) ON CONFLICT (address_index) DO UPDATE SET updated_at = now();
INSERT INTO subscription (subscriber_id, newsletter, status) VALUES (:id::uuid, 1, 'pending') ON CONFLICT DO NOTHING;
INSERT INTO consent_event (subscriber_id, kind, at) VALUES (:id::uuid, 'sign_up', now());
INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'confirm', jsonb_build_object('subscriber', :id::text, 'newsletter', 1));
COMMIT;
