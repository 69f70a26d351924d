CREATE TABLE public.accounts (
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    is_active boolean NOT NULL,
    session_epoch integer NOT NULL,
    issuer text DEFAULT ''::text NOT NULL,
    subject text,
    created_at timestamp with time zone NOT NULL,
    version integer DEFAULT 1 NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.api_tokens (
    token_id text NOT NULL,
    account text NOT NULL,
    label text NOT NULL,
    secret_hash text NOT NULL,
    scopes text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    uses_unknown_before timestamp with time zone
);
CREATE TABLE public.checkpoints (
    name text NOT NULL,
    "position" bigint NOT NULL
);
CREATE TABLE public.commands (
    command_id text NOT NULL,
    fingerprint text NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    "position" bigint NOT NULL,
    answer text NOT NULL,
    recorded_at timestamp with time zone NOT NULL
);
CREATE TABLE public.ended_sessions (
    session_id text NOT NULL,
    until timestamp with time zone NOT NULL
);
CREATE TABLE public.event_counter (
    id integer NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT ck_event_counter_one_row CHECK ((id = 1))
);
CREATE TABLE public.events (
    "position" bigint NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    fact_version integer NOT NULL,
    payload text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    command_id text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.first_answers (
    actor text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint text NOT NULL,
    status integer NOT NULL,
    headers text NOT NULL,
    body text NOT NULL,
    until timestamp with time zone NOT NULL
);
CREATE TABLE public.installation_secrets (
    name text NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.laid_out_servers (
    environment text NOT NULL,
    host text NOT NULL,
    "position" bigint NOT NULL,
    reported_at timestamp with time zone NOT NULL,
    known_at timestamp with time zone NOT NULL,
    silent_seconds double precision NOT NULL,
    is_live boolean NOT NULL,
    record_offset bigint NOT NULL
);
CREATE TABLE public.laid_out_tests (
    environment text NOT NULL,
    host text NOT NULL,
    key text NOT NULL,
    "position" bigint NOT NULL
);
CREATE TABLE public.preparation_steps (
    key text NOT NULL,
    settings_group integer NOT NULL,
    step text NOT NULL,
    detail text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    at timestamp with time zone NOT NULL
);
CREATE TABLE public.projections (
    name text NOT NULL,
    generation integer NOT NULL,
    version integer NOT NULL,
    "position" bigint NOT NULL,
    state text NOT NULL,
    reason text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.republish_requests (
    key text NOT NULL,
    requested_at timestamp with time zone NOT NULL
);
INSERT INTO public.alembic_version VALUES ('0007');
INSERT INTO public.commands VALUES ('green_button-0', 'body', 'split_test/green_button', 1, 1, 'done', '2026-05-03 14:05:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-1', 'body', 'split_test/green_button', 2, 2, 'done', '2026-05-03 14:06:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-2', 'body', 'split_test/green_button', 3, 3, 'done', '2026-05-03 14:07:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-3', 'body', 'split_test/green_button', 4, 4, 'done', '2026-05-03 14:08:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-4', 'body', 'split_test/green_button', 5, 5, 'done', '2026-05-03 14:09:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-5', 'body', 'split_test/green_button', 6, 6, 'done', '2026-05-03 14:10:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-6', 'body', 'split_test/green_button', 7, 7, 'done', '2026-05-03 14:11:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-7', 'body', 'split_test/green_button', 8, 8, 'done', '2026-05-03 14:12:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-8', 'body', 'split_test/green_button', 9, 9, 'done', '2026-05-03 14:13:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-9', 'body', 'split_test/green_button', 10, 10, 'done', '2026-05-03 14:14:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-10', 'body', 'split_test/green_button', 11, 11, 'done', '2026-05-03 14:15:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-11', 'body', 'split_test/green_button', 12, 12, 'done', '2026-05-03 14:16:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-12', 'body', 'split_test/green_button', 13, 13, 'done', '2026-05-03 14:17:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-13', 'body', 'split_test/green_button', 14, 14, 'done', '2026-05-03 14:18:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-14', 'body', 'split_test/green_button', 15, 15, 'done', '2026-05-03 14:19:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-15', 'body', 'split_test/green_button', 16, 16, 'done', '2026-05-03 14:20:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-16', 'body', 'split_test/green_button', 17, 17, 'done', '2026-05-03 14:21:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-17', 'body', 'split_test/green_button', 18, 18, 'done', '2026-05-03 14:22:06.789012+00');
INSERT INTO public.commands VALUES ('green_button-18', 'body', 'split_test/green_button', 19, 19, 'done', '2026-05-03 14:23:06.789012+00');
INSERT INTO public.commands VALUES ('big_photo-0', 'body', 'split_test/big_photo', 1, 20, 'done', '2026-05-03 14:05:06.789012+00');
INSERT INTO public.event_counter VALUES (1, 20);
INSERT INTO public.events VALUES (1, 'split_test/green_button', 1, 'SplitTestCreated', 1, '{"key":"green_button","name":"Green button","author":"anna","managers":["anna"],"description":"","type":"web","issue_key":"","chat_room":""}', 'анна ''o'' \', '2026-05-03 14:05:06.789012+00', 'green_button-0');
INSERT INTO public.events VALUES (2, 'split_test/green_button', 2, 'DraftDiscarded', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:06:06.789012+00', 'green_button-1');
INSERT INTO public.events VALUES (3, 'split_test/green_button', 3, 'SplitTestCreated', 1, '{"key":"green_button","name":"Greener button","author":"anna","managers":["anna"],"description":"","type":"web","issue_key":"","chat_room":""}', 'анна ''o'' \', '2026-05-03 14:07:06.789012+00', 'green_button-2');
INSERT INTO public.events VALUES (4, 'split_test/green_button', 4, 'PropertiesEdited', 1, '{"key":"green_button","changes":[{"name":"issue_key","before":"","after":"SHOP-1"}]}', 'анна ''o'' \', '2026-05-03 14:08:06.789012+00', 'green_button-3');
INSERT INTO public.events VALUES (5, 'split_test/green_button', 5, 'ManagersChanged', 1, '{"key":"green_button","added":["ivan"],"removed":[],"managers":["anna","ivan"]}', 'анна ''o'' \', '2026-05-03 14:09:06.789012+00', 'green_button-4');
INSERT INTO public.events VALUES (6, 'split_test/green_button', 6, 'SettingsGroupProposed', 1, '{"key":"green_button","settings_group":1,"starts_at":"2026-05-01T00:00:00Z","ends_at":"2026-06-01T00:00:00Z","conditions":"[{\"filter\": \"is_test_user\", \"operator\": \"eq\", \"value\": \"Yes\"}]","filters":[{"name":"is_test_user","type":"boolean","scope":"user"}],"variants":[{"name":"control","groups":1200,"is_control":true},{"name":"red","groups":1200,"is_control":false}],"split_equally":false,"reshuffle":false}', 'анна ''o'' \', '2026-05-03 14:10:06.789012+00', 'green_button-5');
INSERT INTO public.events VALUES (7, 'split_test/green_button', 7, 'SettingsGroupPreparationFailed', 1, '{"key":"green_button","settings_group":1,"reason":"the users table does not answer"}', 'анна ''o'' \', '2026-05-03 14:11:06.789012+00', 'green_button-6');
INSERT INTO public.events VALUES (8, 'split_test/green_button', 8, 'SettingsGroupPreparationRetried', 1, '{"key":"green_button","settings_group":1}', 'анна ''o'' \', '2026-05-03 14:12:06.789012+00', 'green_button-7');
INSERT INTO public.events VALUES (9, 'split_test/green_button', 9, 'SettingsGroupPrepared', 1, '{"key":"green_button","settings_group":1,"seed":7,"as_of_position":0,"variants":[{"name":"control","split_groups":[1,3,5],"users":300,"smallest_effect":null},{"name":"red","split_groups":[2,4,2400],"users":290,"smallest_effect":null}],"overlaps":[],"kept_groups":0,"moved":[],"assumed_filters":[],"base_rate":null}', 'анна ''o'' \', '2026-05-03 14:13:06.789012+00', 'green_button-8');
INSERT INTO public.events VALUES (10, 'split_test/green_button', 10, 'SplitTestPublished', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:14:06.789012+00', 'green_button-9');
INSERT INTO public.events VALUES (11, 'split_test/green_button', 11, 'SplitTestUnpublished', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:15:06.789012+00', 'green_button-10');
INSERT INTO public.events VALUES (12, 'split_test/green_button', 12, 'SplitTestPublished', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:16:06.789012+00', 'green_button-11');
INSERT INTO public.events VALUES (13, 'split_test/green_button', 13, 'CodeDeployed', 1, '{"key":"green_button","hit_id":"hit-1","occurred_at":"2026-05-03T14:05:00Z","app":"store","host":"web-3"}', 'анна ''o'' \', '2026-05-03 14:17:06.789012+00', 'green_button-12');
INSERT INTO public.events VALUES (14, 'split_test/green_button', 14, 'SplitTestStarted', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:18:06.789012+00', 'green_button-13');
INSERT INTO public.events VALUES (15, 'split_test/green_button', 15, 'SettingsGroupProposed', 1, '{"key":"green_button","settings_group":2,"starts_at":"2026-05-01T00:00:00Z","ends_at":"2026-06-08T00:00:00Z","conditions":"[{\"filter\": \"is_test_user\", \"operator\": \"eq\", \"value\": \"Yes\"}]","filters":[{"name":"is_test_user","type":"boolean","scope":"user"}],"variants":[{"name":"control","groups":1200,"is_control":true},{"name":"red","groups":1200,"is_control":false}],"split_equally":false,"reshuffle":false}', 'анна ''o'' \', '2026-05-03 14:19:06.789012+00', 'green_button-14');
INSERT INTO public.events VALUES (16, 'split_test/green_button', 16, 'SettingsGroupPrepared', 1, '{"key":"green_button","settings_group":2,"seed":7,"as_of_position":0,"variants":[{"name":"control","split_groups":[1,3,5],"users":300,"smallest_effect":null},{"name":"red","split_groups":[2,4,2400],"users":290,"smallest_effect":null}],"overlaps":[{"key":"other","settings_group":1,"shared_groups":120,"shared_users":null,"same_type":false,"their_users":null,"is_upper_bound":false,"by_variant":[]}],"kept_groups":0,"moved":[],"assumed_filters":[],"base_rate":null}', 'анна ''o'' \', '2026-05-03 14:20:06.789012+00', 'green_button-15');
INSERT INTO public.events VALUES (17, 'split_test/green_button', 17, 'SplitTestPaused', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:21:06.789012+00', 'green_button-16');
INSERT INTO public.events VALUES (18, 'split_test/green_button', 18, 'SplitTestResumed', 1, '{"key":"green_button"}', 'анна ''o'' \', '2026-05-03 14:22:06.789012+00', 'green_button-17');
INSERT INTO public.events VALUES (19, 'split_test/green_button', 19, 'SplitTestFinished', 1, '{"key":"green_button","resulting_variant":"red","scope":"conditions"}', 'анна ''o'' \', '2026-05-03 14:23:06.789012+00', 'green_button-18');
INSERT INTO public.events VALUES (20, 'split_test/big_photo', 1, 'SplitTestRejected', 1, '{"key":"big_photo"}', 'анна ''o'' \', '2026-05-03 14:05:06.789012+00', 'big_photo-0');
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (token_id);
ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (command_id);
ALTER TABLE ONLY public.ended_sessions
    ADD CONSTRAINT ended_sessions_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.event_counter
    ADD CONSTRAINT event_counter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY public.first_answers
    ADD CONSTRAINT first_answers_pkey PRIMARY KEY (actor, idempotency_key);
ALTER TABLE ONLY public.installation_secrets
    ADD CONSTRAINT installation_secrets_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.laid_out_servers
    ADD CONSTRAINT laid_out_servers_pkey PRIMARY KEY (environment, host);
ALTER TABLE ONLY public.laid_out_tests
    ADD CONSTRAINT laid_out_tests_pkey PRIMARY KEY (environment, host, key);
ALTER TABLE ONLY public.preparation_steps
    ADD CONSTRAINT preparation_steps_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.projections
    ADD CONSTRAINT projections_pkey PRIMARY KEY (name, generation);
ALTER TABLE ONLY public.republish_requests
    ADD CONSTRAINT republish_requests_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_issuer_subject UNIQUE (issuer, subject);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT uq_events_stream_version UNIQUE (stream, version);
CREATE INDEX ix_api_tokens_account ON public.api_tokens USING btree (account);
CREATE INDEX ix_ended_sessions_until ON public.ended_sessions USING btree (until);
CREATE INDEX ix_first_answers_until ON public.first_answers USING btree (until);
