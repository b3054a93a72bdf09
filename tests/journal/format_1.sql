-- Format 1, as the programs before format 2 made it.
PRAGMA application_id = 1346785841;
PRAGMA user_version = 1;
CREATE TABLE attempts (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	device_id TEXT NOT NULL, 
	fleet TEXT NOT NULL, 
	plan_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	step TEXT NOT NULL, 
	state TEXT NOT NULL, 
	intended_at FLOAT NOT NULL, 
	handshake_before FLOAT, 
	sent_at FLOAT, 
	ended_at FLOAT, 
	evidence TEXT, 
	failure TEXT, 
	detail TEXT NOT NULL, 
	UNIQUE (id)
);
CREATE INDEX attempts_of_a_fleet ON attempts (fleet, number);
CREATE INDEX attempts_of_a_device ON attempts (device_id, number);
CREATE UNIQUE INDEX one_open_attempt_per_device ON attempts (device_id) WHERE state IN ('intended', 'sent', 'unknown');
CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TABLE reports (
	device_id TEXT NOT NULL, 
	modules TEXT NOT NULL, 
	reported_at FLOAT NOT NULL, 
	PRIMARY KEY (device_id)
);
CREATE TABLE plans (
	plan_id TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (plan_id)
);
CREATE TABLE halts (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fleet TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	lifted BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX one_halt_per_fleet ON halts (fleet) WHERE lifted = 0;
CREATE TABLE console_states (
	device_id TEXT NOT NULL, 
	seen_at FLOAT NOT NULL, 
	fleet TEXT, 
	selection TEXT NOT NULL, 
	groups TEXT NOT NULL, 
	lock INTEGER, 
	release INTEGER, 
	development BOOLEAN NOT NULL, 
	updates_forced BOOLEAN NOT NULL, 
	application INTEGER, 
	device_os TEXT, 
	arrived TEXT, 
	PRIMARY KEY (device_id)
)
 WITHOUT ROWID;
CREATE TABLE console_changes (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device_id TEXT NOT NULL, 
	fleet TEXT NOT NULL, 
	intent TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	not_before FLOAT NOT NULL, 
	seen_at FLOAT NOT NULL, 
	concerns_git BOOLEAN NOT NULL, 
	undid TEXT
);
CREATE INDEX ix_console_changes_fleet ON console_changes (fleet);
CREATE INDEX ix_console_changes_device_id ON console_changes (device_id);
CREATE TRIGGER console_changes_no_delete BEFORE DELETE ON console_changes BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TRIGGER console_changes_no_update BEFORE UPDATE ON console_changes BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TABLE latches (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device_id TEXT NOT NULL, 
	fleet TEXT NOT NULL, 
	intent TEXT NOT NULL, 
	why TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	lifted BOOLEAN NOT NULL
);
CREATE TRIGGER latches_no_delete BEFORE DELETE ON latches BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TABLE refusals (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	product_id INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	words TEXT NOT NULL, 
	forgotten BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX one_refusal_per_product ON refusals (product_id) WHERE forgotten = 0;
CREATE TABLE product_attempts (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	product TEXT NOT NULL, 
	fleet TEXT NOT NULL, 
	plan_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	state TEXT NOT NULL, 
	intended_at FLOAT NOT NULL, 
	sent_at FLOAT, 
	ended_at FLOAT, 
	failure TEXT, 
	detail TEXT NOT NULL, 
	UNIQUE (id)
);
CREATE UNIQUE INDEX one_open_attempt_per_product ON product_attempts (product) WHERE state IN ('intended', 'sent', 'unknown');
CREATE TRIGGER product_attempts_no_delete BEFORE DELETE ON product_attempts BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TABLE moves (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	attempt_id TEXT NOT NULL, 
	device_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	at FLOAT, 
	detail TEXT NOT NULL, 
	FOREIGN KEY(attempt_id) REFERENCES attempts (id)
);
CREATE INDEX ix_moves_attempt_id ON moves (attempt_id);
CREATE TRIGGER moves_no_delete BEFORE DELETE ON moves BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
CREATE TRIGGER moves_no_update BEFORE UPDATE ON moves BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
