"""The schema as a list of migrations: each entry brings a database from one version to the next and is never edited
once released; a change is a new entry at the end."""

_FIRST = (
    # What came in. `name` is the digest of the object's bytes and the name of its file in the inbox.
    """CREATE TABLE received (
        name TEXT PRIMARY KEY,
        uid_digest TEXT NOT NULL,
        source TEXT NOT NULL,
        address TEXT NOT NULL,
        size INTEGER NOT NULL,
        at REAL NOT NULL)""",
    "CREATE INDEX received_uid ON received (uid_digest)",
    """CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stage TEXT NOT NULL,
        state TEXT NOT NULL,
        project TEXT NOT NULL,
        subject TEXT NOT NULL,
        destination TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        ready_at REAL NOT NULL,
        lease_until REAL NOT NULL,
        owner TEXT NOT NULL,
        reason TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        UNIQUE (stage, subject, project, destination))""",
    "CREATE INDEX job_claim ON job (stage, destination, state, ready_at)",
    "CREATE INDEX job_state ON job (state, stage)",
    """CREATE TABLE study (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        patient_id TEXT NOT NULL, patient_name TEXT NOT NULL, patient_key TEXT NOT NULL,
        birth_date TEXT NOT NULL, sex TEXT NOT NULL,
        study_date TEXT NOT NULL, study_time TEXT NOT NULL,
        accession_number TEXT NOT NULL, study_id TEXT NOT NULL,
        referring_physician TEXT NOT NULL, description TEXT NOT NULL,
        modalities TEXT NOT NULL, series INTEGER NOT NULL, instances INTEGER NOT NULL,
        attributes TEXT NOT NULL, updated REAL NOT NULL)""",
    "CREATE INDEX study_patient ON study (patient_id)",
    "CREATE INDEX study_patient_key ON study (patient_key)",
    "CREATE INDEX study_date ON study (study_date)",
    "CREATE INDEX study_accession ON study (accession_number)",
    "CREATE INDEX study_updated ON study (updated)",
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        study INTEGER NOT NULL REFERENCES study (id),
        modality TEXT NOT NULL, number INTEGER, description TEXT NOT NULL, body_part TEXT NOT NULL,
        series_date TEXT NOT NULL, series_time TEXT NOT NULL,
        pps_date TEXT NOT NULL, pps_time TEXT NOT NULL,
        instances INTEGER NOT NULL, attributes TEXT NOT NULL, updated REAL NOT NULL)""",
    "CREATE INDEX series_study ON series (study)",
    "CREATE INDEX series_modality ON series (modality)",
    """CREATE TABLE instance (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        series INTEGER NOT NULL REFERENCES series (id),
        sop_class TEXT NOT NULL, number INTEGER,
        transfer_syntax TEXT NOT NULL,
        project TEXT NOT NULL,
        file TEXT NOT NULL, size INTEGER NOT NULL,
        attributes TEXT NOT NULL, metadata BLOB NOT NULL, receipt TEXT NOT NULL, updated REAL NOT NULL)""",
    "CREATE INDEX instance_series ON instance (series)",
    "CREATE INDEX instance_sop_class ON instance (sop_class)",
    """CREATE TABLE audit (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        previous TEXT NOT NULL,
        digest TEXT NOT NULL)""",
    "CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    """CREATE TABLE person (
        name TEXT PRIMARY KEY,
        password TEXT NOT NULL,
        must_change INTEGER NOT NULL,
        role TEXT NOT NULL)""",
)

_SECOND = (
    # INSERT OR REPLACE deletes without asking the trigger on DELETE.
    """CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
        WHEN NEW.seq <= (SELECT COALESCE(MAX(seq), 0) FROM audit)
        BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END""",
    "CREATE INDEX instance_file ON instance (file, uid)",
)

_THIRD = (
    # Original and pseudonym. `digest` is a keyed digest of the original, `sealed` the original encrypted; `listed` is
    # the number of the import that brought the row, 0 for a pseudonym made from the project's key.
    """CREATE TABLE crosswalk (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL,
        kind TEXT NOT NULL,
        digest BLOB NOT NULL,
        pseudonym TEXT NOT NULL,
        sealed BLOB NOT NULL,
        listed INTEGER NOT NULL,
        first_seen REAL NOT NULL,
        UNIQUE (project, kind, digest, pseudonym))""",
    "CREATE INDEX crosswalk_pseudonym ON crosswalk (pseudonym)",
    "CREATE UNIQUE INDEX crosswalk_patient ON crosswalk (project, digest) WHERE listed > 0",
    "CREATE UNIQUE INDEX crosswalk_trial_id ON crosswalk (project, pseudonym) WHERE listed > 0",
    "CREATE INDEX crosswalk_list ON crosswalk (project, listed) WHERE listed > 0",
    "CREATE TABLE crosswalk_key (key_id TEXT NOT NULL)",
)

_IDENTITIES = (
    # Who a study's patient was. `study` and `patient` are pseudonyms, `sealed` the original attributes encrypted.
    """CREATE TABLE identity (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        patient TEXT NOT NULL,
        sealed BLOB NOT NULL,
        updated REAL NOT NULL,
        UNIQUE (project, study, patient))""",
)

_SEALED_HEADERS = (
    # The header an instance had before it was cleaned, encrypted; gone with the instance.
    """CREATE TABLE sealed_header (
        instance INTEGER PRIMARY KEY REFERENCES instance (id) ON DELETE CASCADE,
        sealed BLOB NOT NULL)""",
    # To find the entry that vouches for a receipt.
    "CREATE INDEX audit_published ON audit (subject, seq) WHERE action = 'published'",
)

_REVIEWS = (
    # What was found in a quarantined object, and what was decided about it: numbers and codes.
    """CREATE TABLE review (
        job INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
        details TEXT NOT NULL,
        decision TEXT NOT NULL)""",
    # Device rules that were learned. A replaced one gets a new id, so that the highest tells of every change.
    """CREATE TABLE device_rule (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        document TEXT NOT NULL,
        added REAL NOT NULL)""",
    """CREATE TABLE batch (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        asked TEXT NOT NULL,
        total INTEGER NOT NULL, done INTEGER NOT NULL, clean INTEGER NOT NULL,
        refused TEXT NOT NULL, reason TEXT NOT NULL,
        started REAL NOT NULL, updated REAL NOT NULL)""",
)

_COMMITMENT = (
    # Of what class an original said it was; empty where it came before this was kept.
    "ALTER TABLE received ADD COLUMN sop_class TEXT NOT NULL DEFAULT ''",
    # What an original became in a project: a clean SOP Instance UID, or the name of a re-identified file.
    """CREATE TABLE became (
        name TEXT NOT NULL,
        project TEXT NOT NULL,
        result TEXT NOT NULL,
        PRIMARY KEY (name, project))""",
    """INSERT OR IGNORE INTO became (name, project, result)
        SELECT json_extract(audit.detail, '$.original'), job.project, audit.subject
        FROM audit JOIN job ON job.id = json_extract(audit.detail, '$.job')
        WHERE audit.action IN ('published', 'reidentified')""",
    # Storage commitments that peers ask of us: the digest of the transaction's UID; UIDs and instances encrypted.
    """CREATE TABLE commitment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        peer TEXT NOT NULL,
        digest TEXT NOT NULL,
        sealed BLOB NOT NULL,
        duplicate INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        ready_at REAL NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL)""",
    "CREATE INDEX commitment_ready ON commitment (peer, state, ready_at)",
    "CREATE INDEX commitment_digest ON commitment (peer, digest)",
    # Storage commitments that we ask of destinations, an instance each, and the transactions they were asked in.
    """CREATE TABLE promise (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        destination TEXT NOT NULL,
        instance TEXT NOT NULL,
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        asked INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        reason TEXT NOT NULL,
        ready_at REAL NOT NULL,
        updated REAL NOT NULL,
        UNIQUE (destination, instance))""",
    "CREATE INDEX promise_ready ON promise (destination, state, ready_at)",
    """CREATE TABLE promise_request (
        uid TEXT PRIMARY KEY,
        destination TEXT NOT NULL,
        at REAL NOT NULL)""",
    # Studies of which a peer is still to be told, and up to which change each peer's list was made.
    """CREATE TABLE notice (
        peer TEXT NOT NULL,
        study TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        ready_at REAL NOT NULL,
        PRIMARY KEY (peer, study))""",
    "CREATE TABLE notice_mark (peer TEXT PRIMARY KEY, mark REAL NOT NULL)",
    # Procedure steps that modalities perform: nothing that tells of a patient. `digest` is that of the step's UID.
    """CREATE TABLE performed_step (
        digest TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        state TEXT NOT NULL,
        modality TEXT NOT NULL,
        series INTEGER NOT NULL,
        instances INTEGER NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL)""",
)

_ROUTING_AND_QUEUES = (
    # What a route may match on beside source and address, and the SHA-256 of the Study Instance UID where a destination
    # wants whole studies.
    "ALTER TABLE received ADD COLUMN called TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE received ADD COLUMN study TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX received_study ON received (study) WHERE study <> ''",
    "ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE job ADD COLUMN gathering INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX job_gathering ON job (gathering) WHERE gathering > 0",
    "DROP INDEX job_claim",
    "CREATE INDEX job_claim ON job (stage, destination, state, priority, ready_at, id)",
    # A study of which more may come before it goes to those who want it whole; gone once it went.
    """CREATE TABLE gathering (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        source TEXT NOT NULL,
        clean TEXT NOT NULL,
        quiet REAL NOT NULL,
        last REAL NOT NULL,
        asked REAL NOT NULL,
        expected INTEGER NOT NULL,
        due REAL NOT NULL,
        UNIQUE (project, study))""",
    "CREATE INDEX gathering_due ON gathering (due)",
    # How the queue of a destination stands, for all processes and over restarts.
    """CREATE TABLE destination (
        name TEXT PRIMARY KEY,
        paused REAL NOT NULL,
        failures INTEGER NOT NULL,
        next_attempt REAL NOT NULL,
        reason TEXT NOT NULL)""",
)

_INDEX_VERSIONS = (
    # Numbers every change of the index, so that an answer made from it can be known to hold still.
    "CREATE TABLE index_version (version INTEGER NOT NULL)",
    "INSERT INTO index_version (version) VALUES (1)",
    "ALTER TABLE study ADD COLUMN version INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE series ADD COLUMN version INTEGER NOT NULL DEFAULT 1",
)

_PULLS = (
    # What was pulled from a peer for a request; request and study are digests.
    """CREATE TABLE pulled (
        peer TEXT NOT NULL,
        request TEXT NOT NULL,
        study TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (peer, request, study))""",
)

_RESULTS = (
    # What a CLEAN job published, so that a sender can be told what became of his object.
    "ALTER TABLE job ADD COLUMN result TEXT NOT NULL DEFAULT ''",
    """UPDATE job SET result = audit.subject FROM audit
        WHERE audit.action = 'published' AND job.id = json_extract(audit.detail, '$.job')""",
    # To find the entry that vouches for the receipt of an instance that was deleted and published again.
    "CREATE INDEX audit_deleted ON audit (subject, seq) WHERE action = 'deleted'",
)

_WORKLIST = (
    # Workitems (PS3.4 Annex CC). `sealed` has the attributes encrypted, since clients' may name patients; `lock` is the
    # SHA-256 of the Transaction UID; those that are `ours` only Lethe moves.
    """CREATE TABLE workitem (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        lock TEXT NOT NULL,
        ours INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        updated REAL NOT NULL)""",
    "CREATE INDEX workitem_state ON workitem (state, id)",
    # The digests of the UIDs of those that were removed.
    "CREATE TABLE workitem_gone (digest TEXT PRIMARY KEY)",
    # Who is told of a workitem, and of all that match; `locked`: it is kept until he lets go.
    """CREATE TABLE workitem_subscription (
        workitem INTEGER NOT NULL REFERENCES workitem (id) ON DELETE CASCADE,
        title TEXT NOT NULL,
        locked INTEGER NOT NULL,
        PRIMARY KEY (workitem, title))""",
    "CREATE INDEX workitem_subscription_title ON workitem_subscription (title)",
    """CREATE TABLE worklist_subscription (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        filtered INTEGER NOT NULL,
        digest TEXT NOT NULL,
        sealed BLOB NOT NULL,
        locked INTEGER NOT NULL,
        UNIQUE (title, digest))""",
    # Event reports, one row for each who is told, encrypted; and up to which he has them.
    """CREATE TABLE workitem_event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        sealed BLOB NOT NULL,
        at REAL NOT NULL)""",
    "CREATE INDEX workitem_event_title ON workitem_event (title, id)",
    "CREATE TABLE workitem_event_mark (title TEXT PRIMARY KEY, event INTEGER NOT NULL)",
    # Studies that are being de-identified, each with its workitem; `study` is the SHA-256 of the clean UID.
    """CREATE TABLE cleaning (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL,
        study TEXT NOT NULL,
        workitem TEXT NOT NULL,
        arrived REAL NOT NULL,
        told TEXT NOT NULL,
        UNIQUE (project, study))""",
    # Which CLEAN jobs belong to it (0: held, of no project yet), and the last job that was looked at.
    """CREATE TABLE cleaning_job (
        job INTEGER PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
        cleaning INTEGER NOT NULL)""",
    "CREATE INDEX cleaning_job_cleaning ON cleaning_job (cleaning)",
    "CREATE TABLE cleaning_mark (job INTEGER NOT NULL)",
    "INSERT INTO cleaning_mark (job) SELECT COALESCE(MAX(id), 0) FROM job",
)

_ARRIVING = (
    # Originals whose rows may be older than their files: of which process, by its folder in `incoming/`.
    "CREATE TABLE arriving (id INTEGER PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL)",
)

_EXCUSED = (
    # Attempts that are not held against a job: the disk was full, or the like.
    "ALTER TABLE job ADD COLUMN excused INTEGER NOT NULL DEFAULT 0",
)

_DIGEST = (
    # What originals are called by (`digests.py`): the folders of older versions stay as they are.
    "CREATE TABLE digest (algorithm TEXT NOT NULL)",
    "INSERT INTO digest SELECT CASE WHEN EXISTS (SELECT 1 FROM received) THEN 'sha256' ELSE 'blake3' END",
)

_CONTENT = (
    # BLAKE3 of the clean file, as it was written; empty for those of older versions.
    "ALTER TABLE instance ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
)

_ENDS = (
    # Whether a performed step has told when it ended, which it must have when it is over.
    "ALTER TABLE performed_step ADD COLUMN has_end_date INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE performed_step ADD COLUMN has_end_time INTEGER NOT NULL DEFAULT 0",
)

_DISCARDED = (
    # To count what people discarded: the trail alone knows.
    "CREATE INDEX audit_discarded ON audit (seq) WHERE action = 'discarded'",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _FIRST,
    _SECOND,
    _THIRD,
    _IDENTITIES,
    _SEALED_HEADERS,
    _REVIEWS,
    _COMMITMENT,
    _ROUTING_AND_QUEUES,
    _INDEX_VERSIONS,
    _PULLS,
    _RESULTS,
    _WORKLIST,
    _ARRIVING,
    _EXCUSED,
    _DIGEST,
    _CONTENT,
    _ENDS,
    _DISCARDED,
)
