BEGIN TRANSACTION;
CREATE TABLE accounts (
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	session_epoch INTEGER NOT NULL, 
	issuer TEXT DEFAULT '' NOT NULL, 
	subject TEXT, 
	created_at DATETIME NOT NULL, version INTEGER DEFAULT '1' NOT NULL, 
	PRIMARY KEY (name), 
	CONSTRAINT uq_accounts_issuer_subject UNIQUE (issuer, subject)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
CREATE TABLE api_tokens (
	token_id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	label TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, last_used_at DATETIME, uses_unknown_before DATETIME, 
	PRIMARY KEY (token_id)
);
CREATE TABLE checkpoints (
	name TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE commands (
	command_id TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	answer TEXT NOT NULL, 
	recorded_at DATETIME NOT NULL, 
	PRIMARY KEY (command_id)
);
INSERT INTO "commands" VALUES('green_button-0','body','split_test/green_button',1,1,'done','2026-05-03 14:05:06.789012');
INSERT INTO "commands" VALUES('green_button-1','body','split_test/green_button',2,2,'done','2026-05-03 14:06:06.789012');
INSERT INTO "commands" VALUES('green_button-2','body','split_test/green_button',3,3,'done','2026-05-03 14:07:06.789012');
INSERT INTO "commands" VALUES('green_button-3','body','split_test/green_button',4,4,'done','2026-05-03 14:08:06.789012');
INSERT INTO "commands" VALUES('green_button-4','body','split_test/green_button',5,5,'done','2026-05-03 14:09:06.789012');
INSERT INTO "commands" VALUES('green_button-5','body','split_test/green_button',6,6,'done','2026-05-03 14:10:06.789012');
INSERT INTO "commands" VALUES('green_button-6','body','split_test/green_button',7,7,'done','2026-05-03 14:11:06.789012');
INSERT INTO "commands" VALUES('green_button-7','body','split_test/green_button',8,8,'done','2026-05-03 14:12:06.789012');
INSERT INTO "commands" VALUES('green_button-8','body','split_test/green_button',9,9,'done','2026-05-03 14:13:06.789012');
INSERT INTO "commands" VALUES('green_button-9','body','split_test/green_button',10,10,'done','2026-05-03 14:14:06.789012');
INSERT INTO "commands" VALUES('green_button-10','body','split_test/green_button',11,11,'done','2026-05-03 14:15:06.789012');
INSERT INTO "commands" VALUES('green_button-11','body','split_test/green_button',12,12,'done','2026-05-03 14:16:06.789012');
INSERT INTO "commands" VALUES('green_button-12','body','split_test/green_button',13,13,'done','2026-05-03 14:17:06.789012');
INSERT INTO "commands" VALUES('green_button-13','body','split_test/green_button',14,14,'done','2026-05-03 14:18:06.789012');
INSERT INTO "commands" VALUES('green_button-14','body','split_test/green_button',15,15,'done','2026-05-03 14:19:06.789012');
INSERT INTO "commands" VALUES('green_button-15','body','split_test/green_button',16,16,'done','2026-05-03 14:20:06.789012');
INSERT INTO "commands" VALUES('green_button-16','body','split_test/green_button',17,17,'done','2026-05-03 14:21:06.789012');
INSERT INTO "commands" VALUES('green_button-17','body','split_test/green_button',18,18,'done','2026-05-03 14:22:06.789012');
INSERT INTO "commands" VALUES('green_button-18','body','split_test/green_button',19,19,'done','2026-05-03 14:23:06.789012');
INSERT INTO "commands" VALUES('big_photo-0','body','split_test/big_photo',1,20,'done','2026-05-03 14:05:06.789012');
CREATE TABLE ended_sessions (
	session_id TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	PRIMARY KEY (session_id)
);
CREATE TABLE event_counter (
	id INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT ck_event_counter_one_row CHECK (id = 1)
);
INSERT INTO "event_counter" VALUES(1,20);
CREATE TABLE events (
	position BIGINT NOT NULL, 
	stream TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	fact_version INTEGER NOT NULL, 
	payload TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	recorded_at DATETIME NOT NULL, 
	command_id TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (position), 
	CONSTRAINT uq_events_stream_version UNIQUE (stream, version)
);
INSERT INTO "events" VALUES(1,'split_test/green_button',1,'SplitTestCreated',1,'{"key":"green_button","name":"Green button","author":"anna","managers":["anna"],"description":"","type":"web","issue_key":"","chat_room":""}','анна ''o'' \','2026-05-03 14:05:06.789012','green_button-0');
INSERT INTO "events" VALUES(2,'split_test/green_button',2,'DraftDiscarded',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:06:06.789012','green_button-1');
INSERT INTO "events" VALUES(3,'split_test/green_button',3,'SplitTestCreated',1,'{"key":"green_button","name":"Greener button","author":"anna","managers":["anna"],"description":"","type":"web","issue_key":"","chat_room":""}','анна ''o'' \','2026-05-03 14:07:06.789012','green_button-2');
INSERT INTO "events" VALUES(4,'split_test/green_button',4,'PropertiesEdited',1,'{"key":"green_button","changes":[{"name":"issue_key","before":"","after":"SHOP-1"}]}','анна ''o'' \','2026-05-03 14:08:06.789012','green_button-3');
INSERT INTO "events" VALUES(5,'split_test/green_button',5,'ManagersChanged',1,'{"key":"green_button","added":["ivan"],"removed":[],"managers":["anna","ivan"]}','анна ''o'' \','2026-05-03 14:09:06.789012','green_button-4');
INSERT INTO "events" VALUES(6,'split_test/green_button',6,'SettingsGroupProposed',1,'{"key":"green_button","settings_group":1,"starts_at":"2026-05-01T00:00:00Z","ends_at":"2026-06-01T00:00:00Z","conditions":"[{\"filter\": \"is_test_user\", \"operator\": \"eq\", \"value\": \"Yes\"}]","filters":[{"name":"is_test_user","type":"boolean","scope":"user"}],"variants":[{"name":"control","groups":1200,"is_control":true},{"name":"red","groups":1200,"is_control":false}],"split_equally":false,"reshuffle":false}','анна ''o'' \','2026-05-03 14:10:06.789012','green_button-5');
INSERT INTO "events" VALUES(7,'split_test/green_button',7,'SettingsGroupPreparationFailed',1,'{"key":"green_button","settings_group":1,"reason":"the users table does not answer"}','анна ''o'' \','2026-05-03 14:11:06.789012','green_button-6');
INSERT INTO "events" VALUES(8,'split_test/green_button',8,'SettingsGroupPreparationRetried',1,'{"key":"green_button","settings_group":1}','анна ''o'' \','2026-05-03 14:12:06.789012','green_button-7');
INSERT INTO "events" VALUES(9,'split_test/green_button',9,'SettingsGroupPrepared',1,'{"key":"green_button","settings_group":1,"seed":7,"as_of_position":0,"variants":[{"name":"control","split_groups":[1,3,5],"users":300,"smallest_effect":null},{"name":"red","split_groups":[2,4,2400],"users":290,"smallest_effect":null}],"overlaps":[],"kept_groups":0,"moved":[],"assumed_filters":[],"base_rate":null}','анна ''o'' \','2026-05-03 14:13:06.789012','green_button-8');
INSERT INTO "events" VALUES(10,'split_test/green_button',10,'SplitTestPublished',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:14:06.789012','green_button-9');
INSERT INTO "events" VALUES(11,'split_test/green_button',11,'SplitTestUnpublished',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:15:06.789012','green_button-10');
INSERT INTO "events" VALUES(12,'split_test/green_button',12,'SplitTestPublished',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:16:06.789012','green_button-11');
INSERT INTO "events" VALUES(13,'split_test/green_button',13,'CodeDeployed',1,'{"key":"green_button","hit_id":"hit-1","occurred_at":"2026-05-03T14:05:00Z","app":"store","host":"web-3"}','анна ''o'' \','2026-05-03 14:17:06.789012','green_button-12');
INSERT INTO "events" VALUES(14,'split_test/green_button',14,'SplitTestStarted',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:18:06.789012','green_button-13');
INSERT INTO "events" VALUES(15,'split_test/green_button',15,'SettingsGroupProposed',1,'{"key":"green_button","settings_group":2,"starts_at":"2026-05-01T00:00:00Z","ends_at":"2026-06-08T00:00:00Z","conditions":"[{\"filter\": \"is_test_user\", \"operator\": \"eq\", \"value\": \"Yes\"}]","filters":[{"name":"is_test_user","type":"boolean","scope":"user"}],"variants":[{"name":"control","groups":1200,"is_control":true},{"name":"red","groups":1200,"is_control":false}],"split_equally":false,"reshuffle":false}','анна ''o'' \','2026-05-03 14:19:06.789012','green_button-14');
INSERT INTO "events" VALUES(16,'split_test/green_button',16,'SettingsGroupPrepared',1,'{"key":"green_button","settings_group":2,"seed":7,"as_of_position":0,"variants":[{"name":"control","split_groups":[1,3,5],"users":300,"smallest_effect":null},{"name":"red","split_groups":[2,4,2400],"users":290,"smallest_effect":null}],"overlaps":[{"key":"other","settings_group":1,"shared_groups":120,"shared_users":null,"same_type":false,"their_users":null,"is_upper_bound":false,"by_variant":[]}],"kept_groups":0,"moved":[],"assumed_filters":[],"base_rate":null}','анна ''o'' \','2026-05-03 14:20:06.789012','green_button-15');
INSERT INTO "events" VALUES(17,'split_test/green_button',17,'SplitTestPaused',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:21:06.789012','green_button-16');
INSERT INTO "events" VALUES(18,'split_test/green_button',18,'SplitTestResumed',1,'{"key":"green_button"}','анна ''o'' \','2026-05-03 14:22:06.789012','green_button-17');
INSERT INTO "events" VALUES(19,'split_test/green_button',19,'SplitTestFinished',1,'{"key":"green_button","resulting_variant":"red","scope":"conditions"}','анна ''o'' \','2026-05-03 14:23:06.789012','green_button-18');
INSERT INTO "events" VALUES(20,'split_test/big_photo',1,'SplitTestRejected',1,'{"key":"big_photo"}','анна ''o'' \','2026-05-03 14:05:06.789012','big_photo-0');
CREATE TABLE first_answers (
	actor TEXT NOT NULL, 
	idempotency_key TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	headers TEXT NOT NULL, 
	body TEXT NOT NULL, 
	until DATETIME NOT NULL, 
	PRIMARY KEY (actor, idempotency_key)
);
CREATE TABLE installation_secrets (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE laid_out_servers (
	environment TEXT NOT NULL, 
	host TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	reported_at DATETIME NOT NULL, 
	known_at DATETIME NOT NULL, 
	silent_seconds FLOAT NOT NULL, 
	is_live BOOLEAN NOT NULL, 
	record_offset BIGINT NOT NULL, 
	PRIMARY KEY (environment, host)
);
CREATE TABLE laid_out_tests (
	environment TEXT NOT NULL, 
	host TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	PRIMARY KEY (environment, host, "key")
);
CREATE TABLE preparation_steps (
	"key" TEXT NOT NULL, 
	settings_group INTEGER NOT NULL, 
	step TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE projections (
	name TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	position BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (name, generation)
);
CREATE TABLE republish_requests (
	"key" TEXT NOT NULL, 
	requested_at DATETIME NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE INDEX ix_api_tokens_account ON api_tokens (account);
CREATE INDEX ix_ended_sessions_until ON ended_sessions (until);
CREATE INDEX ix_first_answers_until ON first_answers (until);
COMMIT;
